"""The files to read: single ones, those of a folder, or those of a zip archive."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

__all__ = ["MOST_BYTES", "Member", "members_of"]

MOST_BYTES = 200_000_000  # of a document or picture, which is read whole
_MOST_UNPACKED = 50_000_000_000  # of a table in an archive, against archives that unpack without end
_SMALL, _MOST_RATIO = 10_000_000, 500  # bytes that any file may unpack to, and times that a larger one may grow


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file.

    Attributes:
        name: relative to the folder or archive, with `/`.
        size: bytes, unpacked.
        path: where it lies; None in an archive.
        archive: the archive that holds it, opened.
        problem: why it is never opened; empty where it may be.
    """

    name: str
    size: int
    path: Path | None = None
    archive: zipfile.ZipFile | None = None
    problem: str = ""

    def open(self) -> BinaryIO:
        """Opens it for reading.

        Raises:
            ValueError: it cannot be read; in an archive, also that it is damaged or has a password.
        """
        try:
            if self.archive is None:
                assert self.path is not None  # a member has one or the other
                return self.path.open("rb")
            return cast("BinaryIO", self.archive.open(self.name))
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, KeyError) as error:
            raise ValueError(f"it cannot be read ({error}); check its permissions, or pack it again") from error

    def read(self) -> bytes:
        """All of a document or picture.

        Raises:
            ValueError: as `open`, or it is larger than `MOST_BYTES`.
        """
        if self.size > MOST_BYTES:
            raise ValueError(f"it has {self.size / 1e6:,.0f} MB; split it into files of at most 200 MB")
        try:
            with self.open() as stream:
                return stream.read(MOST_BYTES)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise ValueError(f"it cannot be read ({error}); copy or pack it again") from error


def members_of(paths: Sequence[Path], opened: ExitStack) -> list[Member]:
    """The files under paths, in the order of their names; without hidden ones.

    Args:
        paths: files, folders and zip archives.
        opened: closes the archives in the end.

    Raises:
        ValueError: a path is missing, or an archive is damaged.
    """
    found: list[Member] = []
    for path in paths:
        if path.is_dir():
            found += _of_folder(path)
        elif not path.exists():
            raise ValueError(f"no file or folder at {path}; check the path")
        elif path.suffix.lower() == ".zip":
            found += _of_archive(path, opened)
        else:
            found.append(Member(name=path.name, size=path.stat().st_size, path=path))
    return found


def _of_folder(folder: Path) -> Iterator[Member]:
    """Its files, without hidden ones and without what lies outside (a link may lead anywhere)."""
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
        if not hidden and path.is_file() and path.resolve().is_relative_to(root):
            yield Member(name=name.as_posix(), size=path.stat().st_size, path=path)


def _of_archive(path: Path, opened: ExitStack) -> list[Member]:
    try:
        archive = opened.enter_context(zipfile.ZipFile(path))
        infos = sorted(archive.infolist(), key=lambda info: info.filename)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ValueError(f"cannot read {path} ({error}); pack it again as a plain zip without a password") from error
    found = []
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if info.is_dir() or any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts):
            continue
        if problem := _never_opened(info, parts):
            found.append(Member(name=info.filename, size=0, archive=archive, problem=problem))
            continue
        if info.flag_bits & 1:
            raise ValueError(f"cannot read {path} ({info.filename} has a password); pack it again without one")
        if info.file_size > _MOST_UNPACKED or info.file_size > max(_SMALL, info.compress_size * _MOST_RATIO):
            raise ValueError(f"{path}: {info.filename} unpacks to {info.file_size / 1e6:,.0f} MB; unpack it yourself")
        found.append(Member(name=info.filename, size=info.file_size, archive=archive))
    return found


def _never_opened(info: zipfile.ZipInfo, parts: tuple[str, ...]) -> str:
    """Why a file of an archive is left alone; empty where it is not."""
    if ".." in parts:
        return "its name leads out of the archive; pack it again with plain names"
    return "it is a link; pack the file that it leads to" if stat.S_ISLNK(info.external_attr >> 16) else ""
