"""What every index can do, whichever it is: callers know these two types and no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from retriever.index.segments import Coordinates, Rows
from retriever.index.stored import StoredPassages

__all__ = ["PassageIndex", "StoredIndex"]


class PassageIndex(Protocol):
    """What every index over passages' embeddings can do; `ExactIndex` says what each part means."""

    @property
    def path(self) -> Path:
        """Folder of the index."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the checkpoint that made the embeddings."""

    @property
    def ids(self) -> list[str]:
        """Ids of the passages, in the order of insertion."""

    @property
    def n_tokens(self) -> int:
        """Embeddings held."""

    def __len__(self) -> int: ...

    def __contains__(self, passage_id: object) -> bool: ...

    def add(self, ids: Sequence[str], embeddings: Sequence[Tensor]) -> None:
        """Adds passages, all or none."""

    def delete(self, ids: Sequence[str]) -> None:
        """Deletes passages, all or none."""

    def compact(self) -> None:
        """Merges what additions and deletions left."""

    def search(self, query: Tensor, *, k: int) -> list[tuple[str, float]]:
        """The k passages with the highest MaxSim, best first."""

    def search_batch(self, queries: Sequence[Tensor], *, k: int) -> list[list[tuple[str, float]]]:
        """`search` for several queries."""

    def contributions(self, query: Tensor, passage_id: str) -> Tensor:
        """(n_rows,) what each row of a query adds to a passage's score."""

    def verify(self) -> None:
        """Compares every file with its checksum."""


class StoredIndex(PassageIndex, Protocol):
    """An index that lies on disk."""

    @property
    def stored(self) -> StoredPassages:
        """The snapshot that is searched."""

    def coordinates(self, rows: Rows) -> Coordinates:
        """Stored rows as they are scored."""
