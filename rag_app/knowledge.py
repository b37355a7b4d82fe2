"""Which knowledge base is asked, and its passage store.

There are two kinds. A knowledge base of this repository, or a path, is a file or folder of passages; its store is
derived from it and named by a checksum, so it is made once and never out of date. A knowledge base of your own is a
store in `var/knowledge_bases`; there the store is the truth.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.catalog import KnowledgeBase, find_knowledge_base, list_knowledge_bases
from knowledge_bases.files import read_entries
from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore, StoreError
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.locking import folder_lock
from rag_app.stores import SharedStore

__all__ = [
    "Knowledge",
    "bad_rows_path",
    "changing",
    "check_names_differ",
    "find_knowledge",
    "find_together",
    "list_knowledge",
    "named_knowledge",
    "open_store",
    "own_store_path",
    "split_names",
]

_OWN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_WAY_OF_READING = b"2: pictures too"  # changed when the same files become another store


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """A knowledge base that was found.

    Attributes:
        name: what `--kb` takes.
        title: for people.
        description: one or two sentences; may be empty.
        passages: the file or folder of passages, or None where the store is the truth.
        own_store: the store of a knowledge base of your own, else None.
        examples: pairs of a picture and a question to try.
        folder: name of its folder of indexes.
    """

    name: str
    title: str
    description: str = ""
    passages: Path | None = None
    own_store: Path | None = None
    examples: tuple[tuple[Path, str], ...] = ()
    folder: str


def own_store_path(name: str, var: Path) -> Path:
    """Where the store of a knowledge base of your own lies.

    Raises:
        InputError: the name is taken by one of this repository, or has other characters than small letters, digits,
            `_` and `-`.
    """
    if any(base.name == name for base in list_knowledge_bases()):
        raise InputError(f"{name!r} is part of this repository and cannot be changed; choose another name")
    if not _OWN_NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be a name; use small letters, digits, _ and -")
    return var / "knowledge_bases" / f"{name}.sqlite"


def bad_rows_path(name: str, var: Path) -> Path:
    """Where the rows are listed that the last change of a knowledge base of your own could not take in."""
    return own_store_path(name, var).with_name(f"{name}.bad-rows.csv")


@contextmanager
def changing(name: str, var: Path) -> Iterator[Path]:
    """Holds the lock of a knowledge base of your own; gives a folder for what is not finished.

    Where there is no such knowledge base in the end, the folder goes again.

    Raises:
        InputError: it cannot be a name.
        OSError: `var` cannot be written.
    """
    store = own_store_path(name, var)
    scratch = store.parent / f".{name}"
    with folder_lock(scratch):
        try:
            yield scratch
        finally:
            if not store.exists():
                shutil.rmtree(scratch, ignore_errors=True)  # who waits for the lock makes it again


def list_knowledge(var: Path) -> list[Knowledge]:
    """Every knowledge base that has a name: those of this repository, then your own."""
    paths = sorted((var / "knowledge_bases").glob("*.sqlite"))
    return [_from_files(base) for base in list_knowledge_bases()] + [
        _own(path) for path in paths if _OWN_NAME.fullmatch(path.stem)
    ]


def find_knowledge(name: str, var: Path) -> Knowledge:
    """The knowledge base of this name, or the one in a file or folder of passages.

    Raises:
        InputError: there is none; the message lists the names.
    """
    known = list_knowledge(var)
    for knowledge in known:
        if knowledge.name == name:
            return knowledge
    if name and _is_path(name):
        with reported_as_input():
            return _from_files(find_knowledge_base(name))
    raise InputError(
        f"unknown knowledge base {name!r}; choose one of {', '.join(one.name for one in known)}, give the path of a "
        "file or folder of passages, or make your own with `python -m rag_app kb add`"
    )


def find_together(names: str, var: Path) -> tuple[Knowledge, ...]:
    """The knowledge bases that are asked together.

    Args:
        names: as for `find_knowledge`, or several with commas between.
        var: folder of derived data.

    Raises:
        InputError: one is not there, or two have the same name.
    """
    if "," not in names or _is_path(names):
        return (find_knowledge(names, var),)
    found = tuple(find_knowledge(name.strip(), var) for name in names.split(","))
    check_names_differ([one.name for one in found])
    return found


def split_names(names: str) -> tuple[str, ...]:
    """Names that commas part; what is empty between them counts for nothing."""
    return tuple(name for name in map(str.strip, names.split(",")) if name)


def check_names_differ(names: Sequence[str]) -> None:
    """Makes sure that knowledge bases can be asked together.

    Raises:
        InputError: there is none, or two have the same name.
    """
    if not names:
        raise InputError("no knowledge base is chosen; choose at least one")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two of the knowledge bases are called {twice[0]!r}; give each once")


def named_knowledge(name: str, var: Path) -> Knowledge:
    """The knowledge base of this name. Unlike `find_knowledge` it takes no path, so that strangers may give the name.

    Raises:
        InputError: there is none; the message lists the names.
    """
    known = {knowledge.name: knowledge for knowledge in list_knowledge(var)}
    if name not in known:
        raise InputError(f"unknown knowledge base {name!r}; choose one of {', '.join(known)}")
    return known[name]


def _is_path(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # longer than a path can be
        return False


def _own(path: Path) -> Knowledge:
    return Knowledge(name=path.stem, title=path.stem, own_store=path, folder=path.stem)


def _from_files(base: KnowledgeBase) -> Knowledge:
    embedded = any(base.name == one.name and base.passages_path == one.passages_path for one in list_knowledge_bases())
    place = hashlib.sha256(str(base.passages_path.resolve()).encode(errors="surrogateescape")).hexdigest()[:8]
    return Knowledge(
        name=base.name,
        title=base.title,
        description=base.description,
        passages=base.passages_path,
        examples=tuple(base.examples),
        folder=base.name if embedded else f"{base.name}@{place}",
    )


def open_store(knowledge: Knowledge, var: Path) -> SharedStore:
    """The passages of a knowledge base. A derived store that is missing or damaged is made anew.

    Raises:
        InputError: the store or the passages file is damaged.
        OSError: a derived store has to be made and `var` cannot be written.
    """
    if knowledge.own_store is not None:
        with reported_as_input(f"knowledge base {knowledge.name!r}"):
            return _read_through(knowledge.own_store)
    assert knowledge.passages is not None  # a knowledge base has one or the other
    path = var / "stores" / f"{knowledge.folder}-{_checksum(knowledge.passages)}.sqlite"
    if path.is_file():
        try:
            return _read_through(path)
        except StoreError:
            path.unlink()  # derived: made anew below
    _derive(knowledge.passages, path)
    return SharedStore(path)


def _read_through(path: Path) -> SharedStore:
    """Opens a store and reads all of it: damage inside shows now rather than in the middle of a question."""
    store = SharedStore(path)
    store.content_hash()
    return store


def _checksum(passages: Path) -> str:
    """Sixteen hexadecimal digits over the files that passages are read from, and over how they are read.

    Raises:
        InputError: a file cannot be read.
    """
    digest = hashlib.sha256(_WAY_OF_READING)
    with reported_as_input(f"passages {passages}", kinds=(OSError,)):
        files = sorted(file for file in passages.rglob("*") if file.is_file()) if passages.is_dir() else [passages]
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(passages)}\0{len(content)}\0".encode(errors="surrogateescape"))
            digest.update(content)
    return digest.hexdigest()[:16]


def _entries(passages: Path, pictures: dict[str, bytes]) -> Iterator[Passage]:
    """The passages one by one, while `pictures` holds the picture of the last one."""
    shown = passages.is_dir() or passages.suffix.lower() == ".zip"
    for entry in read_entries(passages):
        pictures.clear()
        if shown and entry.picture is not None:
            pictures[entry.passage.passage_id] = entry.picture
        yield entry.passage


def _derive(passages: Path, path: Path) -> None:
    """Makes a store from passages; it appears whole or not at all.

    It has the pictures of a folder's or an archive's passages. Pictures beside a single file are left out, since its
    checksum would not tell when they change: `kb build` takes them in.

    Raises:
        InputError: the passages have a fault.
        OSError: the store cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.touch()  # an OSError where the folder cannot be written
    try:
        with PassageStore.open(part, create=True) as store:
            pictures: dict[str, bytes] = {}
            store.add(_entries(passages, pictures), pictures)
        os.replace(part, path)
    except ValueError as error:
        raise InputError(one_line(error).replace(part.name, path.name)) from error
    finally:
        part.unlink(missing_ok=True)
