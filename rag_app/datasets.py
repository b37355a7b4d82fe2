"""Reads VQA datasets: JSON Lines with a question a row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from knowledge_bases.records import VqaExample
from rag_app.counting import number_of
from rag_app.errors import InputError, one_line
from rag_app.picture_places import Folders, check_inside, folders_of
from rag_app.questions import check_question

__all__ = ["Dataset", "GivenRow", "RowProblem", "collect_dataset", "load_dataset", "scan_dataset"]


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """Why a row cannot be asked.

    Attributes:
        line: its line in the file, from 1.
        question_id: its id, where it has a sound one.
        problem: what is wrong, for people.
        no_picture: whether it is only that the picture is not there.
    """

    line: int
    question_id: str | None
    problem: str
    no_picture: bool = False


@dataclass(frozen=True, kw_only=True)
class GivenRow:
    """A row of a benchmark.

    Attributes:
        line: its line in the file, from 1; several questions may come from one.
        example: its question.
        integer_id: whether its question_id is a whole number in the file.
    """

    line: int
    example: VqaExample
    integer_id: bool = False


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The questions of a file.

    Attributes:
        path: the file.
        images: the folders that the examples' pictures are relative to, tried in turn.
        examples: the questions that can be asked, in the file's order.
        lines: the line of each question in the file, from 1, by question_id.
        problems: the rows that cannot be asked.
        sha256: of the file's bytes.
        integer_ids: the question_ids that are whole numbers in the file, so that they can be written back as such.
    """

    path: Path
    images: tuple[Path, ...]
    examples: tuple[VqaExample, ...]
    lines: dict[str, int] = field(default_factory=dict)
    problems: tuple[RowProblem, ...] = ()
    sha256: str
    integer_ids: frozenset[str] = frozenset()

    def picture_of(self, example: VqaExample) -> Path | None:
        """Where an example's picture lies."""
        if example.image is None:
            return None
        paths = [folder / example.image for folder in self.images]
        return next((path for path in paths if path.is_file()), paths[0])


def load_dataset(path: Path, *, images: Folders | None = None) -> Dataset:
    """Reads a dataset of which every row has to be sound; see `scan_dataset`.

    Raises:
        InputError: the file is missing, or a row cannot be asked (its number is in the message).
    """
    dataset = scan_dataset(path, images=images)
    if dataset.problems:
        first = dataset.problems[0]
        raise InputError(f"{path}, row {first.line}: {first.problem}")
    return dataset


def scan_dataset(path: Path, *, images: Folders | None = None) -> Dataset:
    """Reads rows `{"question_id", "image", "question", "answers"}`, optionally with `pos_passage_ids`,
    `question_type` and `instruction`, and sets apart the rows that cannot be asked: those with a fault, without a
    question, with a question_id that an earlier row has, or with a picture that is not there or not inside `images`.

    Args:
        path: the JSON Lines file.
        images: folder of the pictures, or several; the file's own folder when not given.

    Raises:
        InputError: the file is missing, or holds no row that can be asked.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no dataset at {path}; check the path") from error
    except OSError as error:
        raise InputError(f"dataset {path} cannot be read: {one_line(error)}") from error
    scan = _Scan(images=folders_of(images or path.parent))
    for line, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if raw.strip():
            scan.take(line, raw)
    return scan.dataset(path, hashlib.sha256(content).hexdigest())


def collect_dataset(name: str, rows: Iterable[GivenRow | RowProblem], *, images: Folders) -> Dataset:
    """A dataset of examples that come from elsewhere; see `scan_dataset` for which are set apart.

    Args:
        name: what to call it in reports.
        rows: the questions, and the rows that hold none.
        images: folder of the pictures, or several.

    Raises:
        InputError: there is no example that can be asked.
    """
    scan, digest = _Scan(images=folders_of(images)), hashlib.sha256()
    for row in rows:
        if isinstance(row, RowProblem):
            scan.problems.append(replace(row, question_id=_writable(row.question_id)))
            continue
        digest.update(f"{row.example!r}\n".encode(errors="backslashreplace"))
        scan.take_given(row)
    return scan.dataset(Path(name), digest.hexdigest())


class _NoPictureError(ValueError):
    """A row's picture is not there."""


