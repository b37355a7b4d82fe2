"""Prompts, letter by letter."""

from __future__ import annotations

import pytest

from generator.prompts import chat_prompt, knowledge_prompt


@pytest.mark.parametrize(
    ("question", "knowledge", "expected"),
    [
        ("What is it?", "A bird. It flies.", "Question: What is it? Knowledge: A bird. It flies. Answer:"),
        ("What is it?", None, "Question: What is it? Answer:"),
        (
            "<BOQ>Who?<EOQ><BOC>a man<EOC><BOV>hat<SOV>tie<EOV>",
            None,
            "Question: Who?Caption: a manObjects: hat, tie. Answer:",
        ),
        ("  spaces  ", "", "Question: spaces Knowledge:  Answer:"),
    ],
)
def test_prompts_are_those_of_ra_vqa(question: str, knowledge: str | None, expected: str) -> None:
    assert knowledge_prompt(question, knowledge) == expected


def test_chat_models_are_told_to_be_brief() -> None:
    assert chat_prompt("Who?", "A man.") == (
        "Knowledge: A man.\nQuestion: Who?\nAnswer the question using a single word or phrase."
    )
    assert chat_prompt("Who?", None) == "Question: Who?\nAnswer the question using a single word or phrase."
