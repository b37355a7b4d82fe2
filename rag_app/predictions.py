"""The predictions of an evaluation: files that grow a row a question, and can be carried on after any interruption.

`predictions.jsonl` is what other programs read. `details.jsonl` holds beside it what only the report needs; its rows
are written first, so that every prediction has its details.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from rag_app.atomic import write_text
from rag_app.errors import InputError, one_line

__all__ = [
    "Detail",
    "Prediction",
    "append_details",
    "append_predictions",
    "read_details",
    "read_predictions",
    "write_details",
    "write_predictions",
]

_Row = TypeVar("_Row")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row: the answer to one question and the passages found for it, best first."""

    question_id: str
    answer: str
    confidence: float
    passage_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Detail:
    """What else is known of a prediction.

    Attributes:
        question_id: of the question.
        abstained: whether the application would have withheld the answer.
        passage_scores: late-interaction scores of the passages, best first.
    """

    question_id: str
    abstained: bool
    passage_scores: tuple[float, ...]


def read_predictions(path: Path) -> dict[str, Prediction]:
    """The rows written so far, by question_id. A last line that was cut off in writing is removed from the file.

    Raises:
        InputError: another line is damaged.
        OSError: the file cannot be read or repaired.
    """
    return {prediction.question_id: prediction for prediction in _rows(path, _prediction)}


def read_details(path: Path) -> dict[str, Detail]:
    """As `read_predictions`, of the details."""
    return {detail.question_id: detail for detail in _rows(path, _detail)}


def append_predictions(
    path: Path, predictions: Iterable[Prediction], *, integer_ids: Container[str] = frozenset()
) -> None:
    """Adds rows and has them on disk before it returns.

    Args:
        path: the file; created when missing.
        predictions: the rows.
        integer_ids: the question_ids to write as numbers, as in the dataset.
    """
    _append(path, _lines(predictions, integer_ids))


def append_details(path: Path, details: Iterable[Detail], *, integer_ids: Container[str] = frozenset()) -> None:
    """As `append_predictions`, of the details."""
    _append(path, _lines(details, integer_ids))


def write_predictions(
    path: Path, predictions: Iterable[Prediction], *, integer_ids: Container[str] = frozenset()
) -> None:
    """Replaces the file in one step."""
    write_text(path, _lines(predictions, integer_ids))


def write_details(path: Path, details: Iterable[Detail], *, integer_ids: Container[str] = frozenset()) -> None:
    """As `write_predictions`, of the details."""
    write_text(path, _lines(details, integer_ids))


def _lines(rows: Iterable[Prediction] | Iterable[Detail], integer_ids: Container[str]) -> str:
    lines = []
    for one in rows:
        row = asdict(one)
        if one.question_id in integer_ids:
            row["question_id"] = int(one.question_id)
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _prediction(row: Mapping[str, Any]) -> Prediction:
    return Prediction(
        question_id=str(row["question_id"]),
        answer=str(row["answer"]),
        confidence=float(row["confidence"]),
        passage_ids=tuple(map(str, row["passage_ids"])),
    )


def _detail(row: Mapping[str, Any]) -> Detail:
    return Detail(
        question_id=str(row["question_id"]),
        abstained=bool(row["abstained"]),
        passage_scores=tuple(map(float, row["passage_scores"])),
    )


def _rows(path: Path, make: Callable[[Mapping[str, Any]], _Row]) -> Iterator[_Row]:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        try:
            yield make(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path}, row {number} is damaged ({one_line(error)}); delete the file to start again"
            ) from error
    if len(whole) != len(content):
        os.truncate(path, len(whole))
