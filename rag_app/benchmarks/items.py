"""One question of a benchmark, and where its picture may lie; rows with a fault stand beside the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge_bases.records import VqaExample
from rag_app.datasets import RowProblem
from rag_app.errors import InputError, one_line
from rag_app.scoring.columns import text_of
from rag_app.scoring.rows import FileRow, Row

__all__ = ["Item", "each_item", "number_of", "only_file"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question as it is asked and as it was published.

    Attributes:
        line: its row in the file, from 1; several questions may come from one.
        example: the question; its `image` is the first of `pictures`.
        reference: the published row, which the benchmark's own scorer reads.
        pictures: where its picture may lie below the folder of pictures, the published layout first.
    """

    line: int
    example: VqaExample
    reference: Mapping[str, Any]
    pictures: tuple[Path, ...]


def each_item(rows: Iterable[FileRow], make: Callable[[FileRow], Iterable[Item]]) -> Iterator[Item | RowProblem]:
    """The questions of each row, or what is wrong with it.

    Args:
        rows: of the file of questions.
        make: the questions of a sound row; what it raises of ValueError and TypeError is the row's fault.
    """
    for row in rows:
        items: list[Item] = []
        problem = row.problem
        try:
            items = [] if problem else list(make(row))
        except (ValueError, TypeError) as error:
            problem = one_line(error)
        if problem:
            yield RowProblem(line=row.line, question_id=row.question_id, problem=problem)
        yield from items


def number_of(row: Row, key: str) -> int:
    """The whole number under a key, written as one or as a text.

    Raises:
        ValueError: it is missing or something else.
    """
    text = text_of(row, key)
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{key!r} must be a whole number, not {text!r}")
    return int(text)


def only_file(folder: Path, names: Iterable[str], what: str) -> Path:
    """The first of these files that is in the folder.

    Raises:
        InputError: none is.
    """
    wanted = list(names)
    for name in wanted:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} holds no {what}; it should be called {' or '.join(wanted)}")
