"""Takes files into a knowledge base of your own: all that is sound, in one step, and a list of what is not.

What is read goes into a store of its own first. Only when everything is read does that become the knowledge base, by
one rename, or is it merged into the one there is, in one transaction. So a process that ends at any moment leaves the
knowledge base as before or as after.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

from knowledge_bases.importing.items import BadRow, Entry
from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore, StoreError, check_passage
from knowledge_bases.upkeep import merge
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.knowledge import bad_rows_path, changing, own_store_path

__all__ = ["BadRowsError", "ImportCancelled", "ImportProgress", "ImportReport", "Known", "take_in"]

_BATCH, _BATCH_BYTES = 2000, 32_000_000  # entries, and bytes of pictures, written together
_SHOWN = 5  # bad rows in the report
_EVERY = 0.2  # seconds between reports of progress


class Known(Enum):
    """What happens with a passage whose id the knowledge base has already."""

    REPORT = "report"
    REPLACE = "replace"
    SKIP = "skip"


class ImportCancelled(Exception):
    """Taking in was stopped; the knowledge base is as it was."""


class BadRowsError(InputError):
    """Nothing was taken in, since rows are bad.

    Attributes:
        bad_rows: a CSV file that lists all of them; None where none is kept.
    """

    def __init__(self, message: str, bad_rows: Path | None) -> None:
        super().__init__(message)
        self.bad_rows = bad_rows


@dataclass(frozen=True, kw_only=True)
class ImportProgress:
    """How far it is.

    Attributes:
        done: bytes read; of a table on the hub, rows.
        total: bytes (or rows) in all; 0 where that is not known.
        passages: taken so far.
        bad: rows that could not be taken.
        finished: whether everything is read.
    """

    done: int
    total: int
    passages: int
    bad: int
    finished: bool = False


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What was done.

    Attributes:
        added: new passages.
        replaced: passages that took the place of one with the same id.
        skipped: passages that were there already.
        bad: rows that could not be taken.
        first_bad: a few of these.
        bad_rows: a CSV file that lists all of them; None when there are none, or none is kept.
        holds: passages that the knowledge base holds now.
        seconds: how long it took.
    """

    added: int
    replaced: int
    skipped: int
    bad: int
    first_bad: tuple[BadRow, ...]
    bad_rows: Path | None
    holds: int
    seconds: float


