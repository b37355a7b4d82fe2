"""The closer look without a browser: what its handlers return."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import gradio as gr
import pytest

from rag_app.assembly import Application
from tests.tiny import save_picture
from ui.asked import Asked, visual_question
from ui.closer import explained, refreshed
from ui.deep_links import fields_of
from ui.explanation import explanation_card

QUESTION = "what <is> the capital?"


@pytest.fixture
def asked(application: Application, tmp_path: Path) -> Asked:
    picture = str(save_picture(tmp_path / "red.png"))
    answer = application.pipeline.taking(6).invoke(visual_question(picture, QUESTION, None))
    return Asked(picture=picture, text=QUESTION, instruction=None, k=6, answer=answer)


def test_every_passage_is_explained_by_itself(application: Application, asked: Asked) -> None:
    cards = [explained(application, asked, rank) for rank in range(1, 7)]
    assert len(set(cards)) == 6
    for card, found in zip(cards, asked.answer.passages, strict=True):
        assert 'data-state="explained"' in card
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d\d", card.partition("</span>")[0])]
        assert len(numbers) == 4  # text, picture as a whole, patches, score
        assert sum(numbers[:3]) == pytest.approx(numbers[3], abs=1e-9)
        assert numbers[3] == pytest.approx(found.score, abs=0.05)
        words = re.search(r"the words give (-?[\d.]+) and the marks around them (-?[\d.]+\d)", card)
        assert words
        assert float(words[1]) + float(words[2]) == pytest.approx(numbers[0], abs=0.015)
        assert card.count('class="patch"') == 16
        assert "<script" not in card


def test_the_heat_map_lies_over_the_part_that_was_looked_at(application: Application, asked: Asked) -> None:
    finder = application.pipeline.finder
    assert finder is not None
    question, passage = visual_question(asked.picture, QUESTION, None), asked.answer.passages[0].passage
    image, found = question.image, finder.explain(question, passage)
    assert image is not None
    width, height = image.size
    cards = [
        explanation_card(replace(found, seen=seen), question=QUESTION, content=passage.content, score=1.0, image=image)
        for seen in ((0.0, 0.0, width, height), (width / 4, 0.0, width / 2, height))
    ]
    assert "left:0.000%;top:0.000%;width:100.000%" in cards[0]
    assert "only the part under the grid" not in cards[0]
    assert "left:25.000%;top:0.000%;width:25.000%;height:100.000%" in cards[1]
    assert "only the part under the grid was looked at" in cards[1]


def test_hostile_passages_and_questions_stay_text(application: Application, asked: Asked) -> None:
    rank = next(i for i, found in enumerate(asked.answer.passages, start=1) if found.passage.passage_id == "hostile")
    card = explained(application, asked, rank)
    assert "<script" not in card
    assert "<b onclick" not in card
    assert "<is>" not in card
    bare = unescape(re.sub(r"<[^>]*>", "", card.partition("<h3>Passage</h3>")[2]))
    assert "<script>x</script>. <b onclick=x>Bold & ${1+1} {{braces}}</b>" in bare


def test_a_picture_that_is_gone_is_said_kindly(application: Application, asked: Asked) -> None:
    assert asked.picture
    Path(asked.picture).unlink()
    card = explained(application, asked, 1)
    assert 'data-state="error"' in card
    assert asked.picture not in card


def test_nothing_asked_nothing_shown(application: Application, asked: Asked) -> None:
    assert "Ask a question first" in explained(application, None, None)
    assert "Ask a question first" in explained(application, asked, 99)
    choice, why, candidates, copy = refreshed(None)
    assert isinstance(choice, gr.Radio)
    assert (choice.choices, why, copy) == ([], "", None)
    assert "Ask a question first" in candidates


def test_what_is_shown_of_an_answer(asked: Asked) -> None:
    choice, _, candidates, copy = refreshed(asked)
    assert [value for _, value in choice.choices] == [1, 2, 3, 4, 5, 6]
    assert candidates.count("<tr") == 7
    assert candidates.count("✓ chosen") == 1
    (chosen,) = (one for one in asked.answer.candidates if one.chosen)
    assert f"{100 * chosen.answer_probability:.1f} %" in candidates
    assert "<script" not in candidates
    everything = json.loads(copy)
    assert everything["question"] == QUESTION
    assert everything["passages"] == asked.answer.as_json()["passages"]


def test_links_fill_in_what_makes_sense() -> None:
    assert fields_of({"q": "what?", "k": "7", "instruction": "find"}, smallest=1, largest=20) == ("what?", 7, "find")
    assert fields_of({}, smallest=1, largest=20) == (None, None, None)
    for number in ("0", "21", "x", "-3", "²", "9" * 5000):
        assert fields_of({"k": number}, smallest=1, largest=20)[1] is None
    assert len(fields_of({"q": "x" * 9999}, smallest=1, largest=20)[0] or "") == 2000
