"""From the rows of tables to entries, whatever the table lies in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from knowledge_bases.importing.items import BadRow, Columns, Entry, ReadSettings, Row, RowError
from knowledge_bases.importing.mapping import PictureOf, resolve_columns, row_entries

__all__ = ["Resolve", "TableReader"]

_LOOKED_AT = 100  # rows of a table, for the names of its columns

Resolve = Callable[[Columns, Sequence[str], str], Columns]
"""Fills in the columns that were not named; see `resolve_columns`."""


class TableReader:
    """Makes entries of rows, and remembers the columns of the first table.

    Attributes:
        columns: names of the first table's columns.
        chosen: what they were taken for; what was asked for, where they do not fit; None before there is a table.
    """

    def __init__(self, resolve: Resolve = resolve_columns) -> None:
        self._resolve = resolve
        self.columns: tuple[str, ...] = ()
        self.chosen: Columns | None = None

    def entries(
        self, rows: Iterator[Row | BadRow], settings: ReadSettings, *, file: str, stem: str, picture_of: PictureOf
    ) -> Iterator[Entry | BadRow]:
        """Entries and bad rows of one table, in its order.

        Args:
            rows: of the table.
            settings: how it is read.
            file: its name.
            stem: of the ids of rows without one; their number follows.
            picture_of: bytes of the picture that a cell names or holds.

        Raises:
            ColumnsError: the columns asked for do not fit the table.
        """
        first = list(islice(rows, _LOOKED_AT))
        names = list(dict.fromkeys(name for row in first if isinstance(row, Row) for name in row.values))
        columns = self._resolved(settings.columns, names, file) if names else None
        known = set(names)
        for number, row in enumerate(chain(first, rows), start=1):
            if isinstance(row, BadRow):
                yield row
                continue
            if columns is None:  # the first ones were all bad
                known = set(row.values)
                columns = self._resolved(settings.columns, list(row.values), file)
            elif new := row.values.keys() - known:  # rows of JSON may differ in their columns
                known |= new
                columns = self._resolve(columns, [*columns.names(), *sorted(new)], file)
            try:
                yield from row_entries(
                    row.values,
                    columns,
                    settings.splitting,
                    file=file,
                    line=row.line,
                    fallback_id=f"{stem}-{number}",
                    picture_of=picture_of,
                )
            except RowError as error:
                yield BadRow(file=file, line=row.line, problem=str(error), content=str(dict(row.values))[:300])

    def _resolved(self, wanted: Columns, names: Sequence[str], file: str) -> Columns:
        first = self.chosen is None
        if first:
            self.columns, self.chosen = tuple(names), wanted
        resolved = self._resolve(wanted, names, file)
        if first:
            self.chosen = resolved
        return resolved