def take_in(
    items: Iterator[Entry | BadRow],
    name: str,
    var: Path,
    *,
    position: Callable[[], tuple[int, int]] = lambda: (0, 0),
    known: Known = Known.REPORT,
    strict: bool = False,
    keep_bad_rows: bool = True,
    progress: Callable[[ImportProgress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ImportReport:
    """Takes entries into a knowledge base of your own, which is made if it is not there.

    Args:
        items: what was read.
        name: of the knowledge base.
        var: folder of derived data and own knowledge bases.
        position: tells (bytes read, bytes in all), or rows; see `ImportProgress`.
        known: what to do with passages whose ids are there.
        strict: take all or nothing.
        keep_bad_rows: whether the list of bad rows takes the place of the one from the last time.
        progress: told now and then how far it is.
        cancelled: asked at each entry whether to stop.

    Raises:
        BadRowsError: every row is bad, or with `strict` one; the message names the first.
        InputError: nothing can be taken in.
        ImportCancelled: `cancelled` said so.
    """
    started = time.monotonic()
    path = own_store_path(name, var)
    with reported_as_input(f"knowledge base {name!r}"), changing(name, var) as scratch:
        part = scratch / "coming.sqlite"
        _discard(part)  # of a process that was ended
        try:
            with _opened_if_there(path) as present, _bad_rows_file(scratch) as (bad_file, bad_path):
                staging = _staged(part, present, known, bad_file, items, position, progress, cancelled)
            listed = _keep_bad_rows(staging, bad_path, bad_rows_path(name, var) if keep_bad_rows else None)
            _refuse(staging, strict=strict, listed=listed)
            replaced = _commit(part, path) if staging.taken else 0
        finally:
            _discard(part)
        with PassageStore.open(path) as store:
            holds = len(store)
    return ImportReport(
        added=staging.taken - replaced,
        replaced=replaced,
        skipped=staging.skipped,
        bad=staging.bad,
        first_bad=tuple(staging.first_bad),
        bad_rows=listed,
        holds=holds,
        seconds=time.monotonic() - started,
    )


def _staged(
    part: Path,
    present: PassageStore | None,
    known: Known,
    bad_file: csv.DictWriter[str],
    items: Iterator[Entry | BadRow],
    position: Callable[[], tuple[int, int]],
    progress: Callable[[ImportProgress], None],
    cancelled: Callable[[], bool],
) -> _Staging:
    with PassageStore.open(part, create=True) as store:
        store.connection.execute("PRAGMA synchronous = OFF")  # it is thrown away if anything happens
        staging = _Staging(store=store, present=present, known=known, bad_file=bad_file)
        staging.take(items, position, progress, cancelled)
    return staging


@dataclass(kw_only=True)
class _Staging:
    """Fills the store of what is coming, and sorts out what cannot go in."""

    store: PassageStore
    present: PassageStore | None
    known: Known
    bad_file: csv.DictWriter[str]
    taken: int = 0
    skipped: int = 0
    bad: int = 0
    first_bad: list[BadRow] = field(default_factory=list)
    waiting: dict[str, Passage] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def take(
        self,
        items: Iterator[Entry | BadRow],
        position: Callable[[], tuple[int, int]],
        progress: Callable[[ImportProgress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Takes everything."""
        told = time.monotonic()
        for item in items:
            if cancelled():
                raise ImportCancelled
            self._reject(item) if isinstance(item, BadRow) else self._accept(item)
            if time.monotonic() - told >= _EVERY:
                told = time.monotonic()
                done, total = position()
                done = min(done, total) if total else done
                progress(ImportProgress(done=done, total=total, passages=self.taken, bad=self.bad))
        self._write()
        done, total = position()
        whole = total or done
        progress(ImportProgress(done=whole, total=whole, passages=self.taken, bad=self.bad, finished=True))

    def _accept(self, entry: Entry) -> None:
        passage = entry.passage
        problem = ""
        try:
            check_passage(passage)
        except StoreError as error:
            problem = str(error)
        if not problem and (passage.passage_id in self.waiting or passage.passage_id in self.store):
            problem = f"the id {passage.passage_id!r} came before; give each row an id of its own"
        elif not problem and self.known is not Known.REPLACE and self._is_present(passage.passage_id):
            if self.known is Known.SKIP:
                self.skipped += 1
                return
            problem = f"the id {passage.passage_id!r} is in the knowledge base already; replace it or choose another"
        if problem:
            shown = f"{passage.passage_id}: {passage.text[:200]}"
            self._reject(BadRow(file=entry.file, line=entry.line, problem=problem, content=shown))
            return
        self.waiting[passage.passage_id] = passage
        if entry.picture is not None:
            self.pictures[passage.passage_id] = entry.picture
        self.taken += 1
        if len(self.waiting) >= _BATCH or sum(map(len, self.pictures.values())) >= _BATCH_BYTES:
            self._write()

    def _is_present(self, passage_id: str) -> bool:
        return self.present is not None and passage_id in self.present

    def _write(self) -> None:
        self.store.add(self.waiting.values(), self.pictures)
        self.waiting, self.pictures = {}, {}

    def _reject(self, bad: BadRow) -> None:
        self.bad += 1
        if len(self.first_bad) < _SHOWN:
            self.first_bad.append(bad)
        row = {"file": bad.file, "line": bad.line or "", "problem": bad.problem, "content": bad.content}
        self.bad_file.writerow({key: _sound(str(value)) for key, value in row.items()})


def _refuse(staging: _Staging, *, strict: bool, listed: Path | None) -> None:
    if staging.bad and (strict or not (staging.taken or staging.skipped)):
        more = f" ({staging.bad:,} such rows, listed in {listed})" if staging.bad > 1 else ""
        message = f"{one_line(ValueError(staging.first_bad[0]))}{more}; nothing was taken in"
        raise BadRowsError(message, bad_rows=listed)
    if not (staging.taken or staging.skipped):
        raise InputError("there are no passages in what was given; nothing was taken in")


def _commit(part: Path, path: Path) -> int:
    """Makes the staged store the knowledge base, or a part of the one there is. Returns how many were replaced."""
    if path.exists():
        with PassageStore.open(path) as store:
            return merge(store, part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)  # of a store that was removed
    os.replace(part, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return 0


@contextmanager
def _opened_if_there(path: Path) -> Iterator[PassageStore | None]:
    if not path.exists():
        yield None
        return
    with PassageStore.open(path) as store:
        yield store


@contextmanager
def _bad_rows_file(scratch: Path) -> Iterator[tuple[csv.DictWriter[str], Path]]:
    path = scratch / "bad-rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        yield _bad_rows_writer(file), path


def _bad_rows_writer(file: IO[str]) -> csv.DictWriter[str]:
    writer = csv.DictWriter(file, ("file", "line", "problem", "content"))
    writer.writeheader()
    return writer


def _keep_bad_rows(staging: _Staging, written: Path, path: Path | None) -> Path | None:
    if path is None or not staging.bad:
        written.unlink()
        if path is not None:
            path.unlink(missing_ok=True)  # of an earlier time
        return None
    os.replace(written, path)
    return path


def _discard(part: Path) -> None:
    part.with_name(f"{part.name}-journal").unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _sound(text: str) -> str:
    return text.encode("utf-8", errors="replace").decode("utf-8")
