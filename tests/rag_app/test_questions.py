from __future__ import annotations

import pytest

from rag_app.errors import InputError
from rag_app.questions import MAX_QUESTION_CHARACTERS, check_instruction, check_question


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00"])
def test_empty(text: str) -> None:
    with pytest.raises(InputError, match="empty; write what you want to know"):
        check_question(text)


def test_far_too_long() -> None:
    with pytest.raises(InputError, match=r"10,000 characters; at most 2,000.*Shorten"):
        check_question("x" * 10_000)


def test_longest_allowed() -> None:
    assert len(check_question("x" * MAX_QUESTION_CHARACTERS)) == MAX_QUESTION_CHARACTERS


@pytest.mark.parametrize("text", ["Какая столица?", "首都はどこですか", "ما هي العاصمة؟", "می‌خواهم", "🏳️‍🌈?"])
def test_other_scripts_are_left_alone(text: str) -> None:
    assert check_question(text) == text


def test_stray_surrogates_and_controls() -> None:
    assert check_question("what\x07 is\udcff it\n?") == "what is? it ?"


def test_an_instruction_may_be_left_out() -> None:
    assert check_instruction(" \n") is None
    assert check_instruction(" Find\nthe page: ") == "Find the page:"
    with pytest.raises(InputError, match=r"400 characters; at most 300.*Shorten"):
        check_instruction("x" * 400)
