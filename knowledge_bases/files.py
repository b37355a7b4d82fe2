"""Reads people's own files: CSV, JSONL, folders of text or Markdown, zip archives with pictures."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from knowledge_bases.m2kr import passage_from_m2kr
from knowledge_bases.records import Passage, VqaExample

__all__ = ["read_examples", "read_passages", "write_passages_csv", "write_passages_jsonl"]

PASSAGE_COLUMNS = ("passage_id", "title", "text", "source")
MAX_MEMBER_BYTES = 200_000_000  # of one file inside a zip, against archives that unpack without end
Row = Mapping[str, object]


def read_passages(path: Path | str) -> Iterator[Passage]:
    """Passages from a .csv or .jsonl file, a folder of .txt and .md files, or a .zip that holds any of these.

    Rows need `text` (or M2KR's `passage_content`); `passage_id` (or `id`), `title` and `source` may be left out. A
    row without an id takes "FILE-ROW". In a folder each file is one passage, its relative path the id, its first
    Markdown heading (or its name) the title. Pictures in a zip are passed over.

    Raises:
        ValueError: nothing there, an unknown kind of file, or a bad row; the message names file and row.
    """
    path = Path(path)
    if path.is_dir():
        yield from _folder(path)
    elif not path.exists():
        raise ValueError(f"no file or folder at {path}; check the path")
    elif path.suffix.lower() == ".zip":
        yield from _zip(path)
    else:
        yield from _passages(path.name, path.read_bytes())


def read_examples(path: Path | str) -> Iterator[VqaExample]:
    """Questions from a .jsonl or .csv file in the format of `evaluate`.

    Raises:
        ValueError: no such file, or a bad row; the message names file and row.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no question file at {path}; check the path")
    for place, row in _rows(path.name, path.read_bytes()):
        yield _example(place, row)


def write_passages_jsonl(path: Path, passages: list[Passage]) -> None:
    """Writes passages that `read_passages` reads back unchanged."""
    path.write_text("".join(json.dumps(vars(passage)) + "\n" for passage in passages), encoding="utf-8")


def write_passages_csv(path: Path, passages: list[Passage]) -> None:
    """Writes passages that `read_passages` reads back unchanged."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, PASSAGE_COLUMNS, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(vars(passage) for passage in passages)


def _passages(name: str, data: bytes) -> Iterator[Passage]:
    if name.lower().endswith((".txt", ".md")):
        yield _document(name, data)
        return
    for number, (place, row) in enumerate(_rows(name, data), start=1):
        yield _passage(place, row, fallback_id=f"{PurePosixPath(name).stem}-{number}")


def _rows(name: str, data: bytes) -> Iterator[tuple[str, Row]]:
    kind = name.lower().rpartition(".")[2]
    if kind not in ("csv", "jsonl"):
        raise ValueError(f"cannot read {name}: give a .csv, .jsonl, .txt, .md or .zip file or a folder")
    text = _decode(name, data)
    yield from _csv_rows(name, text) if kind == "csv" else _json_rows(name, text)


def _csv_rows(name: str, text: str) -> Iterator[tuple[str, Row]]:
    csv.field_size_limit(10_000_000)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                raise ValueError(
                    f"{name}, row {number}: not as many fields as the header has; put quotes around text with commas"
                )
            yield f"{name}, row {number}", row
    except csv.Error as error:
        raise ValueError(f"{name}, row {number + 1}: {error}; check the quotes") from error


def _json_rows(name: str, text: str) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{name}, row {number}"
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{place}: not JSON ({error}); write one object a line") from error
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise ValueError(f"{place}: {kind} where an object was expected; write one object a line")  # noqa: TRY004
        yield place, row


def _passage(place: str, row: Row, fallback_id: str) -> Passage:
    if "passage_content" in row and "text" not in row:
        return passage_from_m2kr(row, place)
    text = _text(place, row, "text")
    if not text.strip():
        raise ValueError(f"{place}: no text; fill the column `text` or leave the row out")
    passage_id = _text(place, row, "passage_id") or _text(place, row, "id") or fallback_id
    return Passage(
        passage_id=passage_id, title=_text(place, row, "title"), text=text, source=_text(place, row, "source")
    )


def _text(place: str, row: Row, column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{place}: {column} is {type(value).__name__}, not text; put it in quotes")


def _texts(place: str, row: Row, column: str) -> tuple[str, ...]:
    value = row.get(column)
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split("|"))  # a cell of a CSV
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f'{place}: {column} is not a list of texts; write ["...", "..."]')


def _example(place: str, row: Row) -> VqaExample:
    question_id, question = _text(place, row, "question_id"), _text(place, row, "question")
    image = _text(place, row, "image") or _text(place, row, "img_path")
    if not question_id:
        raise ValueError(f"{place}: no question_id; give every question an id of its own")
    if not question.strip() and not image:
        raise ValueError(f"{place}: neither question nor image; fill at least one of the two")
    return VqaExample(
        question_id=question_id,
        question=question,
        image=Path(image) if image else None,
        answers=_texts(place, row, "answers"),
        pos_passage_ids=_texts(place, row, "pos_passage_ids") or _texts(place, row, "pos_item_ids"),
        question_type=_text(place, row, "question_type"),
        instruction=_text(place, row, "instruction") or None,
    )


def _folder(path: Path) -> Iterator[Passage]:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".txt", ".md") and file.is_file())
    if not files:
        raise ValueError(f"no .txt or .md file in {path}; put one passage in each file")
    for file in files:
        yield _document(file.relative_to(path).as_posix(), file.read_bytes())


def _document(name: str, data: bytes) -> Passage:
    text = _decode(name, data).strip()
    title = PurePosixPath(name).stem
    first, _, rest = text.partition("\n")
    if name.lower().endswith(".md") and first.startswith("#"):
        title, text = first.lstrip("#").strip(), rest.strip()
    if not text:
        raise ValueError(f"{name}: the file is empty; write a passage in it or remove it")
    return Passage(passage_id=name, title=title, text=text, source=name)


def _zip(path: Path) -> Iterator[Passage]:
    readable = (".csv", ".jsonl", ".txt", ".md")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in archive.infolist()
                if member.filename.lower().endswith(readable) and not member.filename.startswith("__MACOSX/")
            ]
            if not members:
                raise ValueError(f"{path} holds no .csv, .jsonl, .txt or .md file; add the passages")
            for member in sorted(members, key=lambda member: member.filename):
                if member.file_size > MAX_MEMBER_BYTES:
                    raise ValueError(f"{path}: {member.filename} unpacks to more than 200 MB; split it")
                yield from _passages(member.filename, archive.read(member))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"cannot read {path} ({error}); pack it again as a plain zip without a password") from error


def _decode(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
