"""Rows of CSV and JSON Lines files, one at a time; a bad row does not end the reading."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import BinaryIO

from knowledge_bases.importing.items import BadRow, Row

__all__ = ["csv_rows", "json_rows"]

_LONGEST_FIELD = 10_000_000
_SHOWN = 300  # characters of a bad row


def csv_rows(stream: BinaryIO, file: str, encoding: str) -> Iterator[Row | BadRow]:
    """Rows below a header line. Commas, semicolons, tabs and bars may separate the fields.

    Raises:
        ValueError: there is no header.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    text = _Lines(stream, encoding)
    header_line = text.first()
    reader = csv.reader(text, strict=True, delimiter=_delimiter(header_line))
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise ValueError(f"line 1: {error}; check the quotes of the header") from error
    if not any(header):
        raise ValueError("the file is empty; its first line must name the columns")
    if len(set(header)) < len(header):
        raise ValueError("line 1: two columns have the same name; name each differently")
    while True:
        line, text.kept = reader.line_num + 1, ""
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(file=file, line=line, problem=f"{error}; check the quotes", content=text.kept)
            continue
        if not fields:
            continue
        problem = _field_problem(fields, len(header))
        if problem:
            yield BadRow(file=file, line=line, problem=problem, content=text.kept)
        else:
            yield Row(line=line, values=dict(zip(header, fields, strict=True)))


def json_rows(stream: BinaryIO, file: str, encoding: str) -> Iterator[Row | BadRow]:
    """Objects, one a line; blank lines are passed over."""
    for line, text in enumerate(_Lines(stream, encoding), start=1):
        if not text.strip():
            continue
        problem, row = "", None
        try:
            row = json.loads(text)
            if not text.isascii() or "\\u" in text:
                json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            problem = _not_decoded(text) or "it holds half a character (a lone surrogate); remove it"
        except (ValueError, RecursionError) as error:  # no JSON, or a number of thousands of digits
            problem = _not_decoded(text) or f"not JSON ({error}); write one object a line"
        if not problem and not isinstance(row, dict):
            problem = f"{type(row).__name__} where an object was expected; write one object a line"
        if problem:
            yield BadRow(file=file, line=line, problem=problem, content=_printable(text[:_SHOWN]))
        elif isinstance(row, dict):
            yield Row(line=line, values=row)


class _Lines:
    """Decoded lines. Bytes that are not text become lone surrogates, so that only their own row is lost.

    Attributes:
        kept: what was read since it was last emptied, cut short.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        start = stream.read(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        whole = io.BufferedReader(_Joined(start, stream))
        self._text = io.TextIOWrapper(whole, encoding=encoding, errors="surrogateescape", newline="")
        self._ahead: list[str] = []
        self.kept = ""

    def first(self) -> str:
        """The first line; it will be read again."""
        line = next(self._text, "")
        self._ahead = [line] if line else []
        return line

    def __iter__(self) -> Iterator[str]:
        yield from map(self._keep, self._ahead)
        for line in self._text:
            yield self._keep(line)

    def _keep(self, line: str) -> str:
        if len(self.kept) < _SHOWN:
            self.kept += _printable(line[: _SHOWN - len(self.kept)])
        return line


class _Joined(io.RawIOBase):
    """The bytes that were read to look at, and then the rest."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._start or self._rest.read(len(buffer))
        taken = data[: len(buffer)]
        self._start = data[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _delimiter(header: str) -> str:
    return max(",;\t|", key=lambda mark: (header.count(mark), mark == ","))


def _field_problem(fields: list[str], expected: int) -> str:
    if len(fields) != expected:
        return f"{len(fields)} fields where the header has {expected}; put quotes around text with separators"
    return next(filter(None, map(_not_decoded, fields)), "")


def _not_decoded(text: str) -> str:
    if text.isascii() or not any("\udc80" <= char <= "\udcff" for char in text):
        return ""
    return "bytes that are not text in this encoding; save the file as UTF-8 or give its encoding, such as cp1252"


def _printable(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode("utf-8").rstrip("\r\n")
