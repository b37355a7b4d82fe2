"""What is done to a passage store as a whole: merging another into it, checking it, mending its words, counting."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.store import PassageStore, StoreError

__all__ = ["StoreFigures", "figures", "merge", "problems", "rebuild_words"]

_CACHE_KIB = 128 * 1024  # a change that fits into it lets readers read until it is committed


@dataclass(frozen=True, kw_only=True)
class StoreFigures:
    """Counts.

    Attributes:
        passages: how many.
        words: of all texts, as spaces part them.
        shortest: words of the shortest text.
        longest: words of the longest.
        pictures: passages with a picture.
        disk_bytes: of the file.
    """

    passages: int
    words: int
    shortest: int
    longest: int
    pictures: int
    disk_bytes: int


def figures(store: PassageStore) -> StoreFigures:
    """Counts a store through, one passage in memory at a time.

    Raises:
        StoreError: the store is damaged.
    """
    passages = words = longest = 0
    shortest: int | None = None
    for passage in store:
        length = len(passage.text.split())
        passages, words, longest = passages + 1, words + length, max(longest, length)
        shortest = length if shortest is None else min(shortest, length)
    return StoreFigures(
        passages=passages,
        words=words,
        shortest=shortest or 0,
        longest=longest,
        pictures=_count_pictures(store),
        disk_bytes=store.path.stat().st_size,
    )


def _count_pictures(store: PassageStore) -> int:
    if not store.has_pictures():
        return 0
    return int(store.connection.execute("SELECT count(*) FROM pictures").fetchone()[0])


def merge(store: PassageStore, coming: Path) -> int:
    """Takes over the passages of another store in one transaction; those whose id is known replace the old ones.

    Args:
        store: what is changed.
        coming: file of the other store; it is only read.

    Returns:
        how many were replaced.

    Raises:
        StoreError: the file cannot be written; nothing was changed.
    """
    connection = store.connection
    with PassageStore.open(coming) as other:
        with_pictures = other.has_pictures()
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    try:
        connection.execute("ATTACH DATABASE ? AS coming", [str(coming)])
        try:
            with store.change():
                if with_pictures:
                    store.make_place_for_pictures()
                return _take_over(connection, pictures=store.has_pictures(), theirs=with_pictures)
        finally:
            connection.execute("DETACH DATABASE coming")
    except sqlite3.Error as error:
        raise StoreError(f"cannot write to {store.path} ({error}); nothing was changed") from error


def _take_over(connection: sqlite3.Connection, *, pictures: bool, theirs: bool) -> int:
    known = "passage_id IN (SELECT passage_id FROM coming.passages)"
    connection.execute(
        "INSERT INTO main.words(words, rowid, title, text) "
        f"SELECT 'delete', number, title, text FROM main.passages WHERE {known}"
    )
    replaced = connection.execute(
        "UPDATE main.passages SET (title, text, source) = (SELECT title, text, source FROM coming.passages AS other "
        f"WHERE other.passage_id = passages.passage_id) WHERE {known}"
    ).rowcount
    connection.execute(
        f"INSERT INTO main.words(rowid, title, text) SELECT number, title, text FROM main.passages WHERE {known}"
    )
    if pictures:
        connection.execute(
            f"DELETE FROM main.pictures WHERE number IN (SELECT number FROM main.passages WHERE {known})"
        )
    connection.execute(
        "INSERT INTO main.passages (passage_id, title, text, source) SELECT passage_id, title, text, source "
        "FROM coming.passages WHERE passage_id NOT IN (SELECT passage_id FROM main.passages) ORDER BY number"
    )
    if theirs:
        connection.execute(
            "INSERT INTO main.pictures SELECT passages.number, shown.content FROM coming.pictures AS shown "
            "JOIN coming.passages AS other ON other.number = shown.number "
            "JOIN main.passages ON passages.passage_id = other.passage_id"
        )
    return replaced


def problems(store: PassageStore) -> list[str]:
    """What is wrong with a store: SQLite's own check of every page, the index of words, and the pictures."""
    connection = store.connection
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
        if store.has_pictures():
            query = "SELECT count(*) FROM pictures WHERE number NOT IN (SELECT number FROM passages)"
            orphans = int(connection.execute(query).fetchone()[0])
            found += [f"pictures of no passage: {orphans}"] if orphans else []
    except sqlite3.DatabaseError as error:
        return [str(error)]
    if not found and not _words_agree(connection):
        found.append("the index of words does not agree with the passages; `kb sync` makes it anew")
    return found


def _words_agree(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)")
    except sqlite3.OperationalError as error:
        return "readonly" in str(error) or "locked" in str(error)  # where nothing can be told
    except sqlite3.DatabaseError:
        return False
    return True


def rebuild_words(store: PassageStore) -> bool:
    """Makes the index of words anew where it does not agree with the passages. Returns whether it was needed.

    Raises:
        StoreError: the file cannot be written.
    """
    if _words_agree(store.connection):
        return False
    with store.change():
        store.connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
    return True
