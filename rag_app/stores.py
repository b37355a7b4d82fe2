"""Passages as they are asked: of one store or of several, read by many threads.

The web page answers in threads, and SQLite connections stay in theirs.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from knowledge_bases.records import Passage
from knowledge_bases.store import NoSuchPassageError, PassageStore
from rag_app.errors import InputError
from rag_app.pictures import decode_picture

__all__ = ["JoinedStore", "Passages", "SharedStore", "full_id", "join_stores", "joined_passage", "passage_picture"]

logger = logging.getLogger(__name__)

_SLASH = "/"


class Passages(Protocol):
    """Passages that are read and not changed."""

    def __len__(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[Passage]:
        """All of them, in their order."""

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in this order.

        Raises:
            NoSuchPassageError: an id is not there.
            StoreError: the store is damaged.
        """

    def picture(self, passage_id: str) -> bytes | None:
        """The file of a passage's picture; None where it has none.

        Raises:
            StoreError: the store is damaged.
        """

    def content_hash(self) -> str:
        """Checksum over all passages in their order, and their pictures."""


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
        """As `Passages.get`."""
        return self._opened().get(passage_ids)

    def lookup(self, passage_ids: Sequence[str]) -> dict[str, Passage]:
        """Those of the passages with these ids that are there, by their ids.

        Raises:
            StoreError: the store is damaged.
        """
        return self._opened().lookup(passage_ids)

    def picture(self, passage_id: str) -> bytes | None:
        """As `Passages.picture`."""
        return self._opened().picture(passage_id)

    def picture_digests(self) -> dict[str, str]:
        """Passage id -> checksum of its picture, of the passages that have one."""
        return self._opened().picture_digests()

    def search_text(self, text: str, limit: int = 10) -> list[Passage]:
        """Passages that hold the words of a text, best first."""
        return self._opened().search_text(text, limit)

    def content_hash(self) -> str:
        """As `Passages.content_hash`."""
        return self._opened().content_hash()


class JoinedStore:
    """The passages of several knowledge bases, one after the other."""

    def __init__(self, parts: Mapping[str, SharedStore]) -> None:
        """Joins stores by the names of their knowledge bases."""
        self.parts = dict(parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def __iter__(self) -> Iterator[Passage]:
        for name, store in self.parts.items():
            for passage in store:
                yield joined_passage(name, passage)

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """As `Passages.get`."""
        return [self._get(passage_id) for passage_id in passage_ids]

    def picture(self, passage_id: str) -> bytes | None:
        """As `Passages.picture`."""
        name, _, own = passage_id.partition(_SLASH)
        return self.parts[name].picture(own) if name in self.parts else None

    def content_hash(self) -> str:
        """As `Passages.content_hash`; also the names count."""
        digest = hashlib.sha256()
        for name, store in self.parts.items():
            digest.update(f"{name}\0{store.content_hash()}\0".encode())
        return digest.hexdigest()

    def full_ids(self, passage_id: str) -> tuple[str, ...]:
        """The ids here of a passage that is called so in its own knowledge base, or here; the id itself for none."""
        ids = (passage_id, *(full_id(name, passage_id) for name in self.parts))
        return tuple(one for one in ids if self._holds(one)) or (passage_id,)

    def _holds(self, passage_id: str) -> bool:
        try:
            self._get(passage_id)
        except NoSuchPassageError:
            return False
        return True

    def _get(self, passage_id: str) -> Passage:
        name, _, own = passage_id.partition(_SLASH)
        if name not in self.parts:
            beginnings = " or ".join(full_id(name, "") for name in self.parts)
            raise NoSuchPassageError(f"there is no passage {passage_id!r}; ids begin with {beginnings} here")
        return joined_passage(name, self.parts[name].get([own])[0])


def join_stores(parts: Mapping[str, SharedStore]) -> Passages:
    """The passages of the knowledge bases of these names; the only one's own where there is only one."""
    return JoinedStore(parts) if len(parts) > 1 else next(iter(parts.values()))


def full_id(name: str, passage_id: str) -> str:
    """What a passage is called among those of other knowledge bases: names have no slash, so no two share an id."""
    return f"{name}{_SLASH}{passage_id}"


def joined_passage(name: str, passage: Passage) -> Passage:
    """A passage of a knowledge base under its full id."""
    return replace(passage, passage_id=full_id(name, passage.passage_id))


def passage_picture(store: Passages, passage_id: str) -> Image.Image | None:
    """The picture of a passage; None, with a warning, where it cannot be read.

    Raises:
        StoreError: the store is damaged.
    """
    content = store.picture(passage_id)
    try:
        return None if content is None else decode_picture(content, name=f"the picture of passage {passage_id!r}")
    except InputError as error:
        logger.warning("%s; the passage is found by its text alone", error)
        return None
