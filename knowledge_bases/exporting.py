"""Writes passages to files that can be read back: JSON Lines, CSV, or a zip with the pictures."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from PIL import Image

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore

__all__ = ["EXPORT_KINDS", "export", "picture_ending", "write_csv", "write_jsonl"]

EXPORT_KINDS = (".jsonl", ".csv", ".zip")
_COLUMNS = ("passage_id", "title", "text", "source")


def export(store: PassageStore, path: Path) -> int:
    """Writes every passage, in the order in which they were added. Pictures go into a zip only.

    Returns:
        how many passages were written.

    Raises:
        ValueError: the file's name has another ending than `EXPORT_KINDS`.
        OSError: it cannot be written.
    """
    kind = path.suffix.lower()
    if kind == ".zip":
        _write_zip(store, path)
    elif kind in EXPORT_KINDS:
        with path.open("w", encoding="utf-8", newline="") as file:
            (write_jsonl if kind == ".jsonl" else write_csv)(file, store)
    else:
        raise ValueError(f"{path.name} has no known ending; write to a {', '.join(EXPORT_KINDS)} file")
    return len(store)


def write_jsonl(file: IO[str], passages: Iterable[Passage]) -> None:
    """One object a line, with every field."""
    for passage in passages:
        file.write(json.dumps(vars(passage), ensure_ascii=False) + "\n")


def write_csv(file: IO[str], passages: Iterable[Passage]) -> None:
    """A table with a header line."""
    writer = csv.DictWriter(file, _COLUMNS, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(vars(passage) for passage in passages)


def _write_zip(store: PassageStore, path: Path) -> None:
    """`passages.jsonl`, whose column `picture` names files under `pictures/`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        names = _write_pictures(store, archive)
        with archive.open("passages.jsonl", "w", force_zip64=True) as member:
            for passage in store:
                row = {**vars(passage), **({"picture": names[passage.passage_id]} if names else {})}
                member.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


def _write_pictures(store: PassageStore, archive: zipfile.ZipFile) -> dict[str, str]:
    """Writes the pictures; gives every passage's picture by name, empty for a passage without."""
    if not store.has_pictures():
        return {}
    names: dict[str, str] = {}
    for number, passage in enumerate(store, start=1):
        picture = store.picture(passage.passage_id)
        names[passage.passage_id] = "" if picture is None else f"pictures/{number:07}.{picture_ending(picture)}"
        if picture is not None:
            archive.writestr(names[passage.passage_id], picture, zipfile.ZIP_STORED)
    return names


def picture_ending(picture: bytes) -> str:
    """The usual ending of such a picture's file name, without the dot."""
    with Image.open(io.BytesIO(picture)) as opened:
        return {"JPEG": "jpg", "TIFF": "tif"}.get(opened.format or "", (opened.format or "png").lower())
