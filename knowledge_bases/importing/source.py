"""Everything that was given to be read, as one stream of entries and bad rows, with how far it has got."""

from __future__ import annotations

import bz2
import gzip
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, cast

from knowledge_bases.importing.columnar import arrow_rows, parquet_rows
from knowledge_bases.importing.documents import DOCUMENT_KINDS, read_document
from knowledge_bases.importing.items import BadRow, Entry, ReadSettings, Row
from knowledge_bases.importing.mapping import ColumnsError, document_entries
from knowledge_bases.importing.members import Member, members_of
from knowledge_bases.importing.pictures import PICTURE_KINDS, Pictures
from knowledge_bases.importing.previewing import Preview, previewed
from knowledge_bases.importing.table_entries import TableReader
from knowledge_bases.importing.tables import csv_rows, json_rows
from knowledge_bases.importing.wikipedia import articles

__all__ = ["KINDS", "FileSource"]

TABLE_KINDS = (".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz", ".parquet", ".arrow")
DUMP_KINDS = (".xml", ".xml.bz2")
KINDS = (*TABLE_KINDS, *DOCUMENT_KINDS, *DUMP_KINDS)
_GIVE = "make it one of CSV, JSON Lines, parquet, text, Markdown, HTML or PDF"
_BESIDE_TABLES = ("readme", "license", "licence", "dataset_card")  # documents about a data set rather than of it
_OF_SYSTEMS = ("thumbs.db", "desktop.ini", "dataset_info.json", "dataset_dict.json", "state.json")  # nobody's content


