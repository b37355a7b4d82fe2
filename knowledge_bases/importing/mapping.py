"""Which column is what, and from rows and documents to passages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from knowledge_bases.importing.items import Columns, Document, Entry, RowError, Splitting
from knowledge_bases.importing.splitting import split
from knowledge_bases.records import Passage

__all__ = ["ColumnsError", "PictureOf", "document_entries", "resolve_columns", "row_entries"]

PictureOf = Callable[[object], bytes]
"""Bytes of the picture that a cell names or holds; a `RowError` where it does neither."""

_USUAL: dict[str, tuple[str, ...]] = {
    "text": ("text", "passage_content", "passage_text", "content", "contents", "passage", "body", "abstract", "context",
             "document", "description", "article", "answer"),
    "passage_id": ("passage_id", "id", "_id", "pid", "docid", "doc_id", "key", "nr"),
    "title": ("title", "name", "heading", "headline", "page_title", "wikipedia_title", "subject", "label"),
    "source": ("source", "url", "link", "uri", "wikipedia_url", "reference"),
    "picture": ("picture", "image", "picture_path", "image_path", "img_path", "img", "photo", "file_name"),
}  # fmt: skip


class ColumnsError(ValueError):
    """A table whose columns cannot be used as they were asked for; nothing of it can be read."""


def resolve_columns(wanted: Columns, names: Sequence[str], file: str) -> Columns:
    """Fills in the columns that were not named, from the usual names.

    Args:
        wanted: what was asked for.
        names: of the table's columns.
        file: the table's name, for the message.

    Raises:
        ColumnsError: a named column is not there, or none looks like the text.
    """
    listed = ", ".join(names)
    for name in wanted.names():
        if name not in names:
            raise ColumnsError(f"{file} has no column {name!r}; it has {listed}")
    plain = {re.sub(r"[^a-z]+", "_", name.lower()).strip("_"): name for name in reversed(names)}
    taken = set(wanted.names())

    def usual(role: str) -> str:
        found = next((plain[name.strip("_")] for name in _USUAL[role] if name.strip("_") in plain), "")
        return "" if found in taken else found

    text = wanted.text or tuple(filter(None, [usual("text")]))
    if not text:
        raise ColumnsError(f"{file} has no column that looks like the text; say which, as text=NAME. It has {listed}")
    taken |= set(text)
    return Columns(
        passage_id=wanted.passage_id or usual("passage_id"),
        title=wanted.title or usual("title"),
        text=text,
        source=wanted.source or usual("source"),
        picture=wanted.picture or usual("picture"),
    )


def row_entries(
    values: Mapping[str, object],
    columns: Columns,
    splitting: Splitting,
    *,
    file: str,
    line: int,
    fallback_id: str,
    picture_of: PictureOf,
) -> Iterator[Entry]:
    """The passages of one row; more than one where its text is split.

    Args:
        values: the row.
        columns: resolved.
        splitting: of long texts.
        file: the table's name.
        line: of the row.
        fallback_id: for a row without an id.
        picture_of: bytes of the picture that a cell names or holds.

    Raises:
        RowError: the row has no text, a column holds something else than text, or its picture cannot be used.
    """
    text = _joined(values, columns.text)
    if not text.strip():
        raise RowError(f"no text; fill the column `{columns.text[0]}` or leave the row out")
    cell = values.get(columns.picture) if columns.picture else None
    picture = picture_of(cell) if cell is not None and cell != "" else None
    whole = Passage(
        passage_id=_text(values, columns.passage_id) or fallback_id,
        title=_text(values, columns.title),
        text=text,
        source=_text(values, columns.source),
    )
    yield from _split(whole, splitting.of_rows(), splitting.overlap, file=file, line=line, picture=picture)


def document_entries(document: Document, splitting: Splitting, *, file: str, picture: bytes | None) -> Iterator[Entry]:
    """The passages of one document.

    Raises:
        RowError: it has no text.
    """
    if not document.text.strip():
        raise RowError("there is no text in it; write a passage in it or remove it")
    whole = Passage(
        passage_id=document.passage_id or file,
        title=document.title or PurePosixPath(file).stem,
        text=document.text.strip(),
        source=document.source or file,
    )
    yield from _split(whole, splitting.of_documents(), splitting.overlap, file=file, line=None, picture=picture)


def _split(
    whole: Passage, words: int, overlap: int, *, file: str, line: int | None, picture: bytes | None
) -> Iterator[Entry]:
    texts = split(whole.text, words=words, overlap=overlap) if words else [whole.text]
    for number, text in enumerate(texts, start=1):
        passage_id = whole.passage_id if len(texts) == 1 else f"{whole.passage_id}/{number}"
        passage = Passage(passage_id=passage_id, title=whole.title, text=text, source=whole.source)
        yield Entry(passage=passage, file=file, line=line, picture=picture if number == 1 else None)


def _joined(values: Mapping[str, object], names: Sequence[str]) -> str:
    if len(names) == 1:
        return _text(values, names[0])
    parts = [(name, _shown(values.get(name), name).strip()) for name in names]
    return ". ".join(f"{name}: {part.rstrip('.')}" for name, part in parts if part)


def _shown(value: object, name: str) -> str:
    """A value among several: numbers and lists of texts will do as well."""
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(map(str, value))
    return str(value) if isinstance(value, (bool, float)) else _text({name: value}, name)


def _text(values: Mapping[str, object], column: str) -> str:
    value = values.get(column) if column else None
    if value is None:
        return ""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise RowError(f"{column} is {type(value).__name__}, not text; put it in quotes or choose another column")
