from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rag_app.cli import main
from rag_app.datasets import load_dataset
from rag_app.errors import InputError
from rag_app.feedback import MOST_TEXT, Feedback, FeedbackStore, export, feedback_path, picture_bytes

PICTURE = picture_bytes(Image.new("RGB", (2000, 1000), "red"))
GOOD = Feedback(
    feedback_id="a",
    given="2026-01-01T10:00:00+00:00",
    right=True,
    question="What is the capital?",
    answer="Líma",
    passage_id="red-capital",
    knowledge_base="small",
    preset="tiny",
    picture=PICTURE,
)
BAD = replace(
    GOOD,
    feedback_id="b",
    given="2026-01-02T10:00:00+00:00",
    right=False,
    answer="Oslo",
    right_answer="Lima",
    reason="wrong land",
    instruction="Find the town",
    picture=b"",
)


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(feedback_path(tmp_path / "var"))


def test_what_is_kept_comes_back(store: FeedbackStore) -> None:
    assert list(store) == []
    store.keep(BAD)
    store.keep(GOOD)
    assert list(store) == [GOOD, BAD]  # the earlier first
    assert list(FeedbackStore(store.path)) == [GOOD, BAD]


def test_a_second_word_replaces_the_first(store: FeedbackStore) -> None:
    store.keep(GOOD)
    changed = replace(GOOD, right=False, reason="on second thought")
    store.keep(changed)
    assert list(store) == [changed]


def test_many_threads_at_once(store: FeedbackStore) -> None:
    errors: list[BaseException] = []

    def keep(number: int) -> None:
        try:
            store.keep(replace(GOOD, feedback_id=str(number)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {one.feedback_id for one in store} == {str(number) for number in range(12)}
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_pictures_are_kept_small(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(PICTURE)
    with Image.open(tmp_path / "p.jpg") as image:
        assert image.size == (1024, 512)
    assert picture_bytes(None) == b""


def test_the_export_is_a_dataset(store: FeedbackStore, tmp_path: Path) -> None:
    unknown = replace(BAD, feedback_id="c", given="2026-01-03T10:00:00+00:00", right_answer="")
    for one in (GOOD, BAD, unknown):
        store.keep(one)
    dataset = load_dataset(export(store, tmp_path / "out"), images=tmp_path / "out" / "pictures")
    good, bad, open_one = dataset.examples
    assert good.answers == ("Líma",) * 10
    assert good.pos_passage_ids == ("red-capital",)
    assert good.image is not None
    assert (tmp_path / "out" / "pictures" / good.image).read_bytes() == PICTURE
    assert bad.answers == ("Lima",) * 10
    assert (bad.pos_passage_ids, bad.image, bad.instruction) == ((), None, "Find the town")
    assert open_one.answers == ()
    row = json.loads((tmp_path / "out" / "questions.jsonl").read_text(encoding="utf-8").splitlines()[1])
    assert (row["given_answer"], row["reason"]) == ("Oslo", "wrong land")


def test_the_command(store: FeedbackStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["feedback", "export", "--var", str(tmp_path / "var"), "--output", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "there is no feedback" in capsys.readouterr().err
    store.keep(GOOD)
    assert main(arguments) == 0
    assert "questions.jsonl: 1 row; ask them again with" in capsys.readouterr().out
    assert (tmp_path / "out" / "questions.jsonl").is_file()


def test_faults_are_one_line(store: FeedbackStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reason is longer than 2,000 characters; shorten"):
        replace(GOOD, reason="x" * (MOST_TEXT + 1))
    store.path.parent.mkdir(parents=True)
    store.path.write_text("this is no database, whatever its name says" * 50, encoding="utf-8")
    with pytest.raises(InputError, match="not a database"):
        list(store)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="feedback"):
        FeedbackStore(feedback_path(tmp_path / "file")).keep(GOOD)
