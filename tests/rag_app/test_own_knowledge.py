"""Knowledge bases of one's own: taken in, changed, checked; killed at any moment, they are as before or as after."""

from __future__ import annotations

import csv
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from knowledge_bases.importing.items import BadRow, Entry
from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from knowledge_bases.upkeep import problems
from rag_app import own_knowledge
from rag_app.errors import InputError
from rag_app.importing import BadRowsError, ImportCancelled, ImportProgress, Known, take_in
from rag_app.kb_checks import mend_words, verify
from rag_app.knowledge import changing, find_knowledge, list_knowledge, own_store_path

Content = dict[str, tuple[str, bytes | None]]


def entry(passage_id: str, text: str = "A text.", picture: bytes | None = None) -> Entry:
    return Entry(passage=Passage(passage_id=passage_id, title="T", text=text), file="f", line=1, picture=picture)


def content(var: Path, name: str = "mine") -> Content | None:
    """What a knowledge base holds, after SQLite's own checks; None where there is none."""
    path = own_store_path(name, var)
    if not path.exists():
        return None
    with PassageStore.open(path) as store:
        assert problems(store) == []
        return {one.passage_id: (one.text, store.picture(one.passage_id)) for one in store}


def test_what_is_sound_goes_in_and_the_rest_is_listed(tmp_path: Path) -> None:
    told: list[ImportProgress] = []
    bad = BadRow(file="f", line=2, problem="no text", content="x,")
    items: list[Entry | BadRow] = [entry("a"), bad, entry("b"), entry("a", "Again.")]
    report = take_in(iter(items), "mine", tmp_path, progress=told.append)
    assert (report.added, report.bad, report.holds, told[-1].finished) == (2, 2, 2, True)
    assert report.bad_rows is not None
    with report.bad_rows.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["line"], row["problem"]) for row in rows] == [
        ("f", "2", "no text"),
        ("f", "1", "the id 'a' came before; give each row an id of its own"),
    ]
    again = take_in(iter([entry("c")]), "mine", tmp_path)
    assert (again.added, again.bad_rows, again.holds) == (1, None, 3)
    assert not report.bad_rows.exists()


def test_known_ids_are_reported_replaced_or_skipped(tmp_path: Path) -> None:
    take_in(iter([entry("a", picture=b"old"), entry("b")]), "mine", tmp_path)
    report = take_in(iter([entry("a", "New."), entry("c")]), "mine", tmp_path)
    assert (report.added, report.bad) == (1, 1)
    report = take_in(iter([entry("a", "New."), entry("d")]), "mine", tmp_path, known=Known.SKIP)
    assert (report.added, report.skipped, report.holds) == (1, 1, 4)
    report = take_in(iter([entry("a", "Walrus."), entry("e", picture=b"e")]), "mine", tmp_path, known=Known.REPLACE)
    assert (report.added, report.replaced, report.holds) == (1, 1, 5)
    held = content(tmp_path)
    assert held is not None
    assert (held["a"], held["e"], next(iter(held))) == (("Walrus.", None), ("A text.", b"e"), "a")
    with PassageStore.open(own_store_path("mine", tmp_path)) as store:
        assert [one.passage_id for one in store.search_text("walrus")] == ["a"]


def test_strict_or_nothing_sound_changes_nothing(tmp_path: Path) -> None:
    bad = BadRow(file="f", line=7, problem="no text")
    with pytest.raises(InputError, match=r"f, line 7: no text; nothing was taken in"):
        take_in(iter([entry("a"), bad]), "mine", tmp_path, strict=True)
    with pytest.raises(InputError, match="f, line 7: no text"):
        take_in(iter([bad]), "mine", tmp_path)
    with pytest.raises(InputError, match="no passages in what was given"):
        take_in(iter(()), "mine", tmp_path)
    assert [base.name for base in list_knowledge(tmp_path)] == ["world_flags"]


