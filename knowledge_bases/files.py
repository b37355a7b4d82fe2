"""Reads files of which every row has to be sound: passages and questions. For people's own files, with bad rows
reported rather than raised, see `importing`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from knowledge_bases.importing.items import BadRow, Entry, ReadSettings
from knowledge_bases.importing.source import FileSource
from knowledge_bases.importing.tables import csv_rows, json_rows
from knowledge_bases.records import Passage, VqaExample

__all__ = ["read_entries", "read_examples", "read_passages"]


def read_passages(path: Path | str) -> Iterator[Passage]:
    """The passages of `read_entries`."""
    for entry in read_entries(path):
        yield entry.passage


def read_entries(path: Path | str) -> Iterator[Entry]:
    """Passages, with their pictures, from a file, a folder or a zip archive of any kind that `importing.source` reads.

    A row without an id takes "FILE-ROW". A document's relative path is its id, its first heading (or its name) the
    title; where it is long, it is split into several passages.

    Raises:
        ValueError: nothing there, an unknown kind of file, or a bad row; the message names file and line.
    """
    with FileSource([Path(path)]) as source:
        for item in source.items(ReadSettings()):
            if isinstance(item, BadRow):
                raise ValueError(str(item))  # noqa: TRY004
            yield item


def read_examples(path: Path | str) -> Iterator[VqaExample]:
    """Questions from a .jsonl or .csv file in the format of `evaluate`.

    Raises:
        ValueError: no such file, or a bad row; the message names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no question file at {path}; check the path")
    read = csv_rows if path.suffix.lower() == ".csv" else json_rows
    with path.open("rb") as stream:
        for row in read(stream, path.name, "utf-8-sig"):
            if isinstance(row, BadRow):
                raise ValueError(str(row))  # noqa: TRY004
            yield _example(f"{path.name}, line {row.line}", row.values)


def _text(place: str, row: Mapping[str, object], column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{place}: {column} is {type(value).__name__}, not text; put it in quotes")


def _texts(place: str, row: Mapping[str, object], column: str) -> tuple[str, ...]:
    value = row.get(column)
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split("|"))  # a cell of a CSV
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f'{place}: {column} is not a list of texts; write ["...", "..."]')


def _example(place: str, row: Mapping[str, object]) -> VqaExample:
    question_id, question = _text(place, row, "question_id"), _text(place, row, "question")
    image = _text(place, row, "image") or _text(place, row, "img_path")
    if not question_id:
        raise ValueError(f"{place}: no question_id; give every question an id of its own")
    if not question.strip() and not image:
        raise ValueError(f"{place}: neither question nor image; fill at least one of the two")
    return VqaExample(
        question_id=question_id,
        question=question,
        image=Path(image) if image else None,
        answers=_texts(place, row, "answers"),
        pos_passage_ids=_texts(place, row, "pos_passage_ids") or _texts(place, row, "pos_item_ids"),
        question_type=_text(place, row, "question_type"),
        instruction=_text(place, row, "instruction") or None,
    )
