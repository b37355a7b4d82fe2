"""What reading would give, before anything is taken in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from knowledge_bases.importing.items import BadRow, Columns, Entry, ReadSettings
from knowledge_bases.importing.mapping import ColumnsError
from knowledge_bases.importing.table_entries import TableReader

__all__ = ["Preview", "previewed"]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What reading would give, from the beginning of it.

    Attributes:
        files: names of what will be read.
        columns: of the first table; none where there is no table.
        chosen: what each column would be taken for.
        entries: the first passages.
        bad: the bad rows among them.
        left_out: all files that are not read, and why.
        problem: why nothing can be read with these settings; empty when it can.
    """

    files: tuple[str, ...]
    columns: tuple[str, ...] = ()
    chosen: Columns = field(default_factory=Columns)
    entries: tuple[Entry, ...] = ()
    bad: tuple[BadRow, ...] = ()
    left_out: tuple[BadRow, ...] = ()
    problem: str = ""


def previewed(
    items: Iterator[Entry | BadRow], tables: TableReader, settings: ReadSettings, *, files: tuple[str, ...], limit: int
) -> Preview:
    """The first entries, and what the columns are taken for; reads no more than it shows.

    Args:
        items: what is read.
        tables: makes the entries of its tables.
        settings: how it is read.
        files: names of what is read.
        limit: entries and bad rows to look at.
    """
    problem, seen = "", []
    try:
        seen = list(islice(items, limit))
    except ColumnsError as error:
        problem = str(error)
    return Preview(
        files=files,
        columns=tables.columns,
        chosen=tables.chosen or settings.columns,
        entries=tuple(item for item in seen if isinstance(item, Entry)),
        bad=tuple(item for item in seen if isinstance(item, BadRow)),
        problem=problem,
    )
