"""Checks the text of a question before any model is loaded for it."""

from __future__ import annotations

import unicodedata

from rag_app.errors import InputError

__all__ = ["MAX_INSTRUCTION_CHARACTERS", "MAX_QUESTION_CHARACTERS", "check_instruction", "check_question"]

MAX_INSTRUCTION_CHARACTERS = 300
MAX_QUESTION_CHARACTERS = 2_000


def check_question(text: str) -> str:
    """The question on one line, without control characters and stray surrogates.

    A question that is far too long is an error rather than cut: what would be cut is usually the question itself.

    Raises:
        InputError: it is empty, or longer than `MAX_QUESTION_CHARACTERS`.
    """
    if len(text) > MAX_QUESTION_CHARACTERS:
        raise InputError(
            f"the question has {len(text):,} characters; at most {MAX_QUESTION_CHARACTERS:,} are read. Shorten it"
        )
    cleaned = _on_one_line(text)
    if not cleaned:
        raise InputError("the question is empty; write what you want to know about the picture")
    return cleaned


def check_instruction(text: str) -> str | None:
    """The retrieval instruction on one line; None, which takes the default, where it is empty.

    Raises:
        InputError: it is longer than `MAX_INSTRUCTION_CHARACTERS`.
    """
    if len(text) > MAX_INSTRUCTION_CHARACTERS:
        raise InputError(
            f"the instruction has {len(text):,} characters; at most {MAX_INSTRUCTION_CHARACTERS} are read. Shorten it"
        )
    return _on_one_line(text) or None


def _on_one_line(text: str) -> str:
    sound = text.encode("utf-8", errors="replace").decode("utf-8")
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in sound).split())
