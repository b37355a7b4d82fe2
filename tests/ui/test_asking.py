"""What follows a question, without a browser: recognising, correcting, history, feedback, the API call."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch
from PIL import Image

from generator.generation import GenerationSettings
from generator.loading import load_generator
from generator.modes import ReadingMode
from knowledge_bases.records import Passage
from rag_app.answers import Answer
from rag_app.assembly import Application
from rag_app.cli import main
from rag_app.entities import entity_of, recognised
from rag_app.feedback import FeedbackStore
from rag_app.kb_use import KnowledgeInUse
from rag_app.pipeline import RagPipeline
from tests.generator.tiny import save_llava_checkpoint
from tests.tiny import save_picture
from ui.answering import answered, corrected, other_entities, parts_of
from ui.api_call import api_call
from ui.app import build_app
from ui.asked import Asked
from ui.closer import explained
from ui.correcting import offered
from ui.feedback_form import FeedbackForm, add_feedback_export, kept
from ui.history import MOST, history_strip, remembered, returned_to
from ui.passage_pictures import pictures_of
from ui.rendering import recognised_line

LANDS = {"The red land", "The blue land", "<script>x</script>", "首都"}


@pytest.fixture
def asked(application: Application, tmp_path: Path) -> Asked:
    picture = str(save_picture(tmp_path / "red.png"))
    *_, (_, _, _, _, asked) = answered(application, picture, "what is the capital?", "", 3)
    assert asked is not None
    return asked


def test_passages_come_before_the_answer(application: Application) -> None:
    first, last = answered(application, None, "what is the capital?", "", 3)
    assert 'data-state="waiting"' in first[0]
    assert first[2].count('class="card passage"') == 3
    assert first[4] is None
    assert 'data-state="a' in last[0]  # answered or abstained
    assert last[2].count('class="card passage"') == 3
    assert last[4] is not None


def test_the_answer_is_shown_while_it_is_written(application: Application, tmp_path: Path) -> None:
    settings = GenerationSettings(mode=ReadingMode.LONG_CONTEXT, beams=1, max_new_tokens=12, max_prompt_tokens=400)
    checkpoint = save_llava_checkpoint(tmp_path / "llava")
    generator = load_generator(checkpoint, device=torch.device("cpu"), dtype=torch.float32, settings=settings)
    pipeline = RagPipeline(finder=application.pipeline.finder, generator=generator, k=3)
    picture = str(save_picture(tmp_path / "red.png"))
    first, *growing, last = answered(replace(application, pipeline=pipeline), picture, "what is it?", "", 3)
    assert "Reading them" in first[0]
    assert growing
    assert all('<div class="answer-text">' in part[0] and "cursor" in part[0] and part[4] is None for part in growing)
    assert [len(part[0]) for part in growing] == sorted(len(part[0]) for part in growing)
    assert all(part[2].count('class="card passage"') == 3 for part in growing)
    assert "cursor" not in last[0]
    assert last[4] is not None
    assert escape(last[4].answer.text) in growing[-1][0]


def test_what_each_passage_says_is_shown_as_it_comes(application: Application, tmp_path: Path) -> None:
    settings = GenerationSettings(beams=2, max_new_tokens=6, max_prompt_tokens=400)
    checkpoint = save_llava_checkpoint(tmp_path / "llava")
    generator = load_generator(checkpoint, device=torch.device("cpu"), dtype=torch.float32, settings=settings)
    pipeline = RagPipeline(finder=application.pipeline.finder, generator=generator, k=3)
    picture = str(save_picture(tmp_path / "red.png"))
    first, *growing, last = answered(replace(application, pipeline=pipeline), picture, "what is it?", "", 3)
    assert "Reading them" in first[0]
    assert first[2].count("read here") == 0
    for number, part in enumerate(growing, start=1):
        assert f"the best answer of {number} of 3 passages" in part[0]
        assert part[2].count("read here") == number
        assert part[4] is None
    assert len(growing) == 3
    assert last[4] is not None
    assert [one.chosen for one in last[4].answer.candidates].count(True) == 1
    assert last[2].count("read here") == 3


def test_what_is_wrong_is_said_and_nothing_remembered(application: Application, tmp_path: Path) -> None:
    (parts,) = answered(application, None, "  ", "", 3)
    assert "The question is empty" in parts[0]
    assert parts[4] is None
    (parts,) = answered(application, None, "what?", "", 99)
    assert "99 passages were asked for; ask for 1 to 20" in parts[0]
    (parts,) = answered(application, str(tmp_path / "gone.png"), "what?", "", 3)
    assert "There is no picture at the file" in parts[0]


def test_the_passage_that_gave_the_answer_tells_what_it_is(application: Application, asked: Asked) -> None:
    chosen = next(one for one in asked.answer.candidates if one.chosen)
    titles = {found.passage.passage_id: found.passage.title for found in asked.answer.passages}
    assert asked.entity == titles[chosen.passage_id or ""]
    assert asked.entity in LANDS
    assert recognised(Answer(text="x", confidence=0.5), application.knowledge_base) == ""


def test_nothing_is_named_where_no_picture_and_no_answer_tells(asked: Asked) -> None:
    unsure = replace(asked, answer=replace(asked.answer, abstained=True))
    given = replace(asked, answer=replace(asked.answer, abstained=False))
    assert f"<b>{asked.entity}</b>" in parts_of(unsure)[1]  # a picture was
    assert f"About: <b>{asked.entity}</b>" in parts_of(replace(given, picture=None))[1]
    assert asked.entity not in parts_of(replace(unsure, picture=None))[1]
    assert f"You said: <b>{asked.entity}</b>" in parts_of(replace(unsure, picture=None, corrected=True))[1]


def test_world_flags_names_its_countries() -> None:
    def about(passage_id: str) -> str:
        return entity_of(Passage(passage_id=passage_id, title="a title", text="x"), "world_flags")

    assert about("wf-gh-capital") == "Ghana"
    assert about("wf-gb-sct-capital") == "Scotland"
    assert about("note-17") == "a title"
    assert entity_of(Passage(passage_id="wf-gh-capital", title="Gold Coast", text="x"), "mine") == "Gold Coast"


def test_a_person_corrects_what_was_recognised(application: Application, asked: Asked) -> None:
    others = other_entities(application, asked)
    assert set(others) == LANDS - {asked.entity}
    for entity in others:
        card, line, passages, _, again = corrected(application, asked, entity)
        assert again is not None
        assert {found.passage.title for found in again.answer.passages} == {entity}
        assert (again.entity, again.corrected, again.text, again.k) == (entity, True, asked.text, asked.k)
        assert again.asked_id != asked.asked_id
        assert line == recognised_line(entity, corrected=True)
        assert "You said" in line
        assert "<script" not in card + line + passages
        assert asked.entity in other_entities(application, again)


def test_corrections_that_cannot_be(application: Application, asked: Asked) -> None:
    assert "no passage found here is about" in corrected(application, asked, "Atlantis")[0].lower()
    radio = offered(application, asked)
    assert {value for _, value in radio.choices} == LANDS - {asked.entity}
    assert offered(application, None).choices == []
    assert asked.picture
    Path(asked.picture).unlink()
    radio = offered(application, asked)
    assert radio.choices == []
    assert "There is no picture at the file" in str(radio.info)


def test_the_line_of_a_question_in_words(application: Application) -> None:
    *_, parts = answered(application, None, "what is the capital of the red land?", "", 3)
    assert "About: <b>" in parts[1]
    assert recognised_line("<b>") == '<div class="recognised">Recognised: <b>&lt;b&gt;</b></div>'


def test_history_keeps_the_latest(asked: Asked) -> None:
    history: list[Asked] = []
    for number in range(MOST + 5):
        history = remembered(history, replace(asked, asked_id=str(number), text=f"question <{number}>"))
    assert [one.asked_id for one in history] == [str(number) for number in range(MOST + 4, 4, -1)]
    assert remembered(history, history[3]) == history  # one that was returned to
    assert remembered(history, None) == history
    strip = history_strip(history, history[3])
    assert strip.count("data-entry=") == MOST
    assert strip.count('aria-current="true"') == 1
    assert "question &lt;24&gt;" in strip
    assert "<24>" not in strip
    assert strip.count("data:image/jpeg;base64,") == MOST
    assert "kept here" in history_strip([], None)


def test_returning_fills_the_page(asked: Asked) -> None:
    other = replace(asked, asked_id="other", text="something else")
    values = returned_to([other, asked], asked.asked_id)
    assert values[:4] == [asked.picture, "what is the capital?", "", 3]
    assert values[6].count('class="card passage"') == 3
    assert values[8] is asked
    assert asked.picture
    Path(asked.picture).unlink()
    assert returned_to([other, asked], asked.asked_id)[0] is None


def test_feedback_is_kept_with_its_picture(asked: Asked, tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    assert "Kept as right" in kept(store, asked, right=True)
    said = kept(store, asked, right=False, reason=" blurred ", right_answer="Lima")
    assert "Kept as wrong" in said
    (one,) = store
    assert (one.right, one.reason, one.right_answer) == (False, "blurred", "Lima")
    assert (one.question, one.answer, one.preset) == (asked.text, asked.answer.text, "tiny")
    assert one.passage_id in {found.passage.passage_id for found in asked.answer.passages}
    assert one.picture[:2] == b"\xff\xd8"
    assert "longer than 2,000" in kept(store, asked, right=False, reason="x" * 2001)


def test_what_was_asked_is_kept_while_the_page_is_open(application: Application) -> None:
    states = [block for block in build_app(application).blocks.values() if isinstance(block, gr.State)]
    assert len(states) >= 2
    assert {state.time_to_live for state in states} == {math.inf}


def test_what_is_no_longer_kept_is_said(application: Application, asked: Asked, tmp_path: Path) -> None:
    again = "Ask again first: the page no longer keeps what was asked."
    assert again in kept(FeedbackStore(tmp_path / "feedback.sqlite"), None, right=True)
    values = returned_to([asked], "unknown")
    assert again in values[4]
    assert [*values[:4], *values[5:]] == [gr.skip()] * 8
    assert again in explained(application, None, 1)
    assert "Ask a question first" in explained(application, None, None)
    assert offered(application, None).info == again


def test_the_api_call_says_what_was_asked(asked: Asked) -> None:
    call = api_call(replace(asked, text='a "quoted" \\ and\u2028wörd', instruction="find"), "http://host/") or ""
    seen: dict[str, object] = {}

    class Client:
        def __init__(self, address: str) -> None:
            seen["address"] = address

        def predict(self, **arguments: object) -> dict[str, object]:
            seen.update(arguments)
            return {"answer": "", "confidence": 0.5}

    lines = call.replace("from gradio_client import Client, handle_file", "")
    exec(compile(lines, "call", "exec"), {"Client": Client, "handle_file": lambda name: ("file", name)})
    assert seen == {
        "address": "http://host/",
        "picture": ("file", "red.png"),
        "question": 'a "quoted" \\ and\u2028wörd',
        "instruction": "find",
        "k": 3,
        "api_name": "/ask",
    }
    assert "handle_file" not in (api_call(replace(asked, picture=None), "http://host/") or "")
    assert api_call(None, "http://host/") is None


def test_json_of_the_page_is_json(asked: Asked) -> None:
    assert json.loads(json.dumps(asked.answer.as_json()))["passages"]


def test_pictures_of_passages_are_shown(application: Application, tmp_path: Path) -> None:
    """Small, encoded anew; one that cannot be read is left out, and so are those of another knowledge base."""
    save_picture(tmp_path / "blue.png", "blue")
    rows = [
        {"passage_id": "blue", "title": "The blue land", "text": "Its capital is Oslo.", "image": "blue.png"},
        {"passage_id": "none", "title": "The red land", "text": "Its capital is Lima."},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    var = tmp_path / "var"
    files = [str(tmp_path / name) for name in ("rows.jsonl", "blue.png")]
    assert main(["kb", "add", *files, "--kb", "seen", "--var", str(var)]) == 0
    mine = replace(application, var=var)
    KnowledgeInUse(mine).use("seen")
    *_, parts = answered(mine, None, "what is the capital?", "", 2)
    (encoded,) = re.findall(r'<img class="passage-picture" src="data:image/jpeg;base64,([^"]+)"', parts[2])
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as shown:
        assert shown.size == (60, 40)
    assert parts[4] is not None
    assert encoded in str(returned_to([parts[4]], parts[4].asked_id, mine)[6])
    assert encoded not in str(returned_to([parts[4]], parts[4].asked_id, application)[6])
    assert encoded in corrected(mine, parts[4], "The blue land")[2]
    with closing(sqlite3.connect(var / "knowledge_bases" / "seen.sqlite")) as connection, connection:
        connection.execute("UPDATE pictures SET content = ?", [b"no picture"])
    assert pictures_of(mine.store, parts[4].answer) == {}
    assert pictures_of(None, parts[4].answer) == {}


def test_either_thumb_takes_a_reason(asked: Asked, tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    with gr.Blocks(analytics_enabled=False) as page:
        form = FeedbackForm(store)
        form.add_details(gr.State(None))
        add_feedback_export(store)
    parts = {getattr(block, "elem_id", None): block for block in page.blocks.values()}

    def pressed(name: str, *given: Any) -> list[Any]:  # noqa: ANN401 - of the fields
        (fn,) = [fn for fn in page.fns.values() if (parts[name]._id, "click") in fn.targets]
        assert fn.fn is not None
        result: list[Any] = fn.fn(*given)
        return result

    _, said = pressed("feedback-export")
    assert "There is no feedback in feedback.sqlite yet" in said
    told, details, reason, better, was_right = pressed("right", asked)
    assert ("Kept as right" in told, details.visible, better.visible, was_right) == (True, True, False, True)
    assert reason.label == "Why is it right, if you like?"
    pressed("feedback-send", asked, "the map says so", "ignored", was_right)
    (kept_one,) = store
    assert (kept_one.right, kept_one.reason, kept_one.right_answer) == (True, "the map says so", "")
    told, details, reason, better, was_right = pressed("wrong", asked)
    assert (reason.label, better.visible, was_right) == ("What was wrong?", True, False)
    pressed("feedback-send", asked, "it is blue", "Lima", was_right)
    (kept_one,) = store
    assert (kept_one.right, kept_one.reason, kept_one.right_answer) == (False, "it is blue", "Lima")
    file, _ = pressed("feedback-export")
    with zipfile.ZipFile(file.value["path"]) as archive:
        assert json.loads(archive.read("feedback/questions.jsonl"))["reason"] == "it is blue"
    assert pressed("right", None)[1].visible is False
