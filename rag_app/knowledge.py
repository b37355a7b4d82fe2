"""Which knowledge base is asked, and its passage store.

There are two kinds. A knowledge base of this repository is a committed JSON Lines file; its store is derived from it
and named by the file's checksum, so it is made once and never out of date. A knowledge base of your own is a store in
`var/knowledge_bases`; there the store is the truth.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.catalog import Example, find_knowledge_base, list_knowledge_bases
from knowledge_bases.files import read_passages
from knowledge_bases.store import PassageStore

from rag_app.errors import InputError, one_line, reported_as_input

__all__ = ["Knowledge", "find_knowledge", "list_knowledge", "open_store", "own_store_path"]

_OWN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """A knowledge base that was found.

    Attributes:
        name: what `--kb` takes.
        title: for people.
        description: one or two sentences; may be empty.
        passages: the committed passages file, or None where the store is the truth.
        own_store: the store of a knowledge base of your own, else None.
        examples: questions to try.
    """

    name: str
    title: str
    description: str = ""
    passages: Path | None = None
    own_store: Path | None = None
    examples: tuple[Example, ...] = ()


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


def list_knowledge(var: Path) -> list[Knowledge]:
    """Every knowledge base: those of this repository, then your own."""
    own = sorted((var / "knowledge_bases").glob("*.sqlite"))
    return [find_knowledge(base.name, var) for base in list_knowledge_bases()] + [
        Knowledge(name=path.stem, title=path.stem, own_store=path) for path in own if _OWN_NAME.fullmatch(path.stem)
    ]


def find_knowledge(name: str, var: Path) -> Knowledge:
    """The knowledge base of this name.

    Raises:
        InputError: there is none; the message lists the names.
    """
    if name in {base.name for base in list_knowledge_bases()}:
        base = find_knowledge_base(name)
        return Knowledge(
            name=base.name,
            title=base.title,
            description=base.description,
            passages=base.passages_path,
            examples=tuple(base.examples),
        )
    own = var / "knowledge_bases" / f"{name}.sqlite"
    if _OWN_NAME.fullmatch(name) and own.is_file():
        return Knowledge(name=name, title=name, own_store=own)
    names = ", ".join(one.name for one in list_knowledge(var))
    raise InputError(f"unknown knowledge base {name!r}; choose one of {names}, or make it with `kb add --kb {name}`")


def open_store(knowledge: Knowledge, var: Path) -> PassageStore:
    """The passages of a knowledge base. A derived store that is missing or damaged is made anew.

    Raises:
        InputError: the store or the passages file is damaged.
        OSError: a derived store has to be made and `var` cannot be written.
    """
    if knowledge.own_store is not None:
        with reported_as_input(f"knowledge base {knowledge.name!r}", kinds=(ValueError, OSError, sqlite3.Error)):
            return PassageStore.open(knowledge.own_store)
    assert knowledge.passages is not None
    with reported_as_input(f"knowledge base {knowledge.name!r}", kinds=(OSError,)):
        digest = hashlib.sha256(knowledge.passages.read_bytes()).hexdigest()[:16]
    path = var / "stores" / f"{knowledge.name}-{digest}.sqlite"
    if path.is_file():
        try:
            return PassageStore.open(path)
        except (ValueError, sqlite3.Error):
            path.unlink()  # derived: made anew below
    return _derive(knowledge.passages, path)


def _derive(passages: Path, path: Path) -> PassageStore:
    """Makes a store from a passages file; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        store = PassageStore.open(part, create=True)
        store.add(read_passages(passages))
        store.close()
        os.replace(part, path)
    except ValueError as error:
        raise InputError(one_line(error)) from error
    finally:
        part.unlink(missing_ok=True)
    return PassageStore.open(path)
