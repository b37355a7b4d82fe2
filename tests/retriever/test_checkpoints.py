from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from knowledge_bases.records import VisualQuestion
from retriever.checkpoints import PRESETS, load_retriever, save_retriever
from retriever.encoder import Encoder
from tests.retriever.conftest import TINY

CPU = torch.device("cpu")
State = dict[str, Tensor]


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Encoder:
    return load_retriever(folder, device=CPU, dtype=dtype)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("inputs*", "expected*", "case.json"))
    return folder


def change_weights(folder: Path, change: Callable[[State], State]) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file)


def question() -> VisualQuestion:
    return VisualQuestion(text="What is it?", image=Image.linear_gradient("L"))


def test_saved_then_loaded_is_identical(encoder: Encoder, tmp_path: Path) -> None:
    save_retriever(encoder.model, encoder.processor, tmp_path / "saved")
    again = load(tmp_path / "saved")
    state, other = encoder.model.state_dict(), again.model.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert again.model.config == encoder.model.config
    assert torch.equal(again.encode_queries([question()])[0], encoder.encode_queries([question()])[0])
    for file in ("config.json", "mapping_bert/config.json", "query_tokenizer/vocab.txt"):
        assert (tmp_path / "saved" / file).is_file()
    save_retriever(again.model, again.processor, tmp_path / "twice")
    assert load(tmp_path / "twice").fingerprint == again.fingerprint
    assert (
        json.loads((tmp_path / "saved" / "config.json").read_text()).items()
        >= {
            key: value
            for key, value in json.loads((TINY / "config.json").read_text()).items()
            if not isinstance(value, dict)
        }.items()
    )


def test_saving_never_overwrites(encoder: Encoder, copy: Path) -> None:
    with pytest.raises(ValueError, match="is not empty; save to a new folder"):
        save_retriever(encoder.model, encoder.processor, copy)


def test_half_precision_weights_load_into_the_dtype_asked_for(copy: Path) -> None:
    change_weights(copy, lambda state: {name: tensor.half() for name, tensor in state.items()})
    for dtype in (torch.float32, torch.bfloat16):
        encoder = load(copy, dtype)
        assert {parameter.dtype for parameter in encoder.model.parameters()} == {dtype}
        assert encoder.encode_queries([question()])[0].dtype is torch.float32


def test_words_in_8_bits_load_into_the_dtype_asked_for(encoder: Encoder, copy: Path) -> None:
    def in_8_bits(state: State) -> State:
        few = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in state.items() if "word_embeddings" in name}
        assert few
        return {**state, **few}

    change_weights(copy, in_8_bits)
    loaded = load(copy).model.state_dict()
    for name, tensor in encoder.model.state_dict().items():
        assert loaded[name].dtype == torch.float32
        close = 0.07 if "word_embeddings" in name else 0.0
        torch.testing.assert_close(loaded[name], tensor, rtol=close, atol=2.0**-10 if close else 0.0)


def rename(old: str, new: str) -> Callable[[State], State]:
    return lambda state: {name.replace(old, new): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "change",
    [
        rename("query_vision", "context_vision"),
        rename("vision_model.vision_model.", "vision_model."),
        rename("bert_model", "text_model"),
        lambda state: {**state, **rename("bert_model", "text_model")({n: t.clone() for n, t in state.items()})},
        lambda state: {**state, "query_text_encoder.bert_model.embeddings.position_ids": torch.arange(4)[None]},
    ],
)
def test_every_published_key_layout_loads(encoder: Encoder, copy: Path, change: Callable[[State], State]) -> None:
    change_weights(copy, change)
    state, other = encoder.model.state_dict(), load(copy).model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


LINEAR = "query_text_encoder_linear.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(LINEAR), f"1 missing \\({LINEAR}\\)"),
        (lambda state: {**state, "surprise.weight": torch.zeros(1)}, "1 unexpected \\(surprise.weight\\)"),
        (rename(LINEAR, "linear.weight"), "1 missing .* 1 unexpected \\(linear.weight\\)"),
        (lambda state: {**state, LINEAR: torch.zeros(2, 2)}, f"{LINEAR} has shape \\(2, 2\\)"),
    ],
)
def test_keys_and_shapes_are_strict(copy: Path, change: Callable[[State], State], message: str) -> None:
    change_weights(copy, change)
    with pytest.raises(ValueError, match=message) as caught:
        load(copy)
    assert "\n" not in str(caught.value)