class FileSource:
    """Files to read passages from. Use it as a context manager.

    Attributes:
        done: bytes read so far.
        total: bytes in all.
        left_out: files that are no pictures either, and are not read.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Finds the files.

        Raises:
            ValueError: nothing is there, nothing can be read, or an archive is damaged.
        """
        self._opened = ExitStack()
        try:
            given_members = members_of(paths, self._opened)
            members = [member for member in given_members if not member.problem]
            self._pictures = Pictures(members)
            self._members = _readable(members)
            self.left_out = _left_out(given_members, self._members)
            if not self._members:
                given = ", ".join(str(path) for path in paths)
                raise ValueError(
                    f"{given} holds nothing that can be read; give {', '.join(KINDS)} files or a zip of them"
                )
        except BaseException:
            self._opened.close()
            raise
        self.done, self.total = 0, sum(member.size for member in self._members)
        self._before = 0  # bytes of the files that are done
        self._tables = TableReader()

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that are read."""
        return tuple(member.name for member in self._members)

    def items(self, settings: ReadSettings, *, tell_left_out: bool = True) -> Generator[Entry | BadRow]:
        """Entries and bad rows in the files' order.

        Args:
            settings: how they are read.
            tell_left_out: whether the files that are left out come after them, as bad rows without a line.

        Raises:
            ColumnsError: the columns asked for do not fit a table.
        """
        yield from self._of_members(settings)
        if tell_left_out:
            yield from self.left_out

    def _of_members(self, settings: ReadSettings) -> Generator[Entry | BadRow]:
        self._before = self.done = 0
        for member in self._members:
            try:
                yield from self._of_member(member, settings)
            except ColumnsError:
                raise
            except ValueError as error:
                yield BadRow(file=member.name, line=None, problem=str(error))
            except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
                problem = f"{member.name} is damaged ({error}); fetch or pack it again"
                yield BadRow(file=member.name, line=None, problem=problem)
            self._before += member.size
            self.done = self._before

    def preview(self, settings: ReadSettings, limit: int = 5) -> Preview:
        """The first entries, and what the columns are taken for; reads no more than it shows."""
        preview = previewed(self._of_members(settings), self._tables, settings, files=self.files, limit=limit)
        return replace(preview, left_out=self.left_out)

    def _of_member(self, member: Member, settings: ReadSettings) -> Iterator[Entry | BadRow]:
        kind = _kind(member.name)
        if kind in DOCUMENT_KINDS:
            yield from self._of_document(member, settings)
            return
        with member.open() as stream:
            if kind in DUMP_KINDS:
                yield from self._of_dump(stream, member, settings)
            else:
                yield from self._of_table(stream, member, settings)

    def _of_document(self, member: Member, settings: ReadSettings) -> Iterator[Entry | BadRow]:
        for document in read_document(member.name, member.read(), settings.encoding):
            picture = self._pictures.of_document(member.name, document.picture)
            yield from document_entries(document, settings.splitting, file=member.name, picture=picture)

    def _of_dump(self, stream: BinaryIO, member: Member, settings: ReadSettings) -> Iterator[Entry | BadRow]:
        unpacked = cast("BinaryIO", bz2.BZ2File(stream)) if member.name.lower().endswith(".bz2") else stream
        for article in articles(unpacked):
            self.done = self._before + stream.tell()
            yield from document_entries(article, settings.splitting, file=member.name, picture=None)

    def _of_table(self, stream: BinaryIO, member: Member, settings: ReadSettings) -> Iterator[Entry | BadRow]:
        return self._tables.entries(
            self._rows(stream, member, settings.encoding),
            settings,
            file=member.name,
            stem=member.name[: len(member.name) - len(_kind(member.name))],
            picture_of=lambda cell: self._pictures.of_cell(cell, member.name),
        )

    def _rows(self, stream: BinaryIO, member: Member, encoding: str) -> Iterator[Row | BadRow]:
        kind = _kind(member.name)
        if kind in (".parquet", ".arrow"):
            yield from (parquet_rows if kind == ".parquet" else arrow_rows)(stream, self._of(member))
            return
        unpacked = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if kind.endswith(".gz") else stream
        read = json_rows if kind.startswith(".jsonl") else csv_rows
        for row in read(unpacked, member.name, encoding):
            self.done = self._before + stream.tell()
            yield row

    def _of(self, member: Member) -> Callable[[int, int], None]:
        def done(rows: int, total: int) -> None:
            self.done = self._before + (member.size * rows // total if total else 0)

        return done


def _readable(members: Sequence[Member]) -> list[Member]:
    """Those to read: of a data set's folder not its caches, and beside tables no documents about them."""
    known = [member for member in members if _kind(member.name) in KINDS]
    tables = any(_kind(member.name) in TABLE_KINDS for member in known)
    return [
        member
        for member in known
        if not (tables and _kind(member.name) in DOCUMENT_KINDS and _stem(member.name).startswith(_BESIDE_TABLES))
        and not (member.name.endswith(".arrow") and _stem(member.name).startswith("cache-"))
    ]


def _left_out(members: Sequence[Member], read: Sequence[Member]) -> tuple[BadRow, ...]:
    """Files that somebody may believe to be read. What stands beside tables or is a system's own is passed over."""
    names = {member.name for member in read}
    return tuple(
        BadRow(file=member.name, line=None, problem=member.problem or f"this kind of file is not read; {_GIVE}")
        for member in members
        if member.problem or (member.name not in names and _may_be_content(member.name))
    )


def _may_be_content(name: str) -> bool:
    """Whether a file that is not read might hold passages, for all that its name tells."""
    known = (*KINDS, *PICTURE_KINDS)  # of these, `_readable` left out what is about a data set
    plain = PurePosixPath(name).name.lower()
    return _kind(name) not in known and plain not in _OF_SYSTEMS and not _stem(name).startswith(_BESIDE_TABLES)


def _stem(name: str) -> str:
    return PurePosixPath(name).name.lower().partition(".")[0]


def _kind(name: str) -> str:
    """The file name's ending that says what it is; in small letters, with what it is packed in."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    if suffixes[-1:] == [".gz"]:
        return "".join(suffixes[-2:])
    if suffixes[-1:] == [".bz2"]:  # parts of a dump are named `...xml-p1p41242.bz2`
        return ".xml.bz2" if any(suffix.startswith(".xml") for suffix in suffixes) else ".bz2"
    return suffixes[-1] if suffixes else ""
