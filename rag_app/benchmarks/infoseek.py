"""InfoSeek (arXiv:2302.11713): JSON Lines of questions, and of question types where those are published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowledge_bases.records import VqaExample
from rag_app.benchmarks.items import Item, each_item, only_file
from rag_app.datasets import RowProblem
from rag_app.scoring.columns import text_of, texts_of
from rag_app.scoring.rows import FileRow, Row, scan_rows

__all__ = ["SPLITS", "places_of_oven", "read_infoseek"]

SPLITS = ("val", "human", "test", "train")
_ENDINGS = (".jpg", ".JPEG", ".jpeg", ".png")


def read_infoseek(folder: Path, split: str) -> Iterator[Item | RowProblem]:
    """The questions in the published order; pictures are called as in OVEN, with or without its two-digit folders.

    Args:
        folder: with `infoseek_val.jsonl` and `infoseek_val_qtype.jsonl`, or those of another split.
        split: `val`, `human`, `test` or `train`. A question of which the type is not published is scored as a text.

    Raises:
        InputError: a file is missing or damaged.
    """
    rows = scan_rows(only_file(folder, [f"infoseek_{split}.jsonl"], "questions"))
    types_file = folder / f"infoseek_{split}_qtype.jsonl"
    found_types = scan_rows(types_file) if types_file.is_file() else []
    types = {one.question_id: one.row for one in found_types if not one.problem}
    faulty = next((one for one in found_types if one.problem), None)

    def items(found: FileRow) -> Iterator[Item]:
        row = found.row
        kind = types.get(found.question_id, row).get("question_type")
        if kind is None and faulty is not None:
            raise ValueError(
                f"its type is not known, since {types_file.name}, {faulty.place}, is faulty: {faulty.problem}"
            )
        kind = kind or "String"
        yield Item(
            line=found.line,
            example=VqaExample(
                question_id=str(found.question_id),
                question=text_of(row, "question"),
                answers=_answers(row),
                question_type=str(kind),
            ),
            reference={**row, "question_type": kind},
            pictures=places_of_oven(text_of(row, "image_id")),
        )

    return each_item(rows, items)


def places_of_oven(picture: str) -> tuple[Path, ...]:
    """Where OVEN's picture of this name, such as `oven_04925662`, may lie: in `04/`, or without a folder."""
    number = picture.removeprefix("oven_")
    return tuple(Path(place, f"{picture}{ending}") for place in (number[:2], "") for ending in _ENDINGS)


def _answers(row: Row) -> tuple[str, ...]:
    return tuple(texts_of(row, "answer")) if row.get("answer") else ()
