"""Single changes of a knowledge base of your own. Each is one transaction, or one removal of a file."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from knowledge_bases.exporting import export
from knowledge_bases.importing.items import Entry
from knowledge_bases.importing.pictures import check_picture
from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app.errors import InputError, reported_as_input
from rag_app.importing import ImportReport, Known, take_in
from rag_app.knowledge import bad_rows_path, changing, find_knowledge, open_store, own_store_path

__all__ = ["add_passage", "count_passages", "delete_passages", "edit_passage", "export_passages", "remove"]


def add_passage(
    name: str, var: Path, passage: Passage, picture: Path | None = None, *, known: Known = Known.REPORT
) -> ImportReport:
    """Adds one passage to a knowledge base of your own, which is made if it is not there.

    Args:
        name: of the knowledge base.
        var: folder of derived data and own knowledge bases.
        passage: the passage.
        picture: the file of its picture.
        known: what to do where its id is there already.

    Raises:
        InputError: its id is there already (and is to be reported), its text is empty, or the picture cannot be used.
    """
    entry = Entry(passage=passage, file="the new passage", picture=_read(picture))
    return take_in(iter([entry]), name, var, known=known, strict=True, keep_bad_rows=False)


def edit_passage(
    name: str,
    var: Path,
    passage_id: str,
    *,
    title: str | None = None,
    text: str | None = None,
    source: str | None = None,
    picture: Path | None = None,
    remove_picture: bool = False,
) -> Passage:
    """Changes one passage; what is None stays as it is. Returns the passage as it is now.

    Raises:
        InputError: there is no such passage, its text would be empty, or the picture cannot be used.
    """
    content = _read(picture)
    with _own(name, var) as store:
        (before,) = store.get([passage_id])
        given = {"title": title, "text": text, "source": source}
        after = replace(before, **{key: value for key, value in given.items() if value is not None})
        store.replace(after, content, keep_picture=not remove_picture)
        return after


def delete_passages(name: str, var: Path, passage_ids: Iterable[str]) -> int:
    """Deletes passages, all or none. Returns how many the knowledge base holds now.

    Raises:
        InputError: an id is not there.
    """
    with _own(name, var) as store:
        store.delete(dict.fromkeys(passage_ids))
        return len(store)


def export_passages(name: str, var: Path, path: Path) -> int:
    """Writes any knowledge base to a .jsonl, .csv or .zip file (with pictures). Returns how many passages.

    Raises:
        InputError: there is no such knowledge base, or the file cannot be written.
    """
    knowledge = find_knowledge(name, var)
    with reported_as_input("export"), PassageStore.open(open_store(knowledge, var).path) as store:
        return export(store, path)


def remove(name: str, var: Path) -> None:
    """Removes a whole knowledge base of your own, and then its indexes.

    Raises:
        InputError: there is none of this name.
    """
    path = own_store_path(name, var)
    with _own(name, var):
        pass  # a change that was interrupted is rolled back: its journal must not meet a later store of this name
    with reported_as_input(f"knowledge base {name!r}"), changing(name, var):
        path.unlink(missing_ok=True)
        bad_rows_path(name, var).unlink(missing_ok=True)
        shutil.rmtree(var / "indexes" / name, ignore_errors=True)


def count_passages(name: str, var: Path) -> int:
    """How many passages a knowledge base of your own holds.

    Raises:
        InputError: there is none of this name.
    """
    with _own(name, var) as store:
        return len(store)


@contextmanager
def _own(name: str, var: Path) -> Iterator[PassageStore]:
    path = own_store_path(name, var)
    if not path.is_file():
        raise InputError(f"there is no knowledge base {name!r} of your own; add a passage to make it")
    with reported_as_input(f"knowledge base {name!r}"), changing(name, var), PassageStore.open(path) as store:
        len(store)
        yield store


def _read(picture: Path | None) -> bytes | None:
    if picture is None:
        return None
    with reported_as_input("picture"):
        return check_picture(picture.read_bytes())
