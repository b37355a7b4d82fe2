"""PassageStore: what goes in comes out, changes are atomic, damage gives one clear line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore, StoreError


def passage(number: int, text: str = "The capital of Ruritania is Strelsau.") -> Passage:
    return Passage(passage_id=f"p{number}", title=f"Title {number}", text=text, source="test")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PassageStore]:
    with PassageStore.open(tmp_path / "kb.sqlite", create=True) as opened:
        yield opened


def test_passages_come_back_in_the_order_asked_for_and_survive_reopening(tmp_path: Path) -> None:
    passages = [passage(number) for number in range(1203)]
    with PassageStore.open(tmp_path / "kb.sqlite", create=True) as store:
        assert store.add(passages) == 1203
        digest = store.content_hash()
    with PassageStore.open(tmp_path / "kb.sqlite") as store:
        assert list(store) == passages
        assert len(store) == 1203
        wanted = [f"p{number}" for number in range(1200, 2, -1)]
        assert [found.passage_id for found in store.get(wanted)] == wanted
        assert store.content_hash() == digest
        assert "p7" in store
        assert "q7" not in store


def test_add_then_delete_leaves_the_store_as_it_was(store: PassageStore) -> None:
    store.add([passage(1), passage(2)])
    before = store.content_hash()
    store.add([passage(3, "A walrus.")])
    assert store.content_hash() != before
    assert [found.passage_id for found in store.search_text("walrus")] == ["p3"]
    assert store.delete(["p3"]) == 1
    assert store.content_hash() == before
    assert store.search_text("walrus") == []


def test_a_repeated_id_adds_nothing_at_all(store: PassageStore) -> None:
    store.add([passage(1)])
    with pytest.raises(StoreError, match=r"'p1' is already in .*delete it first"):
        store.add([passage(2), passage(1)])
    assert [found.passage_id for found in store] == ["p1"]


def test_an_error_in_the_source_of_passages_adds_nothing(store: PassageStore) -> None:
    def broken() -> Iterator[Passage]:
        yield passage(1)
        raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError, match="went away"):
        store.add(broken())
    assert len(store) == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Passage(passage_id=" ", text="x"), "has no id"),
        (Passage(passage_id="a", text=" \n"), "'a' has no text"),
        (Passage(passage_id="a", text="half \ud83d"), "'a' holds half a character"),
    ],
)
def test_passages_that_cannot_be_stored(store: PassageStore, bad: Passage, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        store.add([bad])


def test_unknown_ids_are_named(store: PassageStore) -> None:
    store.add([passage(1)])
    with pytest.raises(StoreError, match=r"no passage 'p9'.*check the id"):
        store.get(["p1", "p9"])
    with pytest.raises(StoreError, match=r"no passage 'p9'.*nothing was deleted"):
        store.delete(["p1", "p9"])
    assert len(store) == 1


def test_search_takes_any_text_and_ranks_the_best_first(store: PassageStore) -> None:
    store.add([passage(1, "Bread and salt."), passage(2, "Salt, salt and more salt."), passage(3, "Wine.")])
    assert [found.passage_id for found in store.search_text('salt "(* NEAR')] == ["p2", "p1"]
    assert [found.passage_id for found in store.search_text("salt", limit=1)] == ["p2"]
    assert store.search_text("¿?!") == []
    assert store.search_text("salt", limit=0) == []


def test_a_missing_store_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no passage store at .*kb build"):
        PassageStore.open(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()


@pytest.mark.parametrize("content", [b"", b"these are not the bytes of a database" * 50])
def test_a_file_that_is_no_store(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kb.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"kb\.sqlite .*(damaged|not a passage store)"):
        PassageStore.open(path)
    assert path.read_bytes() == content


def test_a_damaged_store_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    with PassageStore.open(path, create=True) as store:
        store.add([passage(number) for number in range(500)])
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    with (
        pytest.raises(StoreError, match=r"is damaged \(.*kb build --force") as caught,
        PassageStore.open(path) as store,
    ):
        list(store)
    assert "\n" not in str(caught.value)


def test_folders_and_unwritable_places(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        PassageStore.open(tmp_path)
    with pytest.raises(StoreError, match="cannot open"):
        PassageStore.open(tmp_path / "no" / "such" / "kb.sqlite", create=True)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(texts, st.text(st.characters(exclude_categories=["Cs"])), texts), unique_by=lambda row: row[0])
)
def test_any_unicode_survives(rows: list[tuple[str, str, str]]) -> None:
    passages = [Passage(passage_id=key, title=title, text=text) for key, title, text in rows]
    with tempfile.TemporaryDirectory() as folder, PassageStore.open(Path(folder) / "kb", create=True) as store:
        store.add(passages)
        assert list(store) == passages
        assert store.get([key for key, _, _ in rows]) == passages


def test_pictures_are_told_apart_by_checksums_that_follow_them(tmp_path: Path) -> None:
    with PassageStore.open(tmp_path / "s.sqlite", create=True) as store:
        store.add([passage(1), passage(2), passage(3)], {"p1": b"one", "p2": b"two"})
        first, before = store.picture_digests(), store.content_hash()
        assert first.keys() == {"p1", "p2"}
        assert first["p1"] != first["p2"]
        store.replace(passage(1), b"two")
        assert store.content_hash() != before
        store.delete(["p2"])
        assert store.picture_digests() == {"p1": first["p2"]}
        store.replace(passage(1), keep_picture=False)
        assert store.picture_digests() == {}


def test_a_store_from_before_checksums_of_pictures_were_kept(tmp_path: Path) -> None:
    with PassageStore.open(tmp_path / "s.sqlite", create=True) as store:
        store.add([passage(1), passage(2)], {"p1": b"one"})
        expected = store.picture_digests()
        for kind, name in (("TRIGGER", "digests_added"), ("TRIGGER", "digests_deleted"), ("TABLE", "picture_digests")):
            store.connection.execute(f"DROP {kind} {name}")
    with PassageStore.open(tmp_path / "s.sqlite") as old:
        assert old.picture_digests() == expected
        old.replace(passage(2), b"new")
        assert old.picture_digests().keys() == {"p1", "p2"}
        assert old.picture_digests()["p1"] == expected["p1"]
