"""A pipeline that shows its answer while it is written, with a tiny LLaVA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from generator.generation import GenerationSettings
from generator.loading import load_generator
from generator.modes import ReadingMode
from generator.remote import RemoteGenerator
from knowledge_bases.records import VisualQuestion
from rag_app.assembly import Application, open_application
from rag_app.cli import main
from rag_app.config import load_preset, with_settings
from rag_app.pipeline import RagPipeline
from tests.generator.tiny import save_llava_checkpoint
from tests.rag_app.test_cli import ask, fails

QUESTION = VisualQuestion(text="what is the capital?", image=Image.new("RGB", (60, 40), "red"))


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llava_checkpoint(tmp_path_factory.mktemp("llava") / "model")


def test_passages_then_growing_text_then_the_answer(application: Application, llava: Path) -> None:
    settings = GenerationSettings(mode=ReadingMode.LONG_CONTEXT, beams=1, max_new_tokens=12, max_prompt_tokens=400)
    generator = load_generator(llava, device=torch.device("cpu"), dtype=torch.float32, settings=settings)
    pipeline = RagPipeline(finder=application.pipeline.finder, generator=generator, k=3)
    first, *growing, last = pipeline.stream(QUESTION)
    assert (first.text, first.complete, len(first.passages)) == ("", False, 3)
    assert growing
    assert all(not part.complete and part.passages == first.passages for part in growing)
    assert [part.text for part in growing] == sorted((part.text for part in growing), key=len)
    assert growing[-1].text == last.text
    assert last.complete
    assert [one.passage_id for one in last.candidates] == [None]
    assert last.confidence > 0
    whole = pipeline.invoke(QUESTION)
    assert replace(last, timings_ms={}, confidence=0, candidates=()) == replace(
        whole, timings_ms={}, confidence=0, candidates=()
    )
    assert list(last.timings_ms) == ["encode", "search", "fetch", "read", "choose", "total"]


def test_candidates_come_one_by_one_before_the_best_of_them(application: Application, llava: Path) -> None:
    settings = GenerationSettings(beams=1, max_new_tokens=6, max_prompt_tokens=400)
    generator = load_generator(llava, device=torch.device("cpu"), dtype=torch.float32, settings=settings)
    pipeline = RagPipeline(finder=application.pipeline.finder, generator=generator, k=3)
    _, *growing, last = pipeline.stream(QUESTION)
    assert all(not part.complete and not part.abstained and part.confidence == 0 for part in growing)
    read = [part for part in growing if part.candidates]
    assert growing[: -len(read)] != []  # the first one's text
    assert [len(part.candidates) for part in read] == [1, 2, 3]
    for part in read:
        (best,) = [one for one in part.candidates if one.chosen]
        assert part.text == best.answer
        unchosen = [replace(one, chosen=False) for one in part.candidates]
        assert unchosen == [replace(one, chosen=False) for one in last.candidates[: len(unchosen)]]
    assert read[-1].candidates == last.candidates
    assert (last.complete, last.text) == (True, read[-1].text)


def test_a_preset_limits_what_a_server_reads(world: Path) -> None:
    preset = replace(load_preset(str(world / "tiny.toml")), generator="http://127.0.0.1:1/v1#m")
    for given, expected in (([], 2000), (["max_knowledge_characters=70"], 70)):
        changed = with_settings(preset, given)
        generator = open_application(changed, var=world / "var", retrieve=False).pipeline.generator
        assert isinstance(generator, RemoteGenerator)
        assert generator.settings.knowledge_characters == expected


def test_the_mode_is_chosen_on_the_command_line(
    world: Path, llava: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAG_APP_VAR", str(world / "var"))
    assert "reader of single passages; take a generating model" in fails(capsys, ask(world, "--mode", "long_context"))
    assert "unknown key 'depth'" in fails(capsys, ask(world, "--set", "depth=2"))
    few = ask(world, "--set", "max_prompt_tokens=9")
    assert "reads passages whole, in windows; max_prompt_tokens is for generating models" in fails(capsys, few)
    assert "holds no adapter" in fails(capsys, ask(world, "--generator", str(llava), "--adapter", str(world)))
    assert main(ask(world, "--set", "k=2", "--json")) == 0
    assert capsys.readouterr().out.count('"text"') == 2
