"""The manifest of an index: the one file that says which files make it up. Replacing it is the commit.

    manifest.json              format, dim, fingerprint, segments with their sizes and checksums, deleted positions
    segment-<name>.<suffix>    rows of a segment's passages (`segments.py`)
    segment-<name>.json        its ids, lengths and places in the order of insertion
    codec-<name>.npz           what the rows are encoded with, in a compressed index (`codec.py`)

Everything else is written aside, flushed and put in place first, so that a crash leaves the old index or the new one.
Files that no manifest names are leftovers of a crash; the next commit removes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Calibration",
    "DeviceMemoryError",
    "IndexDamagedError",
    "IndexMismatchError",
    "IndexWriteError",
    "Manifest",
    "SegmentEntry",
    "put_in_place",
    "sha256",
    "writing",
]

MANIFEST_FILE = "manifest.json"
FORMAT = 1
PREFIXES = ("segment-", "codec-")


class IndexDamagedError(ValueError):
    """A file of an index is missing, cut off or altered."""


class IndexMismatchError(ValueError):
    """An index was built with another checkpoint than the one that is loaded, or is of another kind."""


class DeviceMemoryError(MemoryError):
    """An index does not fit into the memory of a device."""


class IndexWriteError(OSError):
    """An index cannot be written: the disk is full, or the folder is read-only."""


@dataclass(frozen=True)
class SegmentEntry:
    """What the manifest says of one segment.

    Attributes:
        name: of its two files.
        n_passages, n_tokens: what it holds.
        embeddings_crc32: checksum of the rows.
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
class Calibration:
    """How many candidates a recall takes, as measured when the index was built.

    Attributes:
        n_rows: rows of the queries it was measured with.
        recall: share of the best passages found.
        n_candidates: passages that the scan must leave for it.
        n_passages: passages in the index at that time.
        n_rescored: of these, passages that must be rescored.
    """

    n_rows: int
    recall: float
    n_candidates: int
    n_passages: int
    n_rescored: int


@dataclass(frozen=True)
class Manifest:
    """The one file that decides what an index is.

    Attributes:
        dim: width of an embedding.
        fingerprint: of the checkpoint that made the embeddings.
        generation: counts the commits.
        next_place: place in the order of insertion of the next passage.
        segments: what makes up the index.
        codec: name of the codec's file; empty in an exact index.
        codec_sha256: its checksum.
        calibration: of a compressed index.
    """

    dim: int
    fingerprint: str
    generation: int = 0
    next_place: int = 0
    segments: tuple[SegmentEntry, ...] = ()
    codec: str = ""
    codec_sha256: str = ""
    calibration: tuple[Calibration, ...] = ()

    @classmethod
    def read(cls, folder: Path, *, fingerprint: str | None = None) -> Manifest:
        """Reads and checks the manifest of an index.

        Args:
            folder: of the index.
            fingerprint: of the checkpoint that is loaded; None takes any.

        Raises:
            IndexDamagedError: it is missing, cut off or altered, or of another format.
            IndexMismatchError: the index was built with another checkpoint.
        """
        path = folder / MANIFEST_FILE
        try:
            values = json.loads(path.read_bytes())
            checksum = values.pop("checksum")
            if checksum != sha256(_canonical(values)):
                raise IndexDamagedError(f"{path} was altered (wrong checksum); build the index again")
            if values.pop("format") != FORMAT:
                raise IndexDamagedError(f"{path} has another format than this version reads; build the index again")
            values["segments"] = tuple(
                SegmentEntry(**{**entry, "deleted": tuple(entry["deleted"])}) for entry in values["segments"]
            )
            values["calibration"] = tuple(Calibration(**entry) for entry in values.get("calibration", ()))
            manifest = cls(**values)
        except FileNotFoundError as error:
            raise IndexDamagedError(f"{folder} is no index (it has no {MANIFEST_FILE}); build it first") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, IndexDamagedError):
                raise
            raise IndexDamagedError(f"{path} is damaged ({error}); build the index again") from error
        if fingerprint is not None and manifest.fingerprint != fingerprint:
            raise IndexMismatchError(
                f"{folder} was built with checkpoint {manifest.fingerprint} and {fingerprint} is loaded; "
                "build the index again or load that checkpoint"
            )
        return manifest

    def commit(self, folder: Path) -> None:
        """Makes this the index, in one step, and removes files that it does not name."""
        values = {"format": FORMAT, **asdict(self)}
        # The checksum is over what a reader will see: JSON has no tuples.
        values["checksum"] = sha256(_canonical(json.loads(json.dumps(values))))
        put_in_place(folder / MANIFEST_FILE, json.dumps(values, indent=1).encode())
        named = {f"segment-{entry.name}" for entry in self.segments} | {Path(self.codec).stem}
        for prefix in PREFIXES:
            for file in folder.glob(f"{prefix}*"):
                if file.name.split(".")[0] not in named:
                    file.unlink(missing_ok=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Holds the folder for one writer; waits for another. The system lets go of it if the process dies.

    Raises:
        IndexWriteError: the disk is full or the folder cannot be written.
    """
    try:
        if sys.platform == "win32":
            yield
            return
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        raise IndexWriteError(
            f"the index in {folder} cannot be written ({error.strerror or error}) and stays as it was; "
            "free some space, or choose a folder that can be written"
        ) from error


def put_in_place(path: Path, content: bytes) -> None:
    """Puts a file in place whole or not at all, and makes sure that it is on the disk."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with aside.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256(content: bytes) -> str:
    """Checksum in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True).encode()
