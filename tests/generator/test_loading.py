"""Opening checkpoints: what fits, what does not, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from generator import loading
from generator.blip2 import Blip2Generator
from generator.calibration import Calibration
from generator.catalog import PRESETS, Quantization
from generator.extractive import ExtractiveReader, ExtractiveSettings
from generator.generation import GenerationSettings
from generator.llava import LlavaGenerator
from generator.loading import CheckpointError, load_generator
from generator.protocol import Generator
from generator.remote import RemoteGenerator
from knowledge_bases.records import Passage, VisualQuestion
from tests.generator.tiny import save_blip2_checkpoint, save_llava_checkpoint, save_reader_checkpoint

CPU = torch.device("cpu")


def load(checkpoint: Path | str, **options: object) -> Generator:
    return load_generator(checkpoint, device=CPU, dtype=torch.float32, **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_reader_checkpoint(tmp_path / "reader", positions=320)


def test_a_saved_reader_reads_the_same(folder: Path) -> None:
    Calibration(temperature=3.0, threshold=0.2).save(folder)
    reader = load(folder)
    assert isinstance(reader, ExtractiveReader)
    assert reader.calibration == Calibration(temperature=3.0, threshold=0.2)
    passage = Passage(passage_id="a", text="Paris is the capital of France.")
    first = reader.propose(VisualQuestion(text="capital?"), [passage])
    assert first == load(folder).propose(VisualQuestion(text="capital?"), [passage])


def test_half_precision_weights_load_in_the_dtype_asked_for(folder: Path) -> None:
    weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for dtype in (torch.float32, torch.bfloat16):
        reader = load_generator(folder, device=CPU, dtype=dtype)
        assert isinstance(reader, ExtractiveReader)
        assert {parameter.dtype for parameter in reader.model.parameters()} == {dtype}


@pytest.mark.parametrize("kind", ["t5", "opt"])
def test_blip2_folders_become_blip2_generators(tmp_path: Path, kind: str) -> None:
    assert isinstance(load(save_blip2_checkpoint(tmp_path / kind, language_model=kind)), Blip2Generator)


def test_llava_folders_become_llava_generators(tmp_path: Path) -> None:
    assert isinstance(load(save_llava_checkpoint(tmp_path / "llava")), LlavaGenerator)


def test_addresses_become_remote_generators() -> None:
    remote = load("http://127.0.0.1:8000/v1#some-model", api_key="secret")
    assert isinstance(remote, RemoteGenerator)
    assert (remote.settings.address, remote.settings.model) == ("http://127.0.0.1:8000/v1", "some-model")
    assert "secret" not in repr(remote.settings)
    with pytest.raises(ValueError, match="name the server's model"):
        load("http://127.0.0.1:8000/v1")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", r"lacks bert\.encoder\.layer\.1\.output\.dense\.bias; it does not fit BertForQuestionAnswering"),
        ("unexpected", r"has unknown bert\.surplus\.weight; it does not fit"),
        ("truncated", "the folder may be damaged"),
        ("no weights", "the folder may be damaged"),
        ("no config", "has no config.json; give the folder of a checkpoint"),
        ("pickle", "the folder may be damaged"),
        ("no tokenizer", "the folder may be damaged"),
        ("kind", "is a 'gpt2' checkpoint; generators are blip-2, llava"),
        ("calibration", r"calibration\.json is damaged"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_clear_line(folder: Path, damage: str, message: str) -> None:
    weights_file = folder / "model.safetensors"
    if damage in ("missing", "unexpected"):
        weights = load_file(weights_file)
        if damage == "missing":
            del weights["bert.encoder.layer.1.output.dense.bias"]
        else:
            weights["bert.surplus.weight"] = torch.ones(2)
        save_file(weights, weights_file, metadata={"format": "pt"})
    elif damage == "truncated":
        weights_file.write_bytes(weights_file.read_bytes()[:2000])
    elif damage == "no weights":
        weights_file.unlink()
    elif damage == "pickle":
        torch.save(load_file(weights_file), folder / "pytorch_model.bin")
        weights_file.unlink()
    elif damage == "no config":
        (folder / "config.json").unlink()
    elif damage == "no tokenizer":
        (folder / "tokenizer.json").write_text("{}")
    elif damage == "kind":
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}))
    else:
        (folder / "calibration.json").write_text("[]")
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_the_unused_pooler_of_published_readers_is_no_error(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["bert.pooler.dense.weight"] = torch.ones(32, 32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert isinstance(load(folder), ExtractiveReader)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "nowhere", "a/b/c"])
def test_a_checkpoint_that_is_not_there_lists_the_presets(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*blip2-flan-t5-xl, .*reader-mini"):
        load(name)


def test_quantization_names_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="4-bit weights need bitsandbytes; install it with `pip install bitsandb"):
        load(folder, quantization=Quantization.FOUR_BIT)
    monkeypatch.setattr(loading, "find_spec", lambda name: object())
    with pytest.raises(CheckpointError, match="8-bit weights need a GPU"):
        load(folder, quantization=Quantization.EIGHT_BIT)


@pytest.mark.parametrize("bits", Quantization)
def test_bitsandbytes_is_told_how_many_bits(bits: Quantization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: object())
    arguments = loading._arguments(torch.device("cuda"), torch.bfloat16, bits, "")
    config = arguments["quantization_config"]
    assert (config.load_in_4bit, config.load_in_8bit) == (bits is Quantization.FOUR_BIT, bits is Quantization.EIGHT_BIT)
    assert (config.bnb_4bit_compute_dtype, config.bnb_4bit_quant_type) == (torch.bfloat16, "nf4")
    assert (arguments["dtype"], arguments["device_map"]) == (torch.bfloat16, {"": "cuda"})


def test_a_generator_lies_on_one_device_or_is_spread_over_several() -> None:
    gpu = torch.device("cuda:1")
    assert loading._arguments(gpu, torch.bfloat16, None, "")["device_map"] == {"": "cuda:1"}
    assert loading._arguments(gpu, torch.bfloat16, None, "balanced")["device_map"] == "balanced"
    assert "device_map" not in loading._arguments(CPU, torch.float32, None, "auto")
    with pytest.raises(CheckpointError, match="over GPUs and this is the CPU; leave it out here"):
        load_generator("reader-mini", device=CPU, dtype=torch.float32, device_map="auto")


def test_what_a_server_decides_itself_is_refused() -> None:
    with pytest.raises(CheckpointError, match="a server places and quantises its models itself; leave device_map out"):
        load("http://127.0.0.1:8000/v1#m", device_map="auto")
    with pytest.raises(CheckpointError, match="leave quantization=4-bit out"):
        load("http://127.0.0.1:8000/v1#m", quantization=Quantization.FOUR_BIT)


def test_settings_must_be_of_the_right_kind(folder: Path) -> None:
    with pytest.raises(ValueError, match="takes ExtractiveSettings, not GenerationSettings"):
        load(folder, settings=GenerationSettings())
    with pytest.raises(ValueError, match="reads at most 320 tokens at once; max_tokens is 512"):
        load(folder, settings=ExtractiveSettings(max_tokens=512))


def test_presets_name_known_kinds() -> None:
    assert {preset.checkpoint for preset in PRESETS.values()} >= {"Salesforce/blip2-flan-t5-xl"}
    assert PRESETS["llava-1.5-7b-4bit"].quantization is Quantization.FOUR_BIT
    assert Path(PRESETS["reader-mini"].checkpoint).parts[-3:] == ("generator", "checkpoints", "reader-mini")
