"""What travels while files are read: rows and documents as they stand, then entries and bad rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowledge_bases.records import Passage

__all__ = ["BadRow", "Columns", "Document", "Entry", "ReadSettings", "Row", "RowError", "Splitting"]

DOCUMENT_WORDS = 120  # what a retriever encodes well and a reader reads at a glance


class RowError(ValueError):
    """What is wrong with one row or document; the rest can be read."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of a table is what; an empty name is looked for among usual names.

    Attributes:
        passage_id: the id's column.
        title: the title's column.
        text: the text's columns; several are joined as `column: value`.
        source: the column that says where a passage is from.
        picture: the column with a picture's file name (or, in parquet, the picture itself).
    """

    passage_id: str = ""
    title: str = ""
    text: tuple[str, ...] = ()
    source: str = ""
    picture: str = ""

    def names(self) -> tuple[str, ...]:
        """The columns that are named."""
        return tuple(filter(None, (self.passage_id, self.title, *self.text, self.source, self.picture)))


@dataclass(frozen=True, kw_only=True)
class Splitting:
    """How long texts become several passages; see `splitting.split`.

    Attributes:
        words: most words a passage; 0 leaves every text whole; None splits documents at `DOCUMENT_WORDS` and leaves
            the rows of tables whole.
        overlap: sentences that a passage repeats from the one before.
    """

    words: int | None = None
    overlap: int = 1

    def __post_init__(self) -> None:
        if self.words is not None and self.words < 0:
            raise ValueError(f"{self.words} words a passage make no sense; give 0 to leave texts whole, or 20 or more")
        if self.words is not None and 0 < self.words < 20:
            raise ValueError(f"passages of {self.words} words say too little; give at least 20 (0 leaves texts whole)")
        if not 0 <= self.overlap <= 5:
            raise ValueError(f"an overlap of {self.overlap} sentences makes no sense; give 0 to 5")

    def of_documents(self) -> int:
        """Words a passage of a document."""
        return DOCUMENT_WORDS if self.words is None else self.words

    def of_rows(self) -> int:
        """Words a passage of a table's row."""
        return self.words or 0


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """How files are read.

    Attributes:
        columns: of tables.
        splitting: of long texts.
        encoding: of text files, as Python names it.
    """

    columns: Columns = field(default_factory=Columns)
    splitting: Splitting = field(default_factory=Splitting)
    encoding: str = "utf-8-sig"

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(f"{error}; usual ones are utf-8, utf-16, cp1252 and latin-1") from error


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table. `line` is where it starts in the file, from 1; in parquet, its number."""

    line: int
    values: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text with a title. Where `passage_id` or `source` is empty, the file's name stands in for it."""

    title: str
    text: str
    passage_id: str = ""
    source: str = ""
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A passage that was read, with its picture's bytes if it has one, and where it stands."""

    passage: Passage
    file: str
    line: int | None = None
    picture: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class BadRow:
    """What could not be read.

    Attributes:
        file: name of the file.
        line: from 1; None where the whole file is meant.
        problem: what is wrong and what to do, on one line.
        content: the beginning of the row as it was read.
    """

    file: str
    line: int | None
    problem: str
    content: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.problem}"