def test_shards_load_and_a_missing_shard_is_named(encoder: Encoder, copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    names = sorted(state)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, members in shards.items():
        save_file({name: state[name] for name in members}, copy / file)
    index = {"weight_map": {name: file for file, members in shards.items() for name in members}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    (copy / "model.safetensors").unlink()
    other = load(copy).model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in encoder.model.state_dict().items())
    (copy / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"names model-00002-of-00002\.safetensors, which is missing"):
        load(copy)


@pytest.mark.parametrize("how", ["missing", "cut", "garbage"])
@pytest.mark.parametrize(
    "file",
    [
        "config.json",
        "model.safetensors",
        "mapping_bert/config.json",
        "query_tokenizer/vocab.txt",
        "context_tokenizer/tokenizer_config.json",
    ],
)
def test_a_damaged_file_gives_one_line_that_names_it(copy: Path, file: str, how: str) -> None:
    path = copy / file
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.write_bytes(b"\xff\x00{]")
    with pytest.raises(ValueError, match=r".+") as caught:
        load(copy)
    assert "\n" not in str(caught.value)
    assert str(path.parent) in str(caught.value)


def test_pickled_weights_are_never_read(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickled weights only, which are never read"):
        load(copy)


def test_a_mapping_base_outside_the_checkpoint_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["transformer_mapping_config_base"] = "../checkpoint/mapping_bert"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="must lie in the checkpoint"):
        load(copy)


@pytest.mark.parametrize("name", ["no-such-preset", "/no/such/folder", "./nothing", "a/b/c"])
def test_an_unknown_checkpoint_lists_the_presets(name: str) -> None:
    with pytest.raises(ValueError, match=f"no checkpoint .*{sorted(PRESETS)[0]}"):
        load_retriever(name, device=CPU, dtype=torch.float32)


def test_a_text_only_checkpoint_with_a_projection_takes_image_features(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config.update(use_vision_encoder=False, use_transformer_mapping_network=False)
    (copy / "config.json").write_text(json.dumps(config))
    change_weights(
        copy, lambda state: {n: t for n, t in state.items() if "vision_encoder" not in n and "mapping" not in n}
    )
    encoder = load(copy)
    tokens = encoder.processor.query_tokenizer("what is it")
    with torch.no_grad():
        rows = encoder.model.query(**tokens, image_features=torch.ones(1, 64))  # type: ignore[arg-type]
    assert rows.late_interaction_output.shape == (1, 32 + 8, 32)
    with pytest.raises(ValueError, match="takes no pictures"):
        encoder.encode_queries([question()])
    change_weights(copy, lambda state: {n: t for n, t in state.items() if "vision" not in n})
    assert load(copy).encode_queries([VisualQuestion(text="what is it")])[0].shape[1] == 32


def test_fingerprint_tells_checkpoints_apart(encoder: Encoder, copy: Path) -> None:
    assert len(encoder.fingerprint) == 16
    assert load(copy, torch.bfloat16).fingerprint == encoder.fingerprint
    change_weights(copy, lambda state: {**state, LINEAR: state[LINEAR] * 2})
    assert load(copy).fingerprint != encoder.fingerprint


def test_fingerprint_tells_tokenizers_apart(encoder: Encoder, copy: Path) -> None:
    folder = copy / "context_tokenizer"
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join(words[:-1]) + "\n", encoding="utf-8")
    told = []
    for name in (words[-1], "another"):
        (folder / "added_tokens.json").write_text(json.dumps({name: len(words) - 1}), encoding="utf-8")
        told.append(load(copy).fingerprint)
    assert len({encoder.fingerprint, *told}) == 3


@pytest.mark.hub
@pytest.mark.parametrize("preset", ["flmr", "preflmr-vit-b"])
def test_published_checkpoints_load(preset: str) -> None:
    encoder = load_retriever(preset, device=CPU, dtype=torch.bfloat16)
    assert encoder.encode_queries([question()])[0].shape[1] == 128
