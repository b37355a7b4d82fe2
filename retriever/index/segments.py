"""Immutable segments of embeddings on disk, and the manifest that says which of them make up the index.

    manifest.json              format, dim, fingerprint, segments with their sizes and checksums, deleted positions
    segment-<name>.f16         (n_tokens, dim) float16, row-major: the passages' rows one after another
    segment-<name>.json        ids, lengths and places in the order of insertion, shortest passage first

Everything is written aside, flushed and then put in place; the manifest comes last, so that a crash leaves the old
index or the new one. Files that no manifest names are leftovers of a crash and are removed by the next write.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["IndexDamagedError", "IndexMismatchError", "Manifest", "Segment", "SegmentEntry", "write_segment"]

MANIFEST_FILE = "manifest.json"
FORMAT = 1
PREFIX = "segment-"


class IndexDamagedError(ValueError):
    """A file of an index is missing, cut off or altered."""


class IndexMismatchError(ValueError):
    """An index was built with another checkpoint than the one that is loaded."""


@dataclass(frozen=True)
class SegmentEntry:
    """What the manifest says of one segment.

    Attributes:
        name: of its two files.
        n_passages, n_tokens: what it holds.
        embeddings_crc32: checksum of the embeddings.
        passages_sha256: checksum of the ids and lengths.
        deleted: positions in the segment of passages that were deleted.
    """

    name: str
    n_passages: int
    n_tokens: int
    embeddings_crc32: int
    passages_sha256: str
    deleted: tuple[int, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The one file that decides what an index is.

    Attributes:
        dim: width of an embedding.
        fingerprint: of the checkpoint that made the embeddings.
        generation: counts the commits.
        next_place: place in the order of insertion of the next passage.
        segments: what makes up the index.
    """

    dim: int
    fingerprint: str
    generation: int = 0
    next_place: int = 0
    segments: tuple[SegmentEntry, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads and checks the manifest of an index.

        Raises:
            IndexDamagedError: it is missing, cut off or altered, or of another format.
        """
        path = folder / MANIFEST_FILE
        try:
            values = json.loads(path.read_bytes())
            checksum = values.pop("checksum")
            if checksum != _sha256(_canonical(values)):
                raise IndexDamagedError(f"{path} was altered (wrong checksum); build the index again")
            if values.pop("format") != FORMAT:
                raise IndexDamagedError(f"{path} has another format than this version reads; build the index again")
            entries = [SegmentEntry(**{**entry, "deleted": tuple(entry["deleted"])}) for entry in values["segments"]]
            return cls(**{**values, "segments": tuple(entries)})
        except FileNotFoundError as error:
            raise IndexDamagedError(f"{folder} is no index (it has no {MANIFEST_FILE}); build it first") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, IndexDamagedError):
                raise
            raise IndexDamagedError(f"{path} is damaged ({error}); build the index again") from error

    def commit(self, folder: Path) -> None:
        """Makes this the index, in one step, and removes files that it does not name."""
        values = {"format": FORMAT, **asdict(self)}
        values["segments"] = [asdict(entry) for entry in self.segments]
        values["checksum"] = _sha256(_canonical(values))
        _replace(folder / MANIFEST_FILE, json.dumps(values, indent=1).encode())
        named = {entry.name for entry in self.segments}
        for file in folder.glob(f"{PREFIX}*"):
            if file.name.removeprefix(PREFIX).split(".")[0] not in named:
                file.unlink(missing_ok=True)


class Segment:
    """One opened segment. The embeddings stay on disk, mapped into memory, and are checked when first read.

    Attributes:
        entry: what the manifest says of it.
        ids: of its passages.
        lengths: (n_passages,) tokens of each, ascending.
        places: (n_passages,) places in the order of insertion.
    """

    def __init__(self, folder: Path, entry: SegmentEntry, dim: int) -> None:
        """Opens a segment.

        Raises:
            IndexDamagedError: a file is missing, has the wrong size, or the ids were altered.
        """
        self.entry = entry
        self._dim = dim
        self._path = folder / f"{PREFIX}{entry.name}.f16"
        self._mapped: Tensor | None = None
        passages = folder / f"{PREFIX}{entry.name}.json"
        try:
            content = passages.read_bytes()
            size = self._path.stat().st_size
        except OSError as error:
            raise IndexDamagedError(
                f"cannot read {error.filename} ({error.strerror}); build the index again"
            ) from error
        if _sha256(content) != entry.passages_sha256:
            raise IndexDamagedError(f"{passages} was altered (wrong checksum); build the index again")
        if size != entry.n_tokens * dim * 2:
            raise IndexDamagedError(
                f"{self._path} has {size} bytes instead of {entry.n_tokens * dim * 2}; build the index again"
            )
        values = json.loads(content)
        self.ids: list[str] = values["ids"]
        self.lengths = np.asarray(values["lengths"], dtype=np.int64)
        self.places = np.asarray(values["places"], dtype=np.int64)

    @property
    def embeddings(self) -> Tensor:
        """(n_tokens, dim) float16, mapped from the file.

        Raises:
            IndexDamagedError: the file was altered.
        """
        if self._mapped is None:
            # Copy-on-write: nothing is ever written, but torch wants memory that it might write to.
            mapped = np.memmap(self._path, dtype=np.float16, mode="c", shape=(self.entry.n_tokens, self._dim))
            if zlib.crc32(mapped.data) != self.entry.embeddings_crc32:
                raise IndexDamagedError(f"{self._path} was altered (wrong checksum); build the index again")
            self._mapped = torch.from_numpy(mapped)
        return self._mapped

    def verify(self) -> None:
        """Reads the embeddings again and compares their checksum."""
        self._mapped = None
        _ = self.embeddings

    def live(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(n_passages,) True at passages that were not deleted."""
        alive = np.ones(self.entry.n_passages, dtype=bool)
        alive[list(self.entry.deleted)] = False
        return alive

    def passages(self) -> list[tuple[str, int, Tensor]]:
        """Id, place and rows of every passage that was not deleted."""
        rows = torch.split(self.embeddings, self.lengths.tolist())
        alive = self.live()
        return [
            (self.ids[index], int(self.places[index]), rows[index]) for index in range(len(self.ids)) if alive[index]
        ]


def write_segment(folder: Path, passages: Sequence[tuple[str, int, Tensor]]) -> SegmentEntry:
    """Writes a segment that no manifest names yet.

    Args:
        folder: of the index.
        passages: id, place and (n_tokens, dim) rows of each.
    """
    ordered = sorted(passages, key=lambda passage: (passage[2].shape[0], passage[1]))
    name = secrets.token_hex(8)
    lengths = [rows.shape[0] for _, _, rows in ordered]
    values = {"ids": [row[0] for row in ordered], "lengths": lengths, "places": [row[1] for row in ordered]}
    content = json.dumps(values).encode()
    checksum = 0
    with (folder / f"{PREFIX}{name}.f16").open("xb") as stream:
        for _, _, rows in ordered:
            data = rows.to(torch.float16).contiguous().numpy().tobytes()
            checksum = zlib.crc32(data, checksum)
            stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    _replace(folder / f"{PREFIX}{name}.json", content)
    return SegmentEntry(
        name=name,
        n_passages=len(ordered),
        n_tokens=sum(lengths),
        embeddings_crc32=checksum,
        passages_sha256=_sha256(content),
    )


def _replace(path: Path, content: bytes) -> None:
    """Puts a file in place whole or not at all, and makes sure that it is on the disk."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    with aside.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(aside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
