"""OK-VQA (arXiv:1906.00067): the questions and the annotations, in two JSON files a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowledge_bases.records import VqaExample
from rag_app.benchmarks.items import Item, each_item, number_of, only_file
from rag_app.datasets import RowProblem
from rag_app.scoring.columns import annotations_of, text_of
from rag_app.scoring.rows import FileRow, scan_rows

__all__ = ["SPLITS", "read_okvqa"]

SPLITS = ("val", "train")


def read_okvqa(folder: Path, split: str) -> Iterator[Item | RowProblem]:
    """The questions in the published order; pictures are called as in COCO 2014.

    Args:
        folder: with `OpenEnded_mscoco_val2014_questions.json` and `mscoco_val2014_annotations.json`, or those of train.
        split: `val` or `train`.

    Raises:
        InputError: a file is missing or damaged.
    """
    year = f"{split}2014"
    questions = scan_rows(only_file(folder, [f"OpenEnded_mscoco_{year}_questions.json"], "questions"))
    annotations = scan_rows(only_file(folder, [f"mscoco_{year}_annotations.json"], "annotations"))
    by_question = {one.question_id: one.row for one in annotations if not one.problem}

    def items(found: FileRow) -> Iterator[Item]:
        if found.question_id not in by_question:
            raise ValueError("it has no sound annotation; check that the files are whole")
        reference = by_question[found.question_id]
        name = f"COCO_{year}_{number_of(found.row, 'image_id'):012}.jpg"
        yield Item(
            line=found.line,
            example=VqaExample(
                question_id=str(found.question_id),
                question=text_of(found.row, "question"),
                answers=tuple(str(one["answer"]) for one in annotations_of(reference)),
                question_type=str(reference.get("question_type") or ""),
            ),
            reference=reference,
            pictures=(Path(year, name), Path(name)),
        )

    return each_item(questions, items)
