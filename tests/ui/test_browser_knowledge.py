"""A person keeps knowledge bases on the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app import own_knowledge
from rag_app.assembly import Application
from tests.ui.conftest import PATIENCE

pytestmark = pytest.mark.browser


def open_base(page: Page, name: str) -> None:
    page.locator("#kb-name input").click()
    page.locator("#kb-name input").fill(name)
    page.locator("#kb-name input").press("Enter")


def test_a_form_is_not_saved_into_another_knowledge_base(page: Page, address: str, application: Application) -> None:
    for name in ("mills", "barns"):
        passage = Passage(passage_id="m1", title=f"One of {name}", text=f"It is one of {name}.")
        own_knowledge.add_passage(name, application.var, passage)
    page.goto(address)
    page.get_by_role("tab", name="Knowledge").click()
    expect(page.locator("#kb-passages")).to_contain_text("Page 1 of", timeout=PATIENCE)
    open_base(page, "mills")
    cell = page.get_by_role("gridcell", name="One of mills", exact=True)
    expect(cell).to_be_visible(timeout=PATIENCE)
    cell.click()
    expect(page.locator("#kb-title textarea, #kb-title input")).to_have_value("One of mills", timeout=PATIENCE)
    open_base(page, "barns")
    expect(page.locator("#kb-title textarea, #kb-title input")).to_have_value("", timeout=PATIENCE)
    page.locator("#kb-id textarea, #kb-id input").fill("m1")
    page.locator("#kb-title textarea, #kb-title input").fill("mine")
    page.locator("#kb-save").click()
    expect(page.locator("#kb-edit-said")).to_contain_text("choose a passage first", timeout=PATIENCE)
    page.get_by_role("gridcell", name="One of barns", exact=True).click()
    expect(page.locator("#kb-id textarea, #kb-id input")).to_have_value("m1", timeout=PATIENCE)
    page.locator("#kb-delete").click()
    expect(page.locator("#kb-edit-said")).to_contain_text("Deleted m1; 0 passages are left", timeout=PATIENCE)
    expect(page.locator("#kb-id textarea, #kb-id input")).to_have_value("")
    with PassageStore.open(application.var / "knowledge_bases" / "mills.sqlite") as store:
        assert [one.title for one in store] == ["One of mills"]
