"""The predictions file of an evaluation: grows a row a question, and can be carried on after any interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rag_app.errors import InputError, one_line

__all__ = ["Prediction", "append_predictions", "read_predictions"]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row: the answer to one question and the passages found for it, best first."""

    question_id: str
    answer: str
    confidence: float
    passage_ids: tuple[str, ...]


def read_predictions(path: Path) -> dict[str, Prediction]:
    """The rows written so far, by question_id. A last line that was cut off in writing is removed from the file.

    Raises:
        InputError: another line is damaged.
        OSError: the file cannot be read or repaired.
    """
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    predictions = {prediction.question_id: prediction for prediction in _rows(whole, path)}
    if len(whole) != len(content):
        os.truncate(path, len(whole))
    return predictions


def _rows(content: bytes, path: Path) -> Iterator[Prediction]:
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
            yield Prediction(
                question_id=str(row["question_id"]),
                answer=str(row["answer"]),
                confidence=float(row["confidence"]),
                passage_ids=tuple(map(str, row["passage_ids"])),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path}, row {number} is damaged ({one_line(error)}); delete the file to start again"
            ) from error


def append_predictions(
    path: Path, predictions: Iterable[Prediction], *, integer_ids: Container[str] = frozenset()
) -> None:
    """Adds rows and has them on disk before it returns.

    Args:
        path: the file; created when missing.
        predictions: the rows.
        integer_ids: the question_ids to write as numbers, as in the dataset.
    """
    with path.open("a", encoding="utf-8") as file:
        for prediction in predictions:
            row = asdict(prediction)
            if prediction.question_id in integer_ids:
                row["question_id"] = int(prediction.question_id)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
