"""Encyclopedic-VQA (arXiv:2306.09224): one CSV file a split, with the pictures of iNaturalist 2021 and of Landmarks v2.

A row names up to five pictures, each a question of its own in the published score; so they are here. Landmarks are
found by their id; the names of iNaturalist's files stand in that data set's own `train.json` and `val.json`, which are
looked for in `inat/` below each folder of pictures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

from knowledge_bases.records import VqaExample
from rag_app.benchmarks.items import Item, each_item, only_file
from rag_app.datasets import RowProblem
from rag_app.errors import reported_as_input
from rag_app.metrics.evqa import split_references
from rag_app.scoring.columns import text_of
from rag_app.scoring.pictures import named_pictures, picture_id
from rag_app.scoring.rows import FileRow, Row, scan_rows

__all__ = ["SPLITS", "read_evqa"]

SPLITS = ("test", "val", "train")
_OBJECT = re.compile(r"\{[^{}]*\}")
_CHARACTERS_AT_ONCE = 1 << 24  # iNaturalist's train.json has about a gigabyte


def read_evqa(folder: Path, split: str, *, images: Sequence[Path]) -> Iterator[Item | RowProblem]:
    """The questions in the published order, numbered from 0; further pictures of row 7 are `7.2`, `7.3` ...

    Args:
        folder: with `test.csv`, `val.csv` or `train.csv`.
        split: which.
        images: folders of the pictures, in `inat/` and `google-landmark/train/`.

    Raises:
        InputError: a file is missing or damaged.
    """
    rows = scan_rows(only_file(folder, [f"{split}.csv"], "questions"))
    wanted = {
        picture for one in rows if one.row.get("dataset_name") == "inaturalist" for picture in named_pictures(one.row)
    }
    names: dict[str, str] = {}
    for folder_of_names in (one / "inat" for one in images):
        with reported_as_input(f"names of pictures in {folder_of_names}", kinds=(OSError, ValueError, KeyError)):
            names = _inaturalist_names(folder_of_names, wanted) | names

    def items(found: FileRow) -> Iterator[Item]:
        row = found.row
        for place, picture in enumerate(_pictures(row), start=1):
            yield Item(
                line=found.line,
                example=VqaExample(
                    question_id=picture_id(f"{found.question_id}", place),
                    question=text_of(row, "question"),
                    answers=tuple(split_references(text_of(row, "answer"))),
                    question_type=text_of(row, "question_type"),
                ),
                reference=row,
                pictures=_places(text_of(row, "dataset_name"), picture, names),
            )

    return each_item(rows, items)


def _pictures(row: Row) -> list[str]:
    found = named_pictures(row)
    if not found:
        raise ValueError("'dataset_image_ids' names no picture")
    return found


def _places(dataset: str, picture: str, names: Mapping[str, str]) -> tuple[Path, ...]:
    if dataset == "landmarks":
        return (Path("google-landmark", "train", *picture[:3], f"{picture}.jpg"), Path(f"{picture}.jpg"))
    return (Path("inat", names.get(picture, f"{picture}.jpg")), Path(f"{picture}.jpg"))


def _inaturalist_names(folder: Path, wanted: Container[str]) -> dict[str, str]:
    """`id` -> `file_name` of the pictures that are asked about, read piece by piece."""
    names: dict[str, str] = {}
    for path in (folder / "val.json", folder / "train.json"):
        if not path.is_file():
            continue
        with path.open(encoding="utf-8") as stream:
            rest = ""
            while piece := stream.read(_CHARACTERS_AT_ONCE):
                text, end = rest + piece, 0
                for found in _OBJECT.finditer(text):
                    end = found.end()
                    if '"file_name"' in found.group():
                        picture = json.loads(found.group())
                        if str(picture["id"]) in wanted:
                            names[str(picture["id"])] = str(picture["file_name"])
                rest = text[end:]
    return names
