"""The form of one passage: what it saves and deletes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app import own_knowledge
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.stores import SharedStore
from tests.tiny import save_picture
from ui.knowledge_actions import browse, show, stored
from ui.knowledge_tab import add_knowledge_tab, found_line, in_form
from ui.passage_form import Opened, add, checked, delete, save

M1 = Passage(passage_id="m1", title="The mill", text="Built in 1850.")
OTHER = replace(M1, title="Another mill", text="Built in 1900.")


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """Two knowledge bases, `mine` and `other`, each with a passage `m1`; that of `mine` has a picture."""
    var = tmp_path / "var"
    own_knowledge.add_passage("mine", var, M1, save_picture(tmp_path / "mill.png", "green"))
    own_knowledge.add_passage("other", var, OTHER)
    return var


def passages(var: Path, name: str) -> list[Passage]:
    with PassageStore.open(var / "knowledge_bases" / f"{name}.sqlite") as store:
        return list(store)


def chosen(var: Path, name: str, folder: Path) -> tuple[str | None, Opened]:
    """The picture in the form, and what was opened, after `m1` was chosen."""
    *_, picture, opened = in_form(name, show(stored(name, var), "m1", folder / "cache"))
    return picture, opened


def test_a_passage_is_saved_only_where_it_was_read(var: Path, tmp_path: Path) -> None:
    _, opened = chosen(var, "mine", tmp_path)
    assert checked(opened, "mine", "m1") is opened
    with pytest.raises(InputError, match="from mine and other is chosen now; choose a passage first"):
        checked(opened, "other", "m1")
    with pytest.raises(InputError, match="no passage is chosen; choose a passage first"):
        checked(None, "mine", "m1")
    with pytest.raises(InputError, match="the id was 'm1'; write that again, or add this as a new passage"):
        checked(opened, "mine", "m2")
    assert passages(var, "other") == [OTHER]


def test_another_knowledge_base_empties_the_form(application: Application, var: Path) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        add_knowledge_tab(page, replace(application, var=var))
    events = [fn for fn in page.fns.values() if any(event == "change" for _, event in fn.targets)]
    (emptied,) = [fn for fn in events if "kb-id" in [block.elem_id for block in fn.outputs]]
    (base,) = [page.blocks[target or 0] for target, _ in emptied.targets]
    assert base.elem_id == "kb-name"
    assert emptied.fn is not None
    assert emptied.fn() == ["", "", "", "", None, None, "", 1]
    last = [block.elem_id for block in emptied.outputs]
    assert last[-2:] == ["kb-words", "kb-page"]
    assert isinstance(emptied.outputs[-3], gr.State)


def test_a_picture_stays_unless_its_field_was_changed(var: Path, tmp_path: Path) -> None:
    picture, opened = chosen(var, "mine", tmp_path)
    assert picture is not None
    kept = show(stored("mine", var), "m1", tmp_path / "again").picture
    assert kept is not None
    content = kept.read_bytes()
    Path(picture).unlink()
    cached = str(tmp_path / "gradio" / Path(picture).name)  # gradio shows a copy, which it has deleted as well
    after = save(var, opened, replace(M1, title="Mill"), cached)
    now = show(stored("mine", var), "m1", tmp_path / "then")
    assert now.passage.title == "Mill"
    assert now.picture is not None
    assert now.picture.read_bytes() == content
    fresh = save_picture(tmp_path / "fresh.png", "blue")
    after = save(var, after, M1, str(fresh))
    changed = show(stored("mine", var), "m1", tmp_path / "changed").picture
    assert changed is not None
    assert changed.read_bytes() != content
    fresh.unlink()
    save(var, after, replace(M1, title="Mill"), str(fresh))
    save(var, after, M1, None)
    assert show(stored("mine", var), "m1", tmp_path / "none").picture is None


def test_adding_and_deleting(var: Path) -> None:
    with pytest.raises(InputError, match="a new passage needs an id; write one"):
        add(var, "mine", replace(M1, passage_id=" "), None)
    opened = add(var, "mine", replace(M1, passage_id="m2"), None)
    assert opened == Opened(base="mine", passage_id="m2")
    assert delete(var, opened, ("mine",)) == 1
    with pytest.raises(InputError, match="the last passage of the knowledge base in use; use another one first"):
        delete(var, Opened(base="mine", passage_id="m1"), ("mine",))
    assert delete(var, Opened(base="other", passage_id="m1"), ("mine",)) == 0


@pytest.mark.parametrize(("there", "line"), [(3, "3"), (100, "100"), (101, "The first 100")])
def test_only_a_search_that_was_cut_says_so(tmp_path: Path, there: int, line: str) -> None:
    with PassageStore.open(tmp_path / "mills.sqlite", create=True) as store:
        store.add([Passage(passage_id=f"m{number}", title="", text="A mill.") for number in range(there)])
        store.add([Passage(passage_id="well", title="", text="A well.")])
    found = browse(SharedStore(tmp_path / "mills.sqlite"), "mill", 1)
    assert len(found.passages) == min(there, 100)
    assert found_line(found) == f"{line} passages with these words"
