"""Checkpoints as the hub has them: names of weights, and files beside them, of earlier versions of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from generator.blip2 import Blip2Generator
from generator.generation import GenerationSettings, Prompt
from generator.llava import LlavaGenerator
from generator.loading import load_generator
from generator.protocol import Candidate
from knowledge_bases.records import Passage, VisualQuestion
from tests.generator.tiny import (
    save_blip2_checkpoint,
    save_llava_checkpoint,
    save_llava_next_checkpoint,
    save_onevision_checkpoint,
)

QUESTION = VisualQuestion(text="which city?", image=Image.new("RGB", (90, 31), "red"))
PASSAGES = [Passage(passage_id="1", text="Paris is old."), Passage(passage_id="2", text="Rome has many people.")]
GREEDY = GenerationSettings(beams=1)
LLAVA_KINDS = {
    "LlavaProcessor": save_llava_checkpoint,
    "LlavaNextProcessor": save_llava_next_checkpoint,
    "LlavaOnevisionProcessor": save_onevision_checkpoint,
}
TEMPLATE = (  # of llava-hf/llava-1.5-7b-hf
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def load(folder: Path) -> Any:  # noqa: ANN401
    settings = GenerationSettings(beams=2)
    return load_generator(folder, device=torch.device("cpu"), dtype=torch.float32, settings=settings)


def candidates(folder: Path) -> list[Candidate]:
    found: list[Candidate] = load(folder).propose(QUESTION, PASSAGES)
    return found


def change_json(path: Path, **values: object) -> dict[str, Any]:
    """Sets keys of a JSON file, or takes them out where the value is None; the file as it was."""
    before: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({key: one for key, one in (before | values).items() if one is not None}))
    return before


def in_old_layout(folder: Path, kind: str) -> None:
    """Names of weights and files as llava-hf published them, of which the processor says how a picture is counted."""
    weights = load_file(folder / "model.safetensors")
    old = {name.replace("vision_tower.", "vision_tower.vision_model."): one for name, one in weights.items()}
    assert old.keys() != weights.keys()
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    change_json(folder / "tokenizer_config.json", processor_class=kind)
    images = change_json(folder / "processor_config.json", image_processor=None).get("image_processor")
    if images is not None:
        change_json(folder / "preprocessor_config.json", **images, processor_class=kind)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))


@pytest.mark.parametrize("kind", LLAVA_KINDS)
def test_llava_in_the_old_layout_answers_the_same(kind: str, tmp_path: Path) -> None:
    folder = LLAVA_KINDS[kind](tmp_path / "model")
    expected = candidates(folder)
    in_old_layout(folder, kind)
    generator = load(folder)
    assert isinstance(generator, LlavaGenerator)
    text = generator.prompt_text(Prompt(question_index=0, question=QUESTION, knowledge=None))
    assert text.startswith("USER: <image>\nQuestion: which city?")
    assert text.endswith(" ASSISTANT:")
    (folder / "chat_template.json").unlink()
    assert candidates(folder) == expected


@pytest.mark.parametrize("kind", LLAVA_KINDS)
@pytest.mark.parametrize("lacking", ["everything", "class token"])
def test_how_many_tokens_a_picture_takes_is_known_without_being_said(kind: str, lacking: str, tmp_path: Path) -> None:
    folder = LLAVA_KINDS[kind](tmp_path / "model")
    expected = candidates(folder)
    in_old_layout(folder, kind)
    (folder / "chat_template.json").unlink()
    if lacking == "everything":
        (folder / "processor_config.json").unlink()
    else:  # between two versions of transformers
        change_json(folder / "processor_config.json", num_additional_image_tokens=None)
    assert candidates(folder) == expected


@pytest.mark.parametrize("written", ["", "{{ bos_token }}"])
def test_a_prompt_opens_once_whoever_opens_it(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load(save_llava_checkpoint(tmp_path / "model", chat_template=written + TEMPLATE))
    seen: list[torch.Tensor] = []
    generate = generator.model.generate

    def noted(**inputs: Any) -> Any:  # noqa: ANN401
        seen.append(inputs["input_ids"])
        return generate(**inputs)

    monkeypatch.setattr(generator.model, "generate", noted)
    generator.propose(QUESTION, PASSAGES)
    assert (seen[0] == generator.processor.tokenizer.bos_token_id).sum(dim=1).tolist() == [1, 1]


def test_blip2_with_an_output_layer_of_its_own(tmp_path: Path) -> None:
    folder = save_blip2_checkpoint(tmp_path / "model", language_model="t5")
    weights = load_file(folder / "model.safetensors")
    shared = weights["language_model.shared.weight"]
    more = {f"language_model.{part}.embed_tokens.weight": shared.clone() for part in ("encoder", "decoder")}
    own = {"language_model.lm_head.weight": torch.randn(shared.shape)}
    save_file(weights | more | own, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.loads((folder / "config.json").read_text())["text_config"]
    change_json(folder / "config.json", text_config=text | {"tie_word_embeddings": False}, image_token_index=None)
    generator = load(folder)
    assert isinstance(generator, Blip2Generator)
    model = generator.model.language_model
    assert torch.equal(model.lm_head.weight, own["language_model.lm_head.weight"])
    assert torch.equal(model.decoder.embed_tokens.weight, shared)
    assert not model.config.scale_decoder_outputs  # as T5 1.1 was trained


def test_opt_ends_at_the_token_that_its_configuration_names(tmp_path: Path) -> None:
    folder = save_blip2_checkpoint(tmp_path / "model", language_model="opt")
    generator = load(folder)
    inputs = generator.inputs(["Question: q Answer:"], [None])
    written = generator.model.language_model.generate(**inputs, max_new_tokens=10, do_sample=False)[0].tolist()
    ending = next(token for token in written[1:] if token != written[0])
    text = json.loads((folder / "config.json").read_text())["text_config"]
    change_json(
        folder / "config.json", text_config=text | {"eos_token_id": ending}
    )  # a line break in the published ones
    (folder / "generation_config.json").unlink()
    greedy = Blip2Generator(load(folder).model, generator.tokenizer, generator.image_processor, GREEDY)
    (candidate,) = greedy.propose(VisualQuestion(text="q"), [])
    assert candidate.mean_log_likelihood is not None
    assert candidate.log_likelihood / candidate.mean_log_likelihood == pytest.approx(written.index(ending) + 1)
