"""Immutable segments: the rows of some passages in one file, and what the passages are called in another.

The file of rows holds one array a field, (n_tokens, width) and row-major, one field after another. Passages come one
after another, the shortest first.
"""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retriever.index.manifest import IndexDamagedError, SegmentEntry, put_in_place, sha256

__all__ = ["Coordinates", "Field", "Head", "Layout", "Rows", "Segment", "write_segment"]

PREFIX = "segment-"

Rows = Mapping[str, NDArray[Any]]  # (n_tokens, width) of every field


class Coordinates(NamedTuple):
    """Rows as they are scored.

    Attributes:
        values: (n, dim) floating-point numbers, or int8.
        steps: (n,) float32 that int8 rows are multiples of; None for floating-point numbers.
    """

    values: NDArray[Any]
    steps: NDArray[np.float32] | None


class Field(NamedTuple):
    """One array of a segment: `width` numbers of a numpy dtype a token."""

    name: str
    dtype: str
    width: int

    @property
    def n_bytes(self) -> int:
        """Bytes a token."""
        return np.dtype(self.dtype).itemsize * self.width


@dataclass(frozen=True)
class Layout:
    """What a segment stores a token.

    Attributes:
        suffix: of the file of rows.
        fields: in the order in which they lie in it.
    """

    suffix: str
    fields: tuple[Field, ...]

    @property
    def bytes_a_token(self) -> int:
        """Bytes a token, all fields together."""
        return sum(field.n_bytes for field in self.fields)


class Head(NamedTuple):
    """A passage without its rows: its id, its place in the order of insertion, its tokens."""

    passage_id: str
    place: int
    length: int


class Segment:
    """One opened segment. Its rows stay on disk, mapped into memory.

    Attributes:
        entry: what the manifest says of it.
        ids: of its passages.
        lengths: (n_passages,) tokens of each, ascending.
        places: (n_passages,) places in the order of insertion.
        starts: (n_passages + 1,) first token of each, and the end.
    """

    def __init__(self, folder: Path, entry: SegmentEntry, layout: Layout) -> None:
        """Opens a segment.

        Raises:
            IndexDamagedError: a file is missing, has the wrong size, or the ids were altered.
        """
        self.entry = entry
        self._path = folder / f"{PREFIX}{entry.name}.{layout.suffix}"
        self._checked = False
        passages = folder / f"{PREFIX}{entry.name}.json"
        try:
            content = passages.read_bytes()
            size = self._path.stat().st_size
            if sha256(content) != entry.passages_sha256:
                raise IndexDamagedError(f"{passages} was altered (wrong checksum); build the index again")
            if size != entry.n_tokens * layout.bytes_a_token:
                expected = entry.n_tokens * layout.bytes_a_token
                raise IndexDamagedError(f"{self._path} has {size} bytes instead of {expected}; build the index again")
            # Copy-on-write: nothing is ever written, but torch wants memory that it might write to.
            self._mapped = np.asarray(np.memmap(self._path, dtype=np.uint8, mode="c"))
        except OSError as error:
            raise IndexDamagedError(
                f"cannot read {error.filename} ({error.strerror}); build the index again"
            ) from error
        values = json.loads(content)
        self.ids: list[str] = values["ids"]
        self.lengths: NDArray[np.int64] = np.asarray(values["lengths"], dtype=np.int64)
        self.places: NDArray[np.int64] = np.asarray(values["places"], dtype=np.int64)
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(self.lengths)])
        self.rows: Rows = _fields(self._mapped, layout, entry.n_tokens)

    def check(self) -> None:
        """Compares the rows with their checksum; only the first call reads them.

        Raises:
            IndexDamagedError: they were altered.
        """
        if not self._checked and zlib.crc32(self._mapped.data) != self.entry.embeddings_crc32:
            raise IndexDamagedError(f"{self._path} was altered (wrong checksum); build the index again")
        self._checked = True

    def live(self) -> NDArray[np.bool_]:
        """(n_passages,) True at passages that were not deleted."""
        alive = np.ones(self.entry.n_passages, dtype=bool)
        alive[list(self.entry.deleted)] = False
        return alive

    def head(self, position: int) -> Head:
        """A passage by its position in the segment."""
        return Head(self.ids[position], int(self.places[position]), int(self.lengths[position]))

    def rows_of(self, position: int) -> Rows:
        """Views of a passage's rows."""
        start, stop = self.starts[position], self.starts[position + 1]
        return {name: rows[start:stop] for name, rows in self.rows.items()}


def write_segment(folder: Path, layout: Layout, heads: Sequence[Head], rows: Iterable[Rows]) -> SegmentEntry:
    """Writes a segment that no manifest names yet.

    Args:
        folder: of the index.
        layout: the fields.
        heads: the passages, in the order of their rows.
        rows: of one or several passages at a time, passage after passage.
    """
    name = secrets.token_hex(8)
    n_tokens = sum(head.length for head in heads)
    content = json.dumps(
        {
            "ids": [head.passage_id for head in heads],
            "lengths": [head.length for head in heads],
            "places": [head.place for head in heads],
        }
    ).encode()
    path = folder / f"{PREFIX}{name}.{layout.suffix}"
    try:
        with path.open("x+b") as stream:
            _write_fields(stream, layout, rows, n_tokens)
            stream.flush()
            os.fsync(stream.fileno())
        checksum = _checksum(path)
        put_in_place(folder / f"{PREFIX}{name}.json", content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return SegmentEntry(
        name=name,
        n_passages=len(heads),
        n_tokens=n_tokens,
        embeddings_crc32=checksum,
        passages_sha256=sha256(content),
    )


def _write_fields(stream: BinaryIO, layout: Layout, rows: Iterable[Rows], n_tokens: int) -> None:
    """Every field grows in its own part of the file, so that nothing has to be held in memory."""
    done = 0
    for part in rows:
        start = 0
        for field in layout.fields:
            stream.seek(start + done * field.n_bytes)
            stream.write(np.ascontiguousarray(part[field.name], dtype=field.dtype).data)
            start += n_tokens * field.n_bytes
        done += len(part[layout.fields[0].name])
    if done != n_tokens:
        raise ValueError(f"{done} rows were given for passages of {n_tokens} tokens")


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _fields(mapped: NDArray[np.uint8], layout: Layout, n_tokens: int) -> Rows:
    fields, start = {}, 0
    for field in layout.fields:
        stop = start + n_tokens * field.n_bytes
        fields[field.name] = mapped[start:stop].view(field.dtype).reshape(n_tokens, field.width)
        start = stop
    return fields
