"""Reads files of predictions and references in the formats that the benchmarks and their tools publish.

A file is JSON Lines, CSV, parquet, or JSON: a list of rows, an object that holds one under `annotations` or
`questions`, or an object of question ids. A question id is called `question_id`, `data_id`, `questionId` or `id`; where
no row of a file has any, rows are numbered from 0 in their order.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_app.errors import InputError, one_line, reported_as_input

__all__ = ["FileRow", "Pair", "Row", "pair_rows", "read_rows", "scan_rows"]

_ID_KEYS = ("question_id", "data_id", "questionId", "id")
_LIST_KEYS = ("annotations", "questions", "data", "predictions")

_ODD_BYTE = re.compile("[\udc80-\udcff]")
_NOT_UTF8 = "it cannot be read: it is not UTF-8"

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


@dataclass(frozen=True, kw_only=True)
class FileRow:
    """One row of a file.

    Attributes:
        line: its number in the file, from 1: of lines in JSON Lines, of rows elsewhere.
        place: what to call it in errors.
        question_id: its id, as text; None where it has none.
        row: its columns; empty where it cannot be used.
        problem: why it cannot be used; "" where it can.
    """

    line: int
    place: str
    question_id: str | None = None
    row: Row = field(default_factory=dict)
    problem: str = ""


def read_rows(path: Path) -> dict[str, Row]:
    """The rows of a file by question id, in the file's order.

    Raises:
        InputError: the file is missing, is in no known format, has a faulty row or an id twice, or holds no row.
    """
    rows = scan_rows(path)
    if faulty := next((one for one in rows if one.problem), None):
        raise InputError(f"{path}, {faulty.place}: {faulty.problem}")
    return {one.question_id: one.row for one in rows if one.question_id is not None}


def scan_rows(path: Path) -> list[FileRow]:
    """As `read_rows`, but rows with a fault stand among the others and say what it is.

    Raises:
        InputError: the file is missing, is in no known format, or holds no row.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}; check the path") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error
    if path.suffix.lower() == ".parquet":
        rows = _parquet_rows(content, path)
    else:
        text = content.decode("utf-8-sig", errors="surrogateescape")
        rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text, path)
    if not rows:
        raise InputError(f"{path} holds no rows")
    return _with_ids(rows)


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


class _Fault(str):
    """What is wrong with a row, in place of the row."""


_Found = tuple[int, str, Any]
"""(number from 1, what to call the row in errors, row or `_Fault`)"""


def _parquet_rows(content: bytes, path: Path) -> list[_Found]:
    from knowledge_bases.importing.columnar import parquet_rows

    with reported_as_input(str(path)):
        return [_found(row.line, row.values) for row in parquet_rows(io.BytesIO(content), lambda done, total: None)]


def _json_rows(text: str, path: Path) -> list[_Found]:
    if path.suffix.lower() == ".jsonl":
        return _json_lines(text)
    whole = _json(text)
    if isinstance(whole, _Fault):
        if path.suffix.lower() == ".json" and text.lstrip()[:1] == "[":
            raise InputError(f"{path} is no JSON: {whole}")
        return _json_lines(text)
    if isinstance(whole, dict):
        key = next((key for key in _LIST_KEYS if isinstance(whole.get(key), list)), None)
        if key is not None:
            whole = whole[key]
        elif not any(name in whole for name in _ID_KEYS):
            named = enumerate(whole.items(), start=1)
            return [(number, f"entry {name!r}", _with_id(name, value)) for number, (name, value) in named]
    if not isinstance(whole, list):
        whole = [whole]
    return [_found(number, row) for number, row in enumerate(whole, start=1)]


def _found(number: int, row: Any) -> _Found:  # noqa: ANN401 - any JSON value
    return number, f"row {number}", row


def _with_id(name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    columns = value if isinstance(value, dict) else {"answer": value}
    return {**columns, "question_id": name}


def _json_lines(text: str) -> list[_Found]:
    return [_found(number, _json(line)) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _json(line: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return _Fault(_NOT_UTF8) if _has_odd_bytes(line) else json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Fault(one_line(error))


def _has_odd_bytes(text: str) -> bool:
    """Whether bytes of the file were no UTF-8. Half a character that JSON's own escape stands for is none of them."""
    return _ODD_BYTE.search(text) is not None


def _csv_rows(text: str, path: Path) -> list[_Found]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # beyond it, lines of a long field pass for rows
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = reader.fieldnames
    except csv.Error as error:
        raise InputError(f"{path} is no CSV: {one_line(error)}") from error
    return [_found(number, row) for number, row in enumerate(_csv_values(reader) if header else (), start=1)]


def _csv_values(reader: csv.DictReader[str]) -> Iterator[Any]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Fault(f"{one_line(error)}; check the quotes")
            continue
        values = {key: value for key, value in row.items() if key is not None and value is not None}
        yield _Fault(_NOT_UTF8) if any(map(_has_odd_bytes, values.values())) else values


def _with_ids(found: Sequence[_Found]) -> list[FileRow]:
    numbered = not any(isinstance(row, dict) and _id(row) is not None for _, _, row in found)
    rows: list[FileRow] = []
    places: dict[str, str] = {}
    for position, (line, place, row) in enumerate(found):
        question_id, problem = None, ""
        if isinstance(row, _Fault):
            problem = str(row)
        elif not isinstance(row, dict):
            problem = f"a row must be a JSON object, not {type(row).__name__}"
        else:
            question_id = str(position) if numbered else _id(row)
            if question_id is None:
                problem = "it has no question_id"
            elif question_id in places:
                problem = f"question_id {question_id!r} comes twice, first in {places[question_id]}"
            else:
                places[question_id] = place
        sound = row if not problem else {}
        rows.append(FileRow(line=line, place=place, question_id=question_id, row=sound, problem=problem))
    return rows


def _id(row: Row) -> str | None:
    value = next((row[key] for key in _ID_KEYS if row.get(key) is not None), None)
    return None if value is None else str(value)
