"""A-OKVQA (arXiv:2206.01718), its direct-answer setting: one JSON file a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowledge_bases.records import VqaExample
from rag_app.benchmarks.items import Item, each_item, number_of, only_file
from rag_app.datasets import RowProblem
from rag_app.scoring.columns import text_of, texts_of
from rag_app.scoring.rows import FileRow, scan_rows

__all__ = ["SPLITS", "read_aokvqa"]

SPLITS = ("val", "train", "test")


def read_aokvqa(folder: Path, split: str) -> Iterator[Item | RowProblem]:
    """The questions in the published order; pictures are called as in COCO 2017.

    Questions marked `difficult_direct_answer`, which the official scorer leaves out, and those of the test split come
    without answers: they are asked and not scored.

    Args:
        folder: with `aokvqa_v1p0_val.json`, or that of another split.
        split: `val`, `train` or `test`.

    Raises:
        InputError: the file is missing or damaged.
    """

    def items(found: FileRow) -> Iterator[Item]:
        row = found.row
        name = f"{number_of(row, 'image_id'):012}.jpg"
        scored = row.get("direct_answers") is not None and row.get("difficult_direct_answer") is not True
        yield Item(
            line=found.line,
            example=VqaExample(
                question_id=str(found.question_id),
                question=text_of(row, "question"),
                answers=tuple(texts_of(row, "direct_answers")) if scored else (),
            ),
            reference=row,
            pictures=(Path(f"{split}2017", name), Path(name)),
        )

    return each_item(scan_rows(only_file(folder, [f"aokvqa_v1p0_{split}.json"], "questions")), items)
