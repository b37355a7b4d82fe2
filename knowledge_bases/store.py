"""PassageStore: the passages of a knowledge base in one SQLite file; the truth that indexes are derived from."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from knowledge_bases.records import Passage

__all__ = ["NoSuchPassageError", "PassageStore", "StoreError", "check_passage"]

FORMAT = 1
SCHEMA = (
    "CREATE TABLE passages (number INTEGER PRIMARY KEY, passage_id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, "
    "text TEXT NOT NULL, source TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE words USING fts5(title, text, content='passages', content_rowid='number')",
    "CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN "
    "INSERT INTO words(rowid, title, text) VALUES (new.number, new.title, new.text); END",
    "CREATE TRIGGER passages_deleted AFTER DELETE ON passages BEGIN "
    "INSERT INTO words(words, rowid, title, text) VALUES ('delete', old.number, old.title, old.text); END",
    f"PRAGMA user_version = {FORMAT}",
)
# Pictures of passages; made when the first one comes, so that stores from before they were known stay as they are.
_PICTURES = (
    "CREATE TABLE IF NOT EXISTS pictures (number INTEGER PRIMARY KEY, content BLOB NOT NULL)",
    "CREATE TRIGGER IF NOT EXISTS pictures_deleted AFTER DELETE ON passages BEGIN "
    "DELETE FROM pictures WHERE number = old.number; END",
    "CREATE TABLE picture_digests (number INTEGER PRIMARY KEY, digest TEXT NOT NULL)",
    "CREATE TRIGGER digests_added AFTER INSERT ON pictures BEGIN "
    "INSERT INTO picture_digests VALUES (new.number, digest(new.content)); END",
    "CREATE TRIGGER digests_deleted AFTER DELETE ON pictures BEGIN "
    "DELETE FROM picture_digests WHERE number = old.number; END",
    "INSERT INTO picture_digests SELECT number, digest(content) FROM pictures",
)
NO_PICTURES: Mapping[str, bytes] = MappingProxyType({})
PATIENCE = 60.0  # seconds to wait for another process's change
COLUMNS = "passage_id, title, text, source"


class StoreError(ValueError):
    """A store that is missing, damaged or of another kind, or passages that cannot be stored."""


class NoSuchPassageError(StoreError):
    """There is no passage with an id that was asked for."""


class PassageStore:
    """Passages by id, in the order in which they were added.

    Every change is one transaction: after a crash the store is as it was before the change. Use it as a context
    manager, or call `close`.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    @classmethod
    def open(cls, path: Path | str, create: bool = False) -> PassageStore:
        """Opens a store.

        Args:
            path: the SQLite file.
            create: make an empty store where there is no file yet.

        Raises:
            StoreError: the file is missing (and create is False), damaged, or not a passage store.
        """
        path = Path(path)
        if not path.exists() and not create:
            raise StoreError(f"no passage store at {path}; build it with `python -m rag_app kb build`")
        if path.is_dir():
            raise StoreError(f"{path} is a folder, not a passage store; give the path of a file")
        try:
            connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(f"cannot open {path} ({error}); check that its folder exists and is writable") from error
        connection.create_function("digest", 1, _digest, deterministic=True)
        store = cls(path, connection)
        try:
            store._prepare(create)
        except BaseException:
            connection.close()
            raise
        return store

    @property
    def connection(self) -> sqlite3.Connection:
        """For `upkeep`, which does what is done to a store as a whole."""
        return self._connection

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._path

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> PassageStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self._query("SELECT count(*) FROM passages")[0][0])

    def __contains__(self, passage_id: object) -> bool:
        if not isinstance(passage_id, str):
            return False
        return bool(self._query("SELECT 1 FROM passages WHERE passage_id = ?", [passage_id]))

    def __iter__(self) -> Iterator[Passage]:
        last = -1
        while rows := self._query(f"SELECT number, {COLUMNS} FROM passages WHERE number > ? LIMIT 1000", [last]):
            for number, *columns in rows:
                last = number
                yield _passage(columns)

    def add(self, passages: Iterable[Passage], pictures: Mapping[str, bytes] = NO_PICTURES) -> int:
        """Adds passages, all or none. Returns how many.

        Args:
            passages: their ids must be new.
            pictures: the bytes of picture files, by passage id.

        Raises:
            StoreError: an id is empty or already there, a text is empty, or the file cannot be written.
        """
        added = 0
        with self.change():
            for passage in passages:
                check_passage(passage)
                try:
                    cursor = self._connection.execute(
                        f"INSERT INTO passages ({COLUMNS}) VALUES (?, ?, ?, ?)",
                        (passage.passage_id, passage.title, passage.text, passage.source),
                    )
                except sqlite3.IntegrityError as error:
                    advice = "delete it first or give the new passage another id"
                    raise StoreError(
                        f"passage id {passage.passage_id!r} is already in {self._path}; {advice}"
                    ) from error
                if passage.passage_id in pictures:
                    self._set_picture(int(cursor.lastrowid or 0), pictures[passage.passage_id])
                added += 1
        return added

    def replace(self, passage: Passage, picture: bytes | None = None, *, keep_picture: bool = True) -> None:
        """Puts a passage in the place of the one with its id, in one transaction.

        Args:
            passage: as it shall be.
            picture: its new picture.
            keep_picture: without a new picture, whether it keeps the one it has.

        Raises:
            StoreError: there is no such passage, the new text is empty, or the file cannot be written.
        """
        check_passage(passage)
        with self.change():
            found = self._query("SELECT number, title, text FROM passages WHERE passage_id = ?", [passage.passage_id])
            if not found:
                raise StoreError(f"no passage {passage.passage_id!r} in {self._path}; nothing was changed")
            number, title, text = found[0]
            self._connection.execute(
                "INSERT INTO words(words, rowid, title, text) VALUES ('delete', ?, ?, ?)", (number, title, text)
            )
            self._connection.execute(
                "UPDATE passages SET title = ?, text = ?, source = ? WHERE number = ?",
                (passage.title, passage.text, passage.source, number),
            )
            self._connection.execute(
                "INSERT INTO words(rowid, title, text) VALUES (?, ?, ?)", (number, passage.title, passage.text)
            )
            if picture is not None or not keep_picture:
                self._set_picture(number, picture)

    def picture(self, passage_id: str) -> bytes | None:
        """The bytes of a passage's picture; None where it has none."""
        if not self.has_pictures():
            return None
        rows = self._query(
            "SELECT content FROM pictures JOIN passages USING (number) WHERE passage_id = ?", [passage_id]
        )
        return bytes(rows[0][0]) if rows else None

    def picture_digests(self) -> dict[str, str]:
        """Passage id -> checksum of its picture, of the passages that have one."""
        if not self.has_pictures():
            return {}
        kept = self._has_table("picture_digests")
        digests = "picture_digests" if kept else "(SELECT number, digest(content) AS digest FROM pictures)"
        return dict(self._query(f"SELECT passage_id, digest FROM {digests} JOIN passages USING (number)"))

    def has_pictures(self) -> bool:
        """Whether there is a place for pictures, though it may be empty."""
        return self._has_table("pictures")

    def make_place_for_pictures(self) -> None:
        """To be called within `change`, before pictures are written."""
        if not self._has_table("picture_digests"):
            for statement in _PICTURES:
                self._connection.execute(statement)

    def _has_table(self, name: str) -> bool:
        return bool(self._query("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?", [name]))

    def _set_picture(self, number: int, picture: bytes | None) -> None:
        if picture is None and not self.has_pictures():
            return
        self.make_place_for_pictures()
        self._connection.execute("DELETE FROM pictures WHERE number = ?", [number])
        if picture is not None:
            self._connection.execute("INSERT INTO pictures VALUES (?, ?)", (number, picture))

    def delete(self, passage_ids: Iterable[str]) -> int:
        """Deletes passages, all or none. Returns how many.

        Raises:
            StoreError: an id is not there.
        """
        deleted = 0
        with self.change():
            for passage_id in passage_ids:
                if not self._connection.execute("DELETE FROM passages WHERE passage_id = ?", [passage_id]).rowcount:
                    raise StoreError(f"no passage {passage_id!r} in {self._path}; nothing was deleted")
                deleted += 1
        return deleted

    def get(self, passage_ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in the order of the ids.

        Raises:
            NoSuchPassageError: an id is not there.
            StoreError: the store is damaged.
        """
        found = self.lookup(passage_ids)
        for passage_id in passage_ids:
            if passage_id not in found:
                raise NoSuchPassageError(
                    f"no passage {passage_id!r} in {self._path}; check the id, or where an index gave it, run `kb sync`"
                )
        return [found[passage_id] for passage_id in passage_ids]

    def lookup(self, passage_ids: Sequence[str]) -> dict[str, Passage]:
        """Those of the passages with these ids that are there, by their ids.

        Raises:
            StoreError: the store is damaged.
        """
        found: dict[str, Passage] = {}
        for start in range(0, len(passage_ids), 500):
            part = list(passage_ids[start : start + 500])
            marks = ", ".join("?" * len(part))
            rows = self._query(f"SELECT {COLUMNS} FROM passages WHERE passage_id IN ({marks})", part)
            found.update((passage.passage_id, passage) for passage in map(_passage, rows))
        return found

    def part(self, start: int, limit: int) -> list[Passage]:
        """Passages in the order in which they were added, from a position on (the first is 0)."""
        rows = self._query(f"SELECT {COLUMNS} FROM passages ORDER BY number LIMIT ? OFFSET ?", [limit, start])
        return [_passage(row) for row in rows]

    def search_text(self, text: str, limit: int = 10) -> list[Passage]:
        """Passages that hold the words of a text, best first (BM25); any of the words will do."""
        words = [word for word in "".join(char if char.isalnum() else " " for char in text).split() if word]
        if not words or limit < 1:
            return []
        columns = ", ".join(f"passages.{name}" for name in COLUMNS.split(", "))
        query = f"SELECT {columns} FROM words JOIN passages ON passages.number = words.rowid WHERE words MATCH ? "
        query += "ORDER BY bm25(words), passages.number LIMIT ?"
        return [_passage(row) for row in self._query(query, [" OR ".join(f'"{word}"' for word in words), limit])]

    def content_hash(self) -> str:
        """Sha256 over all passages in their order, and their pictures: the same for equal stores, another after any
        change."""
        digest = hashlib.sha256()
        for passage in self:
            for field in (passage.passage_id, passage.title, passage.text, passage.source):
                encoded = field.encode("utf-8")
                digest.update(len(encoded).to_bytes(8, "big") + encoded)
        for passage_id, picture in sorted(self.picture_digests().items()):
            digest.update(f"{passage_id}\0{picture}\0".encode())
        return digest.hexdigest()

    def _prepare(self, create: bool) -> None:
        version = int(self._query("PRAGMA user_version")[0][0])
        tables = {row[0] for row in self._query("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables and version == 0 and create:
            with self.change():
                for statement in SCHEMA:
                    self._connection.execute(statement)
        elif version != FORMAT or "passages" not in tables:
            raise StoreError(f"{self._path} is not a passage store of this version; build it anew with --force")

    def _query(self, query: str, values: Sequence[str | int] = ()) -> list[tuple[Any, ...]]:
        try:
            rows: list[tuple[Any, ...]] = self._connection.execute(query, list(values)).fetchall()
            return rows
        except sqlite3.DatabaseError as error:
            advice = "restore a copy or build it anew with `python -m rag_app kb build --force`"
            raise StoreError(f"the passage store {self._path} is damaged ({error}); {advice}") from error

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """One transaction: what is done within it happens as a whole or not at all.

        Raises:
            StoreError: the file cannot be written.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StoreError(f"cannot write to {self._path} ({error}); close other programs that use it") from error
        try:
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StoreError(f"cannot write to {self._path} ({error}); nothing was changed") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")


def check_passage(passage: Passage) -> None:
    """Whether a passage can be stored.

    Raises:
        StoreError: its id or text is empty, or it holds half a character.
    """
    if not passage.passage_id.strip():
        raise StoreError(f"a passage has no id (its text starts with {passage.text[:40]!r}); give it one")
    if not passage.text.strip():
        raise StoreError(f"passage {passage.passage_id!r} has no text; leave it out or fill it in")
    try:
        "".join((passage.passage_id, passage.title, passage.text, passage.source)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise StoreError(
            f"passage {passage.passage_id!r} holds half a character (a lone surrogate); remove it"
        ) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _passage(columns: Sequence[object]) -> Passage:
    passage_id, title, text, source = (str(column) for column in columns)
    return Passage(passage_id=passage_id, title=title, text=text, source=source)
