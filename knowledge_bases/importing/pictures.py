"""The pictures that belong to passages: found by name among the files read, and checked."""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import PurePosixPath
from urllib.parse import unquote

from PIL import Image

from knowledge_bases.importing.items import RowError
from knowledge_bases.importing.members import Member

__all__ = ["MOST_BYTES", "PICTURE_KINDS", "Pictures", "check_picture"]

PICTURE_KINDS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MOST_BYTES = 25_000_000  # of a picture
_MOST_PIXELS = 100_000_000


class Pictures:
    """Finds pictures among files."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._by_name = {member.name: member for member in members if _kind(member.name) in PICTURE_KINDS}
        self._by_end: dict[str, Member | None] = {}
        for member in self._by_name.values():
            end = PurePosixPath(member.name).name
            self._by_end[end] = None if end in self._by_end else member  # None: more than one has this name

    def of_cell(self, cell: object, file: str) -> bytes:
        """The picture that a table's cell names, relative to the table or the whole, or holds (as parquet does).

        Raises:
            RowError: there is none, or it is no picture.
        """
        if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
            return check_picture(cell["bytes"])
        if isinstance(cell, bytes):
            return check_picture(cell)
        name = cell.get("path") if isinstance(cell, dict) else cell
        if not isinstance(name, str):
            raise RowError(f"{type(cell).__name__} where a picture's file name was expected")
        member = self._find(name, file)
        if member is None:
            raise RowError(f"there is no picture {name!r} among the files; put it beside the table or into the zip")
        return self._read(member)

    def of_document(self, file: str, named: str) -> bytes | None:
        """The picture that a document shows, or else the one with the document's own name beside it.

        Raises:
            RowError: it is no picture.
        """
        if named and "://" not in named and not named.startswith("data:"):
            member = self._find(unquote(named), file)
            if member is not None:
                return self._read(member)
        stem = file[: len(file) - len(_kind(file))]
        beside = next((self._by_name[stem + kind] for kind in PICTURE_KINDS if stem + kind in self._by_name), None)
        return self._read(beside) if beside is not None else None

    def _find(self, name: str, file: str) -> Member | None:
        name = name.replace("\\", "/").removeprefix("./")
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(file), name))
        found = self._by_name.get(beside) or self._by_name.get(name)
        return found or self._by_end.get(PurePosixPath(name).name)

    def _read(self, member: Member) -> bytes:
        try:
            return check_picture(member.read(), member.name)
        except RowError:
            raise
        except ValueError as error:
            raise RowError(f"{member.name}: {error}") from error


def check_picture(content: bytes, name: str = "the picture") -> bytes:
    """The bytes as they are, if they are a picture of a usual kind and size.

    Raises:
        RowError: they are not.
    """
    if len(content) > MOST_BYTES:
        raise RowError(f"{name} has {len(content) / 1e6:,.0f} MB; make it smaller than 25 MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(content)) as picture:
                width, height = picture.size
                picture.verify()
    except Exception as error:  # Pillow's readers raise errors of many kinds
        raise RowError(f"{name} is not a picture that can be read; save it as JPEG or PNG") from error
    if width * height > _MOST_PIXELS:
        raise RowError(f"{name} has {width} x {height} pixels; make it smaller")
    return content


def _kind(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
