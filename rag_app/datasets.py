"""Reads VQA datasets: JSON Lines with a question a row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from knowledge_bases.records import VqaExample
from rag_app.errors import InputError, one_line
from rag_app.questions import check_question

__all__ = ["Dataset", "RowProblem", "load_dataset", "scan_dataset"]


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """Why a row cannot be asked.

    Attributes:
        line: its line in the file, from 1.
        question_id: its id, where it has a sound one.
        problem: what is wrong, for people.
    """

    line: int
    question_id: str | None
    problem: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The questions of a file.

    Attributes:
        path: the file.
        images: the folder that the examples' pictures are relative to.
        examples: the questions that can be asked, in the file's order.
        lines: the line of each question in the file, from 1, by question_id.
        problems: the rows that cannot be asked.
        sha256: of the file's bytes.
        integer_ids: the question_ids that are whole numbers in the file, so that they can be written back as such.
    """

    path: Path
    images: Path
    examples: tuple[VqaExample, ...]
    lines: dict[str, int] = field(default_factory=dict)
    problems: tuple[RowProblem, ...] = ()
    sha256: str
    integer_ids: frozenset[str] = frozenset()

    def picture_of(self, example: VqaExample) -> Path | None:
        """Where an example's picture lies."""
        return None if example.image is None else self.images / example.image


def load_dataset(path: Path, *, images: Path | None = None) -> Dataset:
    """Reads a dataset of which every row has to be sound; see `scan_dataset`.

    Raises:
        InputError: the file is missing, or a row cannot be asked (its number is in the message).
    """
    dataset = scan_dataset(path, images=images)
    if dataset.problems:
        first = dataset.problems[0]
        raise InputError(f"{path}, row {first.line}: {first.problem}")
    return dataset


def scan_dataset(path: Path, *, images: Path | None = None) -> Dataset:
    """Reads rows `{"question_id", "image", "question", "answers"}`, optionally with `pos_passage_ids`,
    `question_type` and `instruction`, and sets apart the rows that cannot be asked: those with a fault, without a
    question, with a question_id that an earlier row has, or with a picture that is not there.

    Args:
        path: the JSON Lines file.
        images: folder of the pictures; the file's own folder when not given.

    Raises:
        InputError: the file is missing, or holds no row that can be asked.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no dataset at {path}; check the path") from error
    except OSError as error:
        raise InputError(f"dataset {path} cannot be read: {one_line(error)}") from error
    scan = _Scan(images=images or path.parent)
    for line, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if raw.strip():
            scan.take(line, raw)
    if not scan.examples and not scan.problems:
        raise InputError(f"dataset {path} holds no questions")
    if not scan.examples:
        first = scan.problems[0]
        others = f" (and {len(scan.problems) - 1:,} more such rows)" if len(scan.problems) > 1 else ""
        raise InputError(
            f"dataset {path} holds no question that can be asked; row {first.line}: {first.problem}{others}"
        )
    return Dataset(
        path=path,
        images=scan.images,
        examples=tuple(scan.examples),
        lines=scan.lines,
        problems=tuple(scan.problems),
        sha256=hashlib.sha256(content).hexdigest(),
        integer_ids=frozenset(scan.integer_ids),
    )


@dataclass(kw_only=True)
class _Scan:
    """What has been read so far."""

    images: Path
    examples: list[VqaExample] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    integer_ids: set[str] = field(default_factory=set)

    def take(self, line: int, raw: bytes) -> None:
        question_id = None
        try:
            row = _row(raw)
            question_id = _question_id(row)
            example = _example(row, question_id)
            if question_id in self.lines:
                raise ValueError(f"question_id {question_id!r} is already in row {self.lines[question_id]}")
            if example.image is not None and not (self.images / example.image).is_file():
                raise ValueError(
                    f"there is no picture at {self.images / example.image}; give the pictures' folder with --images"
                )
        except (ValueError, TypeError) as error:
            self.problems.append(RowProblem(line=line, question_id=question_id, problem=one_line(error)))
            return
        self.lines[question_id] = line
        self.examples.append(example)
        if isinstance(row["question_id"], int):
            self.integer_ids.add(question_id)


def _row(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it cannot be read: {one_line(error)}") from error
    row = json.loads(text)
    if not isinstance(row, dict):
        raise TypeError("a row must be a JSON object")
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character (a lone surrogate)") from error
    return row


def _question_id(row: dict[str, Any]) -> str:
    if "question_id" not in row:
        raise ValueError("'question_id' is missing")
    question_id = row["question_id"]
    if isinstance(question_id, bool) or not isinstance(question_id, (str, int)):
        raise TypeError("'question_id' must be a text or a whole number")
    return str(question_id)


def _example(row: dict[str, Any], question_id: str) -> VqaExample:
    for key in ("image", "question", "answers"):
        if key not in row:
            raise ValueError(f"{key!r} is missing")
    image, question, instruction = row["image"], _text(row, "question"), _text(row, "instruction")
    if not isinstance(image, str | None):
        raise TypeError("'image' must be a path or null")
    if question.strip() or not instruction:  # a row may ask by its instruction and picture alone
        check_question(question)
    return VqaExample(
        question_id=question_id,
        question=question,
        image=_relative(image) if image else None,
        answers=_texts(row, "answers"),
        pos_passage_ids=_texts(row, "pos_passage_ids"),
        question_type=_text(row, "question_type"),
        instruction=instruction or None,
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
