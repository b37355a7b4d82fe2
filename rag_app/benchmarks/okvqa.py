"""OK-VQA (arXiv:1906.00067): the questions and the annotations, in two JSON files a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowledge_bases.records import VqaExample
from rag_app.benchmarks.items import Item, only_file
from rag_app.errors import InputError
from rag_app.scoring.columns import annotations_of, text_of
from rag_app.scoring.rows import read_rows

__all__ = ["SPLITS", "read_okvqa"]

SPLITS = ("val", "train")


def read_okvqa(folder: Path, split: str) -> Iterator[Item]:
    """The questions in the published order; pictures are called as in COCO 2014.

    Args:
        folder: with `OpenEnded_mscoco_val2014_questions.json` and `mscoco_val2014_annotations.json`, or those of train.
        split: `val` or `train`.

    Raises:
        InputError: a file is missing or damaged, or a question has no annotation.
        ValueError: a row has other columns.
    """
    year = f"{split}2014"
    questions = read_rows(only_file(folder, [f"OpenEnded_mscoco_{year}_questions.json"], "questions"))
    annotations = read_rows(only_file(folder, [f"mscoco_{year}_annotations.json"], "annotations"))
    for question_id, row in questions.items():
        if question_id not in annotations:
            raise InputError(f"question {question_id} has no annotation in {folder}; check that the files are whole")
        reference = annotations[question_id]
        name = f"COCO_{year}_{int(text_of(row, 'image_id')):012}.jpg"
        yield Item(
            example=VqaExample(
                question_id=question_id,
                question=text_of(row, "question"),
                answers=tuple(str(one["answer"]) for one in annotations_of(reference)),
                question_type=str(reference.get("question_type") or ""),
            ),
            reference=reference,
            pictures=(Path(year, name), Path(name)),
        )
