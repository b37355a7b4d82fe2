"""The passages of an index as they lie on disk: segments, tombstones, commits. What rows mean is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retriever.index.manifest import IndexDamagedError, Manifest, SegmentEntry, put_in_place, writing
from retriever.index.segments import Head, Layout, Rows, Segment, write_segment

__all__ = ["StoredPassage", "StoredPassages"]

MERGE_RATIO = 2  # a segment smaller than this many times the new one is merged into it
TOKENS_A_PART = 1 << 16  # rows handed on at a time when an index is rewritten


class StoredPassage(NamedTuple):
    """A passage and where its rows are: views of a segment, or what is to be written."""

    head: Head
    rows: Rows


class StoredPassages:
    """A snapshot: what a manifest names stays readable, whatever others commit. Changes return the next snapshot.

    Attributes:
        path: folder of the index.
        layout: what a token's row is made of.
        manifest: what this snapshot is.
        segments: opened.
    """

    def __init__(self, path: Path, manifest: Manifest, layout: Layout) -> None:
        """Opens what a manifest names.

        Raises:
            IndexDamagedError: a file is missing, has the wrong size, or ids were altered.
        """
        self.path = path
        self.layout = layout
        self.manifest = manifest
        self.segments = [Segment(path, entry, layout) for entry in manifest.segments]

    @classmethod
    def open(cls, path: Path, manifest: Manifest, layout: Layout) -> StoredPassages:
        """Opens the manifest's snapshot, or a newer one of the same layout if that was committed meanwhile.

        Raises:
            IndexDamagedError: a file is missing, cut off or altered.
        """
        while True:
            try:
                return cls(path, manifest, layout)
            except IndexDamagedError:
                newer = Manifest.read(path, fingerprint=manifest.fingerprint)
                if newer.generation == manifest.generation or newer.codec != manifest.codec:
                    raise
                manifest = newer

    @classmethod
    def create(
        cls, path: Path, manifest: Manifest, layout: Layout, *, files: Mapping[str, bytes] | None = None
    ) -> StoredPassages:
        """Starts an index without passages.

        Args:
            path: folder that does not exist yet.
            manifest: without segments.
            layout: of the rows to come.
            files: name -> content of what else the manifest names.

        Raises:
            FileExistsError: the path exists.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            raise FileExistsError(f"{path} exists already; open it, or choose another folder") from error
        with writing(path):
            for name, content in (files or {}).items():
                put_in_place(path / name, content)
            manifest.commit(path)
        return cls(path, manifest, layout)

    @cached_property
    def where(self) -> dict[str, tuple[int, int]]:
        """Segment and position of every passage that was not deleted."""
        return {
            segment.ids[position]: (number, position)
            for number, segment in enumerate(self.segments)
            for position in np.flatnonzero(segment.live()).tolist()
        }

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """True at passages that were not deleted, segment by segment."""
        return np.concatenate([segment.live() for segment in self.segments])

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Places in the order of insertion, segment by segment."""
        return np.concatenate([segment.places for segment in self.segments])

    @cached_property
    def names(self) -> list[str]:
        """Ids, deleted ones too, segment by segment."""
        return [passage_id for segment in self.segments for passage_id in segment.ids]

    @property
    def ids(self) -> list[str]:
        """Ids of the passages that were not deleted, in the order of insertion."""
        return sorted(self.where, key=lambda item: self.segments[self.where[item][0]].places[self.where[item][1]])

    @property
    def n_passages(self) -> int:
        """Passages that were not deleted."""
        return sum(segment.entry.n_passages - len(segment.entry.deleted) for segment in self.segments)

    @property
    def n_tokens(self) -> int:
        """Rows of passages that were not deleted."""
        return sum(int(segment.lengths[segment.live()].sum()) for segment in self.segments)

    def rows_of(self, passage_id: str) -> Rows:
        """What is stored of one passage, a row a token.

        Raises:
            KeyError: there is no such passage.
        """
        segment, position = self.where[passage_id]
        return self.segments[segment].rows_of(position)

    def check_new(self, ids: Sequence[str]) -> None:
        """Raises ValueError if an id is there already or comes twice."""
        seen: set[str] = set()
        for passage_id in ids:
            if passage_id in self.where or passage_id in seen:
                raise ValueError(f"passage {passage_id!r} is in the index already; delete it first")
            seen.add(passage_id)

    def add(self, ids: Sequence[str], rows: Sequence[Rows]) -> StoredPassages:
        """Commits new passages as a segment; smaller segments at the end are merged into it."""
        if not ids:
            return self
        place = self.manifest.next_place
        length_of = self.layout.fields[0].name
        new = [
            StoredPassage(Head(item, place + number, len(fields[length_of])), fields)
            for number, (item, fields) in enumerate(zip(ids, rows, strict=True))
        ]
        kept = list(self.segments)
        while kept and kept[-1].entry.n_tokens < MERGE_RATIO * sum(passage.head.length for passage in new):
            new = [*_live_passages(kept.pop()), *new]
        with writing(self.path):
            entry = self._write(new)
            entries = (*(segment.entry for segment in kept), entry)
            return self._commit(replace(self.manifest, segments=entries, next_place=place + len(ids)))

    def delete(self, ids: Sequence[str]) -> StoredPassages:
        """Commits tombstones; a segment without living passages goes.

        Raises:
            ValueError: an id is not in the index.
        """
        deleted: dict[int, set[int]] = {}
        for passage_id in ids:
            if passage_id not in self.where:
                raise ValueError(f"passage {passage_id!r} is not in the index")
            number, position = self.where[passage_id]
            deleted.setdefault(number, set()).add(position)
        if not deleted:
            return self
        entries = []
        for number, segment in enumerate(self.segments):
            gone = tuple(sorted({*segment.entry.deleted, *deleted.get(number, ())}))
            if len(gone) < segment.entry.n_passages:
                entries.append(replace(segment.entry, deleted=gone))
        with writing(self.path):
            return self._commit(replace(self.manifest, segments=tuple(entries)))

    def merge(self) -> StoredPassages:
        """Commits one segment of all living passages in place of what there is."""
        if len(self.segments) <= 1 and not any(segment.entry.deleted for segment in self.segments):
            return self
        with writing(self.path):
            entry = self._write([passage for segment in self.segments for passage in _live_passages(segment)])
            return self._commit(replace(self.manifest, segments=(entry,)))

    def rewrite(
        self, manifest: Manifest, layout: Layout, encode: Callable[[Rows], Rows], *, files: Mapping[str, bytes]
    ) -> StoredPassages:
        """Commits the same living passages with other rows.

        Args:
            manifest: of the new snapshot, without its segments.
            layout: of the new rows.
            encode: turns the rows of some passages into new ones.
            files: name -> content of what else the manifest names.
        """
        passages = [passage for segment in self.segments for passage in _live_passages(segment)]
        passages.sort(key=_order)
        with writing(self.path):
            self._check_unchanged()
            for name, content in files.items():
                put_in_place(self.path / name, content)
            parts = (encode(part) for part in _parts(passages, self.layout))
            heads = [passage.head for passage in passages]
            entries = (write_segment(self.path, layout, heads, parts),) if heads else ()
            return self._commit(replace(manifest, segments=entries), layout)

    def recommit(self, manifest: Manifest) -> StoredPassages:
        """Commits a manifest that differs in other things than its segments."""
        with writing(self.path):
            return self._commit(manifest)

    def verify(self) -> None:
        """Reads every file of the index again and compares it with its checksum.

        Raises:
            IndexDamagedError: a file is missing, cut off or altered.
        """
        current = Manifest.read(self.path, fingerprint=self.manifest.fingerprint)
        for segment in StoredPassages.open(self.path, current, self.layout).segments:
            segment.check()

    def _check_unchanged(self) -> None:
        current = Manifest.read(self.path)
        if current.generation != self.manifest.generation:
            raise ValueError(f"{self.path} was changed by another process; open it again")

    def _write(self, passages: list[StoredPassage]) -> SegmentEntry:
        self._check_unchanged()
        passages = sorted(passages, key=_order)
        return write_segment(
            self.path, self.layout, [passage.head for passage in passages], (passage.rows for passage in passages)
        )

    def _commit(self, manifest: Manifest, layout: Layout | None = None) -> StoredPassages:
        self._check_unchanged()
        manifest = replace(manifest, generation=self.manifest.generation + 1)
        manifest.commit(self.path)
        return StoredPassages(self.path, manifest, layout or self.layout)


def _order(passage: StoredPassage) -> tuple[int, int]:
    return passage.head.length, passage.head.place


def _live_passages(segment: Segment) -> Iterator[StoredPassage]:
    segment.check()  # what is copied gets a new checksum, so damage must be found here
    for position in np.flatnonzero(segment.live()).tolist():
        yield StoredPassage(segment.head(position), segment.rows_of(position))


def _parts(passages: Iterable[StoredPassage], layout: Layout) -> Iterator[Rows]:
    """The rows of consecutive passages together, about `TOKENS_A_PART` at a time."""
    names = [field.name for field in layout.fields]
    waiting: list[Rows] = []
    n_tokens = 0
    for passage in passages:
        waiting.append(passage.rows)
        n_tokens += passage.head.length
        if n_tokens >= TOKENS_A_PART:
            yield {name: np.concatenate([rows[name] for rows in waiting]) for name in names}
            waiting, n_tokens = [], 0
    if waiting:
        yield {name: np.concatenate([rows[name] for rows in waiting]) for name in names}
