"""Reads VQA datasets: JSON Lines with a question a row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from knowledge_bases.records import VqaExample
from rag_app.errors import InputError, one_line

__all__ = ["Dataset", "load_dataset"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The questions of a file.

    Attributes:
        path: the file.
        images: the folder that the examples' pictures are relative to.
        examples: the questions, in the file's order.
        sha256: of the file's bytes.
        integer_ids: the question_ids that are whole numbers in the file, so that they can be written back as such.
    """

    path: Path
    images: Path
    examples: tuple[VqaExample, ...]
    sha256: str
    integer_ids: frozenset[str] = frozenset()

    def picture_of(self, example: VqaExample) -> Path | None:
        """Where an example's picture lies."""
        return None if example.image is None else self.images / example.image


def load_dataset(path: Path, *, images: Path | None = None) -> Dataset:
    """Reads rows `{"question_id", "image", "question", "answers"}`, optionally with `pos_passage_ids`,
    `question_type` and `instruction`, and checks that every picture is there.

    Args:
        path: the JSON Lines file.
        images: folder of the pictures; the file's own folder when not given.

    Raises:
        InputError: the file is missing or has a faulty row (its number is in the message), a question_id comes twice,
            or a picture is missing.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"there is no dataset at {path}; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"dataset {path} cannot be read: {one_line(error)}") from error
    integer_ids: set[str] = set()
    examples = tuple(_examples(text, path, integer_ids))
    if not examples:
        raise InputError(f"dataset {path} holds no questions")
    dataset = Dataset(
        path=path,
        images=images or path.parent,
        examples=examples,
        sha256=hashlib.sha256(content).hexdigest(),
        integer_ids=frozenset(integer_ids),
    )
    _check_pictures(dataset)
    return dataset


def _examples(text: str, path: Path, integer_ids: set[str]) -> Iterator[VqaExample]:
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            example = _example(row)
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}, row {number}: {one_line(error)}") from error
        if example.question_id in seen:
            first = seen[example.question_id]
            raise InputError(f"{path}, row {number}: question_id {example.question_id!r} is already in row {first}")
        seen[example.question_id] = number
        if isinstance(row["question_id"], int):
            integer_ids.add(example.question_id)
        yield example


def _example(row: Any) -> VqaExample:  # noqa: ANN401 - any JSON value
    if not isinstance(row, dict):
        raise TypeError("a row must be a JSON object")
    for key in ("question_id", "image", "question", "answers"):
        if key not in row:
            raise ValueError(f"{key!r} is missing")
    question_id, image = row["question_id"], row["image"]
    if isinstance(question_id, bool) or not isinstance(question_id, (str, int)):
        raise TypeError("'question_id' must be a text or a whole number")
    if not isinstance(image, str | None):
        raise TypeError("'image' must be a path or null")
    return VqaExample(
        question_id=str(question_id),
        question=_text(row, "question"),
        image=_relative(image) if image else None,
        answers=_texts(row, "answers"),
        pos_passage_ids=_texts(row, "pos_passage_ids"),
        question_type=_text(row, "question_type"),
        instruction=_text(row, "instruction") or None,
    )


def _relative(image: str) -> Path:
    pure = PurePosixPath(image)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"'image' must be a path inside the picture folder, not {image!r}")
    return Path(pure)


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{key!r} must be a text")
    return value


def _texts(row: dict[str, Any], key: str) -> tuple[str, ...]:
    values = row.get(key)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{key!r} must be a list of texts")
    return tuple(values)


def _check_pictures(dataset: Dataset) -> None:
    missing = [path for path in map(dataset.picture_of, dataset.examples) if path is not None and not path.is_file()]
    if missing:
        raise InputError(
            f"{len(missing):,} of the dataset's pictures are missing, the first one is {missing[0]}; "
            "give their folder with --images"
        )
