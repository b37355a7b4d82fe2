"""One question of a benchmark, and where its picture may lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from knowledge_bases.records import VqaExample
from rag_app.errors import InputError

__all__ = ["Item", "only_file", "with_picture"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question as it is asked and as it was published.

    Attributes:
        example: the question; its `image` is the first of `pictures`.
        reference: the published row, which the benchmark's own scorer reads.
        pictures: where its picture may lie below the folder of pictures, the published layout first.
    """

    example: VqaExample
    reference: Mapping[str, Any]
    pictures: tuple[Path, ...]


def with_picture(item: Item, images: Path) -> VqaExample:
    """The example with the first place that holds its picture; with the published place where none does."""
    found = next((path for path in item.pictures if (images / path).is_file()), item.pictures[0])
    return replace(item.example, image=found)


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
