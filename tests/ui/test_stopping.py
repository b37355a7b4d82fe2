"""Long work on the page says how far it is, and can be stopped: while files are read, encoded, or wait in the queue."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from knowledge_bases.importing.items import Columns
from knowledge_bases.records import Passage
from rag_app import own_knowledge
from rag_app.assembly import Application
from rag_app.importing import Known
from rag_app.indexing import index_keys
from rag_app.joining import indexes_of
from rag_app.kb_use import KnowledgeInUse
from rag_app.stores import SharedStore
from ui.app import build_app
from ui.encoding import Encoding
from ui.import_actions import import_files, read_settings
from ui.knowledge_actions import state_of
from ui.knowledge_upkeep import worked
from ui.knowledge_view import report_card
from ui.stopping import Stopped, Stops, Tell


def test_what_waits_in_the_queue_is_stopped_too() -> None:
    stops = Stops()
    begun = stops.begin("me")  # the button is pressed, and the work waits
    stops.ask("me")
    shown: list[str] = []
    tell = stops.telling("me", begun, lambda share, said: shown.append(said))
    with pytest.raises(Stopped):
        tell(0.0, "opening the questions")
    assert shown == ["opening the questions"]
    stops.check("me", stops.begin("me"))  # what is begun afterwards is not
    stops.check("another", 0)


@pytest.mark.parametrize("button", ["evaluate", "kb-take-in", "kb-use", "kb-sync", "kb-rebuild"])
def test_a_button_notes_at_once_when_work_begins(application: Application, button: str) -> None:
    page = build_app(application)
    (number,) = [block._id for block in page.blocks.values() if block.elem_id == button]
    (pressed,) = [fn for fn in page.fns.values() if [block for block, _ in fn.targets] == [number]]
    assert pressed.queue is False
    (note,) = pressed.outputs
    assert isinstance(note, gr.State)
    (works,) = [fn for fn in page.fns.values() if fn.trigger_after == pressed._id]
    assert note in works.inputs
    assert works.queue is not False


def test_the_rest_of_the_encoding_is_foretold() -> None:
    seconds, told = iter([0.0, 2.0, 4.0, 10.0, 20.0, 30.0]), list[tuple[float, str]]()
    encoding = Encoding(lambda share, said: told.append((share, said)), clock=lambda: next(seconds))
    encoding(1000, 3000)
    encoding(2000, 3000)
    encoding(3000, 3000)
    encoding(10, 40)  # the next knowledge base
    encoding(20, 40)
    assert [said for _, said in told] == [
        "1,000 of 3,000 passages encoded",
        "2,000 of 3,000 passages encoded, about 2 s left",
        "3,000 of 3,000 passages encoded",
        "10 of 40 passages encoded",
        "20 of 40 passages encoded, about 20 s left",
    ]
    assert told[1][0] == pytest.approx(2 / 3)


@pytest.fixture
def mine(application: Application, tmp_path: Path) -> Application:
    """The application with a folder of its own, asking a knowledge base `mine` of one passage."""
    mine = replace(application, var=tmp_path / "var")
    own_knowledge.add_passage("mine", mine.var, Passage(passage_id="first", title="", text="The first."))
    KnowledgeInUse(mine).use("mine")
    return mine


def many(folder: Path) -> list[str]:
    rows = [{"id": f"m{number}", "text": f"Passage {number}."} for number in range(40)]
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [str(folder / "many.jsonl")]


def stopping_at(words: str, told: list[str]) -> Tell:
    def tell(share: float, said: str) -> None:
        told.append(said)
        if words in said:
            raise Stopped

    return tell


def in_step(mine: Application) -> bool:
    finder = mine.pipeline.finder
    assert finder is not None
    (index,) = indexes_of(finder)
    store = SharedStore(mine.var / "knowledge_bases" / "mine.sqlite")
    return set(index.ids) == index_keys(store, with_pictures=False).keys()


def test_an_import_into_the_one_in_use_is_cancelled_while_it_is_encoded(mine: Application, tmp_path: Path) -> None:
    in_use, told = KnowledgeInUse(mine), list[str]()
    settings = read_settings(Columns(), split=False, words=120, overlap=1)
    report, indexed = import_files(
        "mine",
        mine.var,
        many(tmp_path),
        settings,
        known=Known.SKIP,
        strict=False,
        in_use=in_use,
        tell=stopping_at("of 40 passages encoded", told),
    )
    assert (report.added, indexed) == (40, False)
    assert "the passages are in; encoding them" in told
    assert "the passages are in, and the index is finished later" in report_card(report, indexed=indexed)
    assert "finished later" not in report_card(report)
    assert state_of("mine", mine.var).figures.passages == 41
    assert not in_step(mine)
    assert "41 passages" in worked(in_use, mine.var, "mine", "sync", stopping_at("nothing", told))
    assert in_step(mine)


@pytest.mark.parametrize("how", ["use", "rebuild"])
def test_opening_and_building_anew_are_cancelled(mine: Application, how: str) -> None:
    own_knowledge.add_passage("another", mine.var, Passage(passage_id="a", title="", text="Another."))
    in_use, told = KnowledgeInUse(mine), list[str]()
    said = worked(in_use, mine.var, "another", how, stopping_at("encoded", told))
    assert "Cancelled. Questions are answered from mine, as before." in said
    assert told == ["opening another", "1 of 1 passage encoded"]
    assert in_use.names == ("mine",)
    assert "another" in worked(in_use, mine.var, "another", how, stopping_at("nothing", told))
