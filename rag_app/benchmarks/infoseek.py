"""InfoSeek (arXiv:2302.11713): JSON Lines of questions, and of question types where those are published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowledge_bases.records import VqaExample
from rag_app.benchmarks.items import Item, only_file
from rag_app.scoring.columns import text_of, texts_of
from rag_app.scoring.rows import Row, read_rows

__all__ = ["SPLITS", "read_infoseek"]

SPLITS = ("val", "human", "test", "train")
_ENDINGS = (".jpg", ".JPEG", ".jpeg", ".png")


def read_infoseek(folder: Path, split: str) -> Iterator[Item]:
    """The questions in the published order; pictures are called as in OVEN, with or without its two-digit folders.

    Args:
        folder: with `infoseek_val.jsonl` and `infoseek_val_qtype.jsonl`, or those of another split.
        split: `val`, `human`, `test` or `train`. A question of which the type is not known is scored as a text.

    Raises:
        InputError: a file is missing or damaged.
        ValueError: a row has other columns.
    """
    rows = read_rows(only_file(folder, [f"infoseek_{split}.jsonl"], "questions"))
    types_file = folder / f"infoseek_{split}_qtype.jsonl"
    types = read_rows(types_file) if types_file.is_file() else {}
    for question_id, row in rows.items():
        kind = types.get(question_id, row).get("question_type") or "String"
        picture = text_of(row, "image_id")
        number = picture.removeprefix("oven_")
        yield Item(
            example=VqaExample(
                question_id=question_id,
                question=text_of(row, "question"),
                answers=_answers(row),
                question_type=str(kind),
            ),
            reference={**row, "question_type": kind},
            pictures=tuple(Path(place, f"{picture}{ending}") for place in (number[:2], "") for ending in _ENDINGS),
        )


def _answers(row: Row) -> tuple[str, ...]:
    return tuple(texts_of(row, "answer")) if row.get("answer") else ()
