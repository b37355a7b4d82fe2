from __future__ import annotations

import random
import re
from pathlib import Path

from knowledge_bases.records import VqaExample
from rag_app.text_questions import about_nothing, named_questions, nonsense, unanswerable_text_questions


def example(question: str, question_type: str = "capital") -> VqaExample:
    return VqaExample(
        question_id="1",
        image=Path("jp-1.jpg"),
        question=question,
        answers=("Tokyo",),
        pos_passage_ids=("wf-jp-capital",),
        question_type=question_type,
    )


def test_the_country_takes_the_place_of_the_picture() -> None:
    rng = random.Random(0)
    asked = [
        "What is this country's capital?",
        "What is the capital?",
        "Which seat of government has the country that has it?",
    ]
    named = named_questions([example(question) for question in asked], rng)
    assert named[0][0].text == "What is Japan's capital?"
    for question, (one, answers) in zip(asked[1:], named[1:], strict=True):
        assert one.text in (f"{question} (Japan)", f"Japan: {question}")
        assert answers == ("Tokyo",)
    assert all(one.image is None for one, _ in named)
    assert named_questions([example("Which country is this?", "country_name")], rng) == []


def test_there_are_questions_that_nothing_answers() -> None:
    rng = random.Random(0)
    texts = [question.text for question in unanswerable_text_questions("test", 30, rng)]
    assert len(texts) == 30
    assert not any(re.search("this country", text) for text in texts)
    assert all(question.text.strip() for question in about_nothing("validation", rng))
    made = {nonsense(rng) for _ in range(200)}
    assert len(made) > 150
