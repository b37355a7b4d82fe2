"""Rows of the M2KR benchmark (PreFLMR, arXiv 2402.08327) as records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from knowledge_bases.records import Passage, VqaExample

__all__ = ["example_from_m2kr", "passage_from_m2kr"]


def passage_from_m2kr(row: Mapping[str, object], place: str = "M2KR row") -> Passage:
    """A row of a `_passages` configuration: passage_id, passage_content. It is indexed as stored, so it has no title.

    Raises:
        ValueError: a column is missing or not text.
    """
    content = _required(row, "passage_content", place)
    return Passage(passage_id=_required(row, "passage_id", place), text=content, source="M2KR")


def example_from_m2kr(row: Mapping[str, object], place: str = "M2KR row") -> VqaExample:
    """A row of a `_data` configuration: question_id, question, instruction, img_path, pos_item_ids, answers.

    The question of an image-captioning row is null, and so is the picture of a text-only row; gold_answer stands in
    for answers where those are missing.

    Raises:
        ValueError: question_id is missing, or a column has the wrong type.
    """
    answers = _list(row, "answers", place)
    gold = _optional(row, "gold_answer", place)
    image = _optional(row, "img_path", place)
    return VqaExample(
        question_id=_required(row, "question_id", place),
        question=_optional(row, "question", place),
        image=Path(image) if image else None,
        answers=answers or ((gold,) if gold else ()),
        pos_passage_ids=_list(row, "pos_item_ids", place),
        question_type=_optional(row, "question_type", place),
        instruction=_optional(row, "instruction", place) or None,
    )


def _required(row: Mapping[str, object], column: str, place: str) -> str:
    text = _optional(row, column, place)
    if not text:
        raise ValueError(f"{place}: no {column}; check that this is the right M2KR configuration")
    return text


def _optional(row: Mapping[str, object], column: str, place: str) -> str:
    value = row.get(column)
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"{place}: {column} is {type(value).__name__}, not text; check the M2KR configuration")


def _list(row: Mapping[str, object], column: str, place: str) -> tuple[str, ...]:
    value = row.get(column)
    if value is None:
        return ()
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"{place}: {column} is not a list of texts; check the M2KR configuration")