def test_cancelling_and_errors_leave_everything_as_it_was(tmp_path: Path) -> None:
    take_in(iter([entry("a")]), "mine", tmp_path)
    stop = threading.Event()

    def items() -> Iterator[Entry]:
        for number in range(5000):
            if number == 4000:
                stop.set()
            yield entry(f"n{number}")

    with pytest.raises(ImportCancelled):
        take_in(items(), "mine", tmp_path, cancelled=stop.is_set)

    def broken() -> Iterator[Entry]:
        yield entry("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_in(broken(), "mine", tmp_path)
    assert list(content(tmp_path) or ()) == ["a"]
    scratch = own_store_path("mine", tmp_path).parent / ".mine"
    assert [path.name for path in scratch.glob("coming*")] == []


def test_single_passages_are_added_edited_and_deleted(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    own_knowledge.add_passage("mine", tmp_path, Passage(passage_id="a", text="Bread."), tmp_path / "red.png")
    own_knowledge.add_passage("mine", tmp_path, Passage(passage_id="b", text="Salt."))
    after = own_knowledge.edit_passage("mine", tmp_path, "a", text="Walrus.", title="W")
    assert (after.text, after.title) == ("Walrus.", "W")
    assert (content(tmp_path) or {})["a"] == ("Walrus.", (tmp_path / "red.png").read_bytes())
    own_knowledge.edit_passage("mine", tmp_path, "a", remove_picture=True)
    assert (content(tmp_path) or {})["a"] == ("Walrus.", None)
    with pytest.raises(InputError, match="'a' is in the knowledge base already"):
        own_knowledge.add_passage("mine", tmp_path, Passage(passage_id="a", text="x"))
    with pytest.raises(InputError, match="'a' has no text"):
        own_knowledge.edit_passage("mine", tmp_path, "a", text=" ")
    with pytest.raises(InputError, match="no passage 'z'"):
        own_knowledge.delete_passages("mine", tmp_path, ["a", "z"])
    assert own_knowledge.delete_passages("mine", tmp_path, ["a", "a"]) == 1
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(InputError, match="not a picture"):
        own_knowledge.edit_passage("mine", tmp_path, "b", picture=tmp_path / "words.png")
    own_knowledge.remove("mine", tmp_path)
    assert content(tmp_path) is None
    with pytest.raises(InputError, match="no knowledge base 'mine' of your own"):
        own_knowledge.remove("mine", tmp_path)


def test_export_and_import_give_the_same(tmp_path: Path) -> None:
    from knowledge_bases.importing.items import ReadSettings
    from knowledge_bases.importing.source import FileSource

    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.jpg")
    red = (tmp_path / "red.jpg").read_bytes()
    take_in(iter([entry("a", 'Schön,\n"x"', red), entry("b")]), "mine", tmp_path)
    for kind in ("jsonl", "csv", "zip"):
        own_knowledge.export_passages("mine", tmp_path, tmp_path / f"out.{kind}")
        with FileSource([tmp_path / f"out.{kind}"]) as source:
            take_in(source.items(ReadSettings()), kind, tmp_path, strict=True)
        held, expected = content(tmp_path, kind), content(tmp_path)
        assert held is not None
        assert expected is not None
        assert {key: text for key, (text, _) in held.items()} == {key: text for key, (text, _) in expected.items()}
    assert held == expected  # the zip keeps the pictures
    with pytest.raises(InputError, match=r"known ending; write to a \.jsonl, \.csv, \.zip file"):
        own_knowledge.export_passages("mine", tmp_path, tmp_path / "out.doc")


def test_damage_is_found_and_the_index_of_words_mended(tmp_path: Path) -> None:
    take_in((entry(f"n{number}", f"Word{number} and others.") for number in range(500)), "mine", tmp_path)
    knowledge, path = find_knowledge("mine", tmp_path), own_store_path("mine", tmp_path)
    assert verify(knowledge, tmp_path).sound
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER passages_deleted")
        connection.execute("DELETE FROM passages WHERE passage_id = 'n7'")
    connection.close()
    assert "index of words" in verify(knowledge, tmp_path).problems[0]
    assert mend_words(knowledge, tmp_path)
    assert not mend_words(knowledge, tmp_path)
    assert verify(knowledge, tmp_path).sound


STEPS = 9


def expected_after(step: int) -> Content | None:
    """What the series of changes holds after a step; None before the first and after the last, which removes all."""
    held: Content = {}
    for number in range(step + 1):
        change(number, held.update, lambda keys: [held.pop(key) for key in keys], held.clear)
    return held or None


def change(
    step: int,
    put: Callable[[Content], object],
    delete: Callable[[list[str]], object],
    remove: Callable[[], object],
) -> None:
    """One step of the series: build or add, replace and add, delete; the last removes everything."""
    if step == STEPS - 1:
        remove()
    elif step % 3 == 2:
        delete([f"{step - 2}-{number}" for number in range(0, 300, 2)])
    else:
        of = step - 1 if step % 3 == 1 else step
        fresh = {f"{of}-{number}": (f"Text {number} of {step}.", b"p" * number) for number in range(300)}
        more = {f"{step}+{number}": (f"More of {step}.", None) for number in range(50)}
        put({**fresh, **more})


def change_until_killed(var: Path) -> None:
    """Goes on with the series from what the knowledge base holds, round and round."""
    states = [expected_after(step) for step in range(STEPS)]
    step = states.index(content(var)) + 1 if content(var) is not None else 0
    while True:
        change(
            step % STEPS,
            lambda held: take_in(
                (entry(key, text, picture) for key, (text, picture) in held.items()), "mine", var, known=Known.REPLACE
            ),
            lambda keys: own_knowledge.delete_passages("mine", var, keys),
            lambda: own_knowledge.remove("mine", var),
        )
        step += 1


def killed_while_changing(var: Path, after: float, *, processor_time: bool) -> None:
    """Starts a process that goes on with the series, and ends it without a warning.

    Args:
        var: folder of the knowledge base.
        after: seconds.
        processor_time: counts only those in which the process computes, however busy the machine is; else, those on
            the clock, so that it may also end while it waits for the disk.
    """
    started, start = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if processor_time:
                signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process at once
                signal.setitimer(signal.ITIMER_PROF, after)
            os.write(start, b".")
            change_until_killed(var)
        finally:
            os._exit(1)
    os.read(started, 1)
    os.close(started)
    os.close(start)
    if not processor_time:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"


@pytest.mark.parametrize("times", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_is_as_before_or_as_after(tmp_path: Path, times: int) -> None:
    states = [expected_after(step) for step in range(STEPS)]
    assert all(state not in states[:number] for number, state in enumerate(states))
    clock, seen = random.Random(0), set[int]()
    for number in range(times):
        killed_while_changing(tmp_path, clock.uniform(0.01, 0.4), processor_time=number % 2 == 0)
        held = content(tmp_path)
        assert held in states, f"{len(held or ())} passages, which no step leaves"
        seen.add(states.index(held))
    assert len(seen) > 1, "nothing was ever committed"
    take_in(iter([entry("last")]), "mine", tmp_path)
    scratch = own_store_path("mine", tmp_path).parent / ".mine"
    assert [path.name for path in scratch.iterdir()] == [".lock"]


def test_a_refusal_gives_the_list_and_leaves_no_folder(tmp_path: Path) -> None:
    bad = [BadRow(file="f", line=line, problem="no text") for line in (7, 9)]
    with pytest.raises(BadRowsError, match=r"f, line 7: no text \(2 such rows, listed in .*\); nothing") as refused:
        take_in(iter([entry("a"), *bad]), "mine", tmp_path, strict=True)
    assert refused.value.bad_rows is not None
    with refused.value.bad_rows.open(newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["7", "9"]
    assert [path.name for path in (tmp_path / "knowledge_bases").iterdir()] == ["mine.bad-rows.csv"]
    report = take_in(iter([entry("a"), *bad]), "mine", tmp_path)
    own_knowledge.add_passage("mine", tmp_path, Passage(passage_id="b", text="Bread."))
    with pytest.raises(BadRowsError, match="is in the knowledge base already"):
        own_knowledge.add_passage("mine", tmp_path, Passage(passage_id="b", text="Salt."))
    assert report.bad_rows is not None
    assert report.bad_rows.read_text(encoding="utf-8").count("no text") == 2
    own_knowledge.remove("mine", tmp_path)
    assert list((tmp_path / "knowledge_bases").iterdir()) == []


def test_a_folder_that_goes_while_others_wait_for_it(tmp_path: Path) -> None:
    holding: list[int] = []

    def hold(number: int) -> None:
        for _ in range(50):
            with changing("mine", tmp_path) as scratch:
                holding.append(number)
                (scratch / "part").write_text(str(number))
                assert (scratch / "part").read_text() == str(number)
                assert holding == [number]
                holding.clear()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(hold, range(4)))
    assert list((tmp_path / "knowledge_bases").iterdir()) == []
