"""Reads passages from files of which every row has to be sound. For people's own files, with bad rows reported rather
than raised, see `importing`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowledge_bases.importing.items import BadRow, Entry, ReadSettings
from knowledge_bases.importing.source import FileSource
from knowledge_bases.records import Passage

__all__ = ["read_entries", "read_passages"]


def read_passages(path: Path | str) -> Iterator[Passage]:
    """The passages of `read_entries`."""
    for entry in read_entries(path):
        yield entry.passage


def read_entries(path: Path | str) -> Iterator[Entry]:
    """Passages, with their pictures, from a file, a folder or a zip archive of any kind that `importing.source` reads.

    A row without an id takes "FILE-ROW". A document's relative path is its id, its first heading (or its name) the
    title; where it is long, it is split into several passages.

    Raises:
        ValueError: nothing there, an unknown kind of file, or a bad row; the message names file and line.
    """
    with FileSource([Path(path)]) as source:
        for item in source.items(ReadSettings(), tell_left_out=False):
            if isinstance(item, BadRow):
                raise ValueError(str(item))  # noqa: TRY004
            yield item
