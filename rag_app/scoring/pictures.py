"""Questions of Encyclopedic-VQA by picture: each of a row's is one in the published score."""

from __future__ import annotations

from collections.abc import Container, Mapping

from rag_app.scoring.rows import Row

__all__ = ["named_pictures", "picture_id", "with_pictures"]


def named_pictures(row: Row) -> list[str]:
    """The ids of a row's pictures, which `|` separates; none where the column is missing or empty."""
    return [part.strip() for part in str(row.get("dataset_image_ids") or "").split("|") if part.strip()]


def picture_id(question_id: str, place: int) -> str:
    """What the question about a row's picture is called: `7` about the first, `7.2`, `7.3` ... about the further ones.

    Args:
        question_id: of the row.
        place: of the picture in the row, from 1.
    """
    return question_id if place == 1 else f"{question_id}.{place}"


def with_pictures(references: Mapping[str, Row], predictions: Container[str]) -> dict[str, Row]:
    """The references with a question for every picture, where any prediction is about a further one; else as they are.

    Args:
        references: rows of the CSV file by question id.
        predictions: question ids that have one.
    """
    every = {
        picture_id(question_id, place): row
        for question_id, row in references.items()
        for place in range(1, max(1, len(named_pictures(row))) + 1)
    }
    by_picture = any(one in predictions for one in every.keys() - references.keys())
    return every | dict(references) if by_picture else dict(references)
