"""A person keeps knowledge bases on the page."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app import own_knowledge
from rag_app.assembly import Application
from rag_app.kb_use import KnowledgeInUse
from tests.chromium import PATIENCE, open_part
from tests.hub_server import MILLS, serving_mills
from ui.encoding import Encoding

pytestmark = pytest.mark.browser


def open_base(page: Page, name: str) -> None:
    page.locator("#kb-name input").click()
    page.locator("#kb-name input").fill(name)
    page.locator("#kb-name input").press("Enter")


def test_a_form_is_not_saved_into_another_knowledge_base(page: Page, address: str, application: Application) -> None:
    for name in ("wells", "barns"):
        passage = Passage(passage_id="m1", title=f"One of {name}", text=f"It is one of {name}.")
        own_knowledge.add_passage(name, application.var, passage)
    page.goto(address)
    open_part(page.get_by_role("tab", name="Knowledge"))
    expect(page.locator("#kb-passages")).to_contain_text("Page 1 of")
    open_base(page, "wells")
    cell = page.get_by_role("gridcell", name="One of wells", exact=True)
    expect(cell).to_be_visible()
    cell.click()
    expect(page.locator("#kb-title textarea, #kb-title input")).to_have_value("One of wells")
    open_base(page, "barns")
    expect(page.locator("#kb-title textarea, #kb-title input")).to_have_value("")
    page.locator("#kb-id textarea, #kb-id input").fill("m1")
    page.locator("#kb-title textarea, #kb-title input").fill("mine")
    page.locator("#kb-save").click()
    expect(page.locator("#kb-edit-said")).to_contain_text("choose a passage first")
    page.get_by_role("gridcell", name="One of barns", exact=True).click()
    expect(page.locator("#kb-id textarea, #kb-id input")).to_have_value("m1")
    page.locator("#kb-delete").click()
    expect(page.locator("#kb-edit-said")).to_contain_text("Deleted m1; 0 passages left")
    expect(page.locator("#kb-id textarea, #kb-id input")).to_have_value("")
    with PassageStore.open(application.var / "knowledge_bases" / "wells.sqlite") as store:
        assert [one.title for one in store] == ["One of wells"]


@pytest.fixture
def springs(application: Application) -> Iterator[None]:
    """A knowledge base of one passage answers; afterwards everything is as it was."""
    in_use = KnowledgeInUse(application)
    before = in_use.names
    own_knowledge.add_passage("springs", application.var, Passage(passage_id="first", title="", text="A spring."))
    in_use.use("springs")
    yield
    in_use.use(*before)


@pytest.mark.usefixtures("springs")
def test_an_import_is_cancelled_while_it_is_encoded_and_questions_are_answered(
    page: Page, address: str, application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()

    def held_up(encoding: Encoding, done: int, total: int, report: object = Encoding.__call__) -> None:
        assert callable(report)
        report(encoding, done, total)
        if next(calls) >= 1:  # then nothing is encoded until it is cancelled, which the report raises
            for _ in range(PATIENCE // 200):
                time.sleep(0.2)
                report(encoding, done, total)

    monkeypatch.setattr(Encoding, "__call__", held_up)
    rows = [{"id": f"s{number}", "text": f"Spring {number}."} for number in range(1500)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    page.goto(address)
    open_part(page.get_by_role("tab", name="Knowledge"))
    expect(page.locator("#kb-passages")).to_contain_text("Page 1 of")
    open_base(page, "springs")
    open_part(page.get_by_role("button", name="Make or extend one from files"))
    page.locator("#kb-files input[type=file]").set_input_files(tmp_path / "rows.jsonl")
    expect(page.locator("#kb-files")).to_contain_text("rows")
    page.locator("#kb-take-in").click()
    shown = page.locator("#kb-import-shown")
    expect(shown).to_contain_text("of 1,500 passages encoded, about")
    open_part(page.get_by_role("tab", name="Ask"))
    page.locator("#question textarea").fill("where is a spring?")
    page.locator("#ask").click()
    expect(page.locator("#passages .passage")).to_have_count(1)
    open_part(page.get_by_role("tab", name="Knowledge"))
    expect(shown).to_contain_text("passages encoded")
    page.locator("#kb-cancel").click()
    expect(shown).to_contain_text("the passages are in, and the index is finished later")
    with PassageStore.open(application.var / "knowledge_bases" / "springs.sqlite") as store:
        assert len(store) == 1501


def test_a_knowledge_base_is_made_from_a_data_set_of_the_hub(
    page: Page, address: str, application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.importing._EVERY", 0.0)
    with serving_mills(tmp_path) as hub:
        page.goto(address)
        open_part(page.get_by_role("tab", name="Knowledge"))
        expect(page.locator("#kb-passages")).to_contain_text("Page 1 of")
        open_part(page.get_by_role("button", name="Make or extend one from files or a data set"))
        named, shown = page.locator("#kb-data-set textarea, #kb-data-set input"), page.locator("#kb-import-shown")
        named.fill(f"hf:{MILLS}:en/train")
        page.locator("#kb-preview").click()
        expect(shown.locator("[data-state=preview]")).to_contain_text("id, text, place, source, image")
        expect(shown).to_contain_text("line 4: no text")
        page.locator("#kb-new-name textarea, #kb-new-name input").fill("hubmills")
        page.locator("#kb-take-in").click()
        expect(shown).to_contain_text("Added 4 passages")
        expect(page.locator("#kb-bad-rows")).to_contain_text("bad-rows")
        expect(page.locator("#kb-passages")).to_contain_text("Mill 4 grinds corn.")
        go_on = threading.Event()
        hub.waits = lambda path: not path.endswith("train.parquet") or go_on.wait(PATIENCE / 1000)
        named.fill("hf:ann/many")
        page.locator("#kb-take-in").click()
        expect(shown).to_contain_text("asking the hub")
        with page.expect_response("**/run/predict"):  # the server has heard of it
            page.locator("#kb-cancel").click()
        go_on.set()
        expect(shown).to_contain_text("Cancelled. The knowledge base is as it was.")
    with PassageStore.open(application.var / "knowledge_bases" / "hubmills.sqlite") as store:
        assert len(store) == 4
