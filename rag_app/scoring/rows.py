"""Reads files of predictions and references in the formats that the benchmarks and their tools publish.

A file is JSON Lines, CSV, or JSON: a list of rows, an object that holds one under `annotations` or `questions`, or an
object of question ids. A question id is called `question_id`, `data_id`, `questionId` or `id`; where no row of a file
has any, rows are numbered from 0 in their order.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_app.errors import InputError, one_line

__all__ = ["Pair", "Row", "pair_rows", "read_rows"]

_ID_KEYS = ("question_id", "data_id", "questionId", "id")
_LIST_KEYS = ("annotations", "questions", "data", "predictions")

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One question.

    Attributes:
        question_id: its id, as text.
        reference: its row of the references.
        prediction: its row of the predictions; None where it has none.
    """

    question_id: str
    reference: Row
    prediction: Row | None


def read_rows(path: Path) -> dict[str, Row]:
    """The rows of a file by question id, in the file's order.

    Raises:
        InputError: the file is missing, is in no known format, has a faulty row or an id twice, or holds no row.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error
    rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text, path)
    if not rows:
        raise InputError(f"{path} holds no rows")
    return _by_id(rows, path)


def pair_rows(predictions: Mapping[str, Row], references: Sequence[Mapping[str, Row]]) -> list[Pair]:
    """Pairs rows by question, in the order of the first references.

    Args:
        predictions: rows by question id.
        references: the same; columns of later ones are added to the first (InfoSeek keeps its question types apart).

    Raises:
        InputError: no question has a prediction.
    """
    first, *others = references
    pairs = [
        Pair(
            question_id=question_id,
            reference={key: value for rows in (*others, first) for key, value in rows.get(question_id, {}).items()},
            prediction=predictions.get(question_id),
        )
        for question_id in first
    ]
    if all(pair.prediction is None for pair in pairs):
        raise InputError(
            f"no question of the references has a prediction (ids such as {next(iter(first))!r} there, "
            f"{next(iter(predictions))!r} in the predictions); check that the files belong together"
        )
    return pairs


def _json_rows(text: str, path: Path) -> list[tuple[str, Any]]:
    """(what to call the row in errors, row) of every row."""
    if path.suffix.lower() == ".jsonl":
        return _json_lines(text, path)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        if path.suffix.lower() == ".json" and text.lstrip()[:1] == "[":
            raise InputError(f"{path} is no JSON: {one_line(error)}") from error
        return _json_lines(text, path)
    if isinstance(whole, dict):
        key = next((key for key in _LIST_KEYS if isinstance(whole.get(key), list)), None)
        if key is not None:
            whole = whole[key]
        elif not any(name in whole for name in _ID_KEYS):
            return [(f"entry {name!r}", _with_id(name, value)) for name, value in whole.items()]
    if not isinstance(whole, list):
        whole = [whole]
    return [(f"row {number}", row) for number, row in enumerate(whole, start=1)]


def _with_id(name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    columns = value if isinstance(value, dict) else {"answer": value}
    return {**columns, "question_id": name}


def _json_lines(text: str, path: Path) -> list[tuple[str, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append((f"row {number}", json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, row {number}: {one_line(error)}") from error
    return rows


def _csv_rows(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV: {one_line(error)}") from error
    return [
        (f"row {number}", {key: value for key, value in row.items() if key is not None and value is not None})
        for number, row in enumerate(rows, start=1)
    ]


def _by_id(rows: Sequence[tuple[str, Any]], path: Path) -> dict[str, Row]:
    for place, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{path}, {place}: a row must be a JSON object, not {type(row).__name__}")
    numbered = not any(_id(row) is not None for _, row in rows)
    by_id: dict[str, Row] = {}
    for position, (place, row) in enumerate(rows):
        question_id = str(position) if numbered else _id(row)
        if question_id is None:
            raise InputError(f"{path}, {place}: it has no question_id")
        if question_id in by_id:
            raise InputError(f"{path}, {place}: question_id {question_id!r} comes twice")
        by_id[question_id] = row
    return by_id


def _id(row: Row) -> str | None:
    value = next((row[key] for key in _ID_KEYS if row.get(key) is not None), None)
    return None if value is None else str(value)
