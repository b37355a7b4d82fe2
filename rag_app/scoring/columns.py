"""What the scorers need of a row, under any of the names that published files give it."""

from __future__ import annotations

from collections.abc import Sequence

from rag_app.scoring.rows import Row

__all__ = [
    "ANSWER_KEYS",
    "annotations_of",
    "confidence_of",
    "ids_of",
    "is_null",
    "passage_ids_of",
    "prediction_of",
    "text_of",
    "texts_of",
]

ANSWER_KEYS = ("answer", "prediction", "direct_answer", "predicted_answer", "pred_ans", "text")


def prediction_of(row: Row, *keys: str) -> str:
    """The predicted answer, under the first of the keys that the row has; those of `ANSWER_KEYS` when none are given.

    Raises:
        ValueError: there is none.
    """
    wanted = keys or ANSWER_KEYS
    if is_null(row, wanted):
        raise ValueError(f"{wanted[0]!r} is null; write the answer, or give --missing zero or --missing skip")
    return text_of(row, *wanted)


def is_null(row: Row, keys: Sequence[str]) -> bool:
    """Whether a row has nothing but null under the keys, and has at least one of them."""
    return any(key in row for key in keys) and all(row.get(key) is None for key in keys)


def text_of(row: Row, *keys: str) -> str:
    """The text under the first of the keys that the row has; a number is written out.

    Raises:
        ValueError: none is there, or it is no text.
    """
    for key in keys:
        if (value := row.get(key)) is not None:
            if isinstance(value, str):
                return value
            if isinstance(value, int | float) and not isinstance(value, bool):
                return str(value)
            raise ValueError(f"{key!r} must be a text, not {type(value).__name__}")
    raise ValueError(f"{keys[0]!r} is missing")


def texts_of(row: Row, *keys: str) -> list[str]:
    """The list of texts under the first of the keys that the row has; a single text is a list of one.

    Raises:
        ValueError: none is there, or it is no list of texts.
    """
    for key in keys:
        if (value := row.get(key)) is not None:
            values = [value] if isinstance(value, str) else value
            if isinstance(values, list) and all(isinstance(one, str) for one in values):
                return list(values)
            raise ValueError(f"{key!r} must be a list of texts")
    raise ValueError(f"{keys[0]!r} is missing")


def annotations_of(row: Row) -> list[dict[str, object]]:
    """The annotators' answers of the VQA format; plain texts get an `answer_id` each, as the datasets have.

    Raises:
        ValueError: there are none, or they are neither texts nor objects with an `answer`.
    """
    values = row.get("answers")
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ValueError("'answers' must be a list of texts or of objects with an 'answer'")
    if all(isinstance(value, str) for value in values):
        return [{"answer": value, "answer_id": number} for number, value in enumerate(values, start=1)]
    if all(isinstance(value, dict) and isinstance(value.get("answer"), str) for value in values):
        return [dict(value) for value in values]
    raise ValueError("'answers' must be a list of texts or of objects with an 'answer'")


def passage_ids_of(row: Row) -> list[str]:
    """Ids of the passages found, best first: `passage_ids`, or FLMR's `retrieved_passage` objects.

    Raises:
        ValueError: there are none.
    """
    found = row.get("retrieved_passage")
    if isinstance(found, list) and all(isinstance(one, dict) and "passage_id" in one for one in found):
        return [str(one["passage_id"]) for one in found]
    return ids_of(row, "passage_ids")


def ids_of(row: Row, *keys: str) -> list[str]:
    """The ids under the first of the keys that the row has, as texts: files write them as texts or whole numbers.

    Raises:
        ValueError: none is there, or they are something else.
    """
    for key in keys:
        values = row.get(key)
        if isinstance(values, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in values):
            return [str(one) for one in values]
        if values is not None:
            return texts_of(row, key)
    raise ValueError(f"{keys[0]!r} is missing")


def confidence_of(row: Row) -> float:
    """The confidence of a prediction.

    Raises:
        ValueError: it is missing or no number in [0, 1].
    """
    value = row.get("confidence")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError("'confidence' must be a number in [0, 1]")
    return float(value)
