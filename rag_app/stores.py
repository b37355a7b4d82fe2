"""One passage store, read by many threads: the web page answers in threads, and SQLite connections stay in theirs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore

__all__ = ["SharedStore"]


class SharedStore:
    """Reads a passage store from any thread, through one connection a thread."""

    def __init__(self, path: Path) -> None:
        """Opens the store.

        Raises:
            StoreError: it is missing, damaged, or no passage store.
        """
        self.path = path
        self._local = threading.local()
        self._opened()

    def _opened(self) -> PassageStore:
        store = getattr(self._local, "store", None)
        if not isinstance(store, PassageStore):
            store = self._local.store = PassageStore.open(self.path)
        return store

    def __len__(self) -> int:
        return len(self._opened())

    def __iter__(self) -> Iterator[Passage]:
        return iter(self._opened())

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in this order.

        Raises:
            StoreError: an id is not there, or the store is damaged.
        """
        return self._opened().get(passage_ids)

    def search_text(self, text: str, limit: int = 10) -> list[Passage]:
        """Passages that hold the words of a text, best first."""
        return self._opened().search_text(text, limit)

    def content_hash(self) -> str:
        """Checksum over all passages in their order."""
        return self._opened().content_hash()