@dataclass(kw_only=True)
class _Scan:
    """What has been read so far."""

    images: tuple[Path, ...]
    examples: list[VqaExample] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    integer_ids: set[str] = field(default_factory=set)

    def take(self, line: int, raw: bytes) -> None:
        """A row of a file."""
        question_id = None
        try:
            row = _row(raw)
            question_id = _question_id(row)
            self.add(line, _example(row, question_id))
        except (ValueError, TypeError, OSError) as error:
            self.reject(line, question_id, error)
            return
        if isinstance(row["question_id"], int):
            self.integer_ids.add(question_id)

    def take_given(self, row: GivenRow) -> None:
        """A row that was read elsewhere."""
        example = row.example
        try:
            _check_characters(*_texts_of(example))
            self.add(row.line, example)
        except (ValueError, OSError) as error:
            self.reject(row.line, _writable(example.question_id), error)
            return
        if row.integer_id:
            self.integer_ids.add(example.question_id)

    def add(self, line: int, example: VqaExample) -> None:
        """An example, if it can be asked; a ValueError says why not."""
        if example.question_id in self.lines:
            raise ValueError(f"question_id {example.question_id!r} is already in row {self.lines[example.question_id]}")
        asks = example.image is not None and example.instruction  # without a question
        if example.question.strip() or not asks:
            check_question(example.question)
        if example.image is not None:
            self._check_picture(example.image)
        self.lines[example.question_id] = line
        self.examples.append(example)

    def _check_picture(self, image: Path) -> None:
        check_inside(image)
        paths = [folder / image for folder in self.images]
        if not any(path.is_file() for path in paths):
            shown = " or ".join(map(str, paths))
            raise _NoPictureError(f"there is no picture at {shown}; give the pictures' folder with --images")

    def reject(self, line: int, question_id: str | None, error: Exception) -> None:
        """A row that cannot be asked."""
        absent = isinstance(error, _NoPictureError)
        self.problems.append(RowProblem(line=line, question_id=question_id, problem=one_line(error), no_picture=absent))

    def dataset(self, path: Path, sha256: str) -> Dataset:
        """What was read; an InputError where nothing can be asked."""
        if not self.examples and not self.problems:
            raise InputError(f"dataset {path} holds no questions")
        if not self.examples:
            first = self.problems[0]
            others = f" (and {number_of(len(self.problems) - 1, 'more such row')})" if len(self.problems) > 1 else ""
            raise InputError(
                f"dataset {path} holds no question that can be asked; row {first.line}: {first.problem}{others}"
            )
        return Dataset(
            path=path,
            images=self.images,
            examples=tuple(self.examples),
            lines=self.lines,
            problems=tuple(self.problems),
            sha256=sha256,
            integer_ids=frozenset(self.integer_ids),
        )


def _row(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it cannot be read: {one_line(error)}") from error
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({one_line(error)}); write one object a line") from error
    if not isinstance(row, dict):
        raise TypeError("a row must be a JSON object")
    _check_characters(json.dumps(row, ensure_ascii=False))
    return row


def _check_characters(*texts: str) -> None:
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character (a lone surrogate)") from error


def _texts_of(example: VqaExample) -> tuple[str, ...]:
    texts = (example.question_id, example.question, example.question_type, example.instruction or "")
    return (*texts, example.description, *example.answers, *example.pos_passage_ids)


def _writable(text: str | None) -> str | None:
    """Without half characters, which no file takes."""
    return None if text is None else text.encode(errors="backslashreplace").decode()


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
    image = row["image"]
    if not isinstance(image, str | None):
        raise TypeError("'image' must be a path or null")
    return VqaExample(
        question_id=question_id,
        question=_text(row, "question"),
        image=_relative(image) if image else None,
        answers=_texts(row, "answers"),
        pos_passage_ids=_texts(row, "pos_passage_ids"),
        question_type=_text(row, "question_type"),
        instruction=_text(row, "instruction") or None,
    )


def _relative(image: str) -> Path:
    pure = PurePosixPath(image)
    check_inside(pure, "'image'")
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
