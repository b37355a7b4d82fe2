"""The answer without passages beside the one with them: what its handlers return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from generator.remote import RemoteGenerator, RemoteSettings
from rag_app.assembly import Application, open_application
from rag_app.pipeline import RagPipeline
from tests.generator.chat_server import serving_chat
from tests.generator.tiny import save_blip2_checkpoint, save_llava_checkpoint
from tests.tiny import save_picture
from ui.alone import alone_beside
from ui.answering import answered
from ui.app import build_app
from ui.asked import Asked


def asked_with(application: Application, folder: Path) -> Asked:
    *_, parts = answered(application, str(save_picture(folder / "red.png")), "what is the capital?", "", 2)
    assert parts[4] is not None
    return parts[4]


def test_a_reader_says_why_it_cannot(application: Application, tmp_path: Path) -> None:
    card = alone_beside(application, asked_with(application, tmp_path))
    assert "The reader of the preset tiny takes every answer from a passage and has none of its own." in card
    assert 'role="alert"' in card
    assert "Ask again first" in alone_beside(application, None)


@pytest.mark.parametrize(("kind", "mode"), [("blip2", "ra_vqa"), ("llava", "ra_vqa"), ("llava", "long_context")])
def test_presets_that_generate_answer_alone(application: Application, tmp_path: Path, kind: str, mode: str) -> None:
    folder = tmp_path / "model"
    model = save_llava_checkpoint(folder) if kind == "llava" else save_blip2_checkpoint(folder, language_model="opt")
    preset = replace(application.preset, name="<mine>", generator=str(model), mode=mode)
    generating = open_application(preset, *application.knowledge, var=application.var)
    asked = asked_with(generating, tmp_path)
    assert asked.answer.passages
    card = alone_beside(generating, asked)
    assert "Without passages, by &lt;mine&gt;" in card
    assert any(f'data-state="{state}"' in card for state in ("answered", "abstained"))
    alone = generating.pipeline.without_retrieval().invoke(asked.open())
    assert escape(alone.text) in card
    assert (alone.passages, [one.passage_id for one in alone.candidates]) == ((), [None])


@pytest.fixture
def server() -> Iterator[str]:
    """Tells whether it was given a passage."""
    with serving_chat() as serving:
        serving.behave(answers={"land": "with a passage"}, otherwise="from <memory>")
        yield serving.address


def test_a_server_answers_alone(application: Application, tmp_path: Path, server: str) -> None:
    generator = RemoteGenerator(RemoteSettings(address=server, model="m"))
    remote = replace(application, pipeline=RagPipeline(finder=application.pipeline.finder, generator=generator, k=3))
    asked = asked_with(remote, tmp_path)
    assert "with a passage" in asked.answer.text
    card = alone_beside(remote, asked)
    assert "from &lt;memory&gt;" in card
    assert asked.picture
    Path(asked.picture).unlink()
    gone = alone_beside(remote, asked)
    assert 'data-state="error"' in gone
    assert asked.picture not in gone


def test_it_is_asked_for_beside_the_answer_and_goes_with_it(application: Application) -> None:
    page = build_app(application)
    ids = {block.elem_id: block for block in page.blocks.values()}
    assert ids["alone"].parent is ids["answer"].parent is ids["answers"]
    assert (ids["alone"].visible, ids["ask-alone"].interactive) == (False, False)  # type: ignore[attr-defined]
    clicked = [fn for fn in page.fns.values() if (ids["ask"]._id, "click") in fn.targets]
    (hides,) = [fn for fn in clicked if fn.outputs == [ids["alone"]]]
    assert hides.fn is not None
    assert hides.fn().visible is False
