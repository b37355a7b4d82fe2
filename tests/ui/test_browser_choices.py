"""A person at the page chooses what answers: knowledge bases, a preset; by hand and by a link."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from generator.protocol import Generator
from rag_app import assembly
from rag_app.assembly import Application
from rag_app.cli import main
from rag_app.config import Preset
from rag_app.devices import Placement
from rag_app.kb_use import KnowledgeInUse
from rag_app.preset_use import PresetInUse
from tests.chromium import PATIENCE, open_part
from tests.tiny import save_picture
from tests.ui.test_browser import NAMELESS

pytestmark = pytest.mark.browser
QUESTION = "what is the capital?"


@pytest.fixture(autouse=True)
def notes(application: Application, tmp_path: Path) -> Iterator[None]:
    """A knowledge base to choose, of one passage with a picture; afterwards everything is as it was."""
    if "notes" not in {one.name for one in KnowledgeInUse(application).choices()}:
        save_picture(tmp_path / "mill.png", "green")
        row = {"passage_id": "red-capital", "title": "The mill", "text": "Built in 1850.", "image": "mill.png"}
        (tmp_path / "notes.jsonl").write_text(json.dumps(row), encoding="utf-8")
        files = [str(tmp_path / name) for name in ("notes.jsonl", "mill.png")]
        assert main(["kb", "add", *files, "--kb", "notes", "--var", str(application.var)]) == 0
    preset, names = PresetInUse(application), KnowledgeInUse(application)
    before = (preset.name, names.names)
    yield
    preset.use(before[0])
    names.use(*before[1])


def choose(page: Page, field: str, option: str) -> None:
    page.locator(f"{field} input").first.click()
    page.get_by_role("option", name=option, exact=True).click()


def ask(page: Page) -> Locator:
    page.locator("#question textarea").fill(QUESTION)
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#why-choice input[type=radio]").first).to_be_visible()
    return page.locator("#passages .passage")


def test_two_knowledge_bases_are_asked(page: Page, address: str) -> None:
    page.goto(f"{address}/?k=7&q=x")
    expect(page.locator("#question textarea")).to_have_value("x")
    choose(page, "#ask-kb", "notes")
    said = page.locator("#ask-said")
    expect(said).to_contain_text("answered from passages and notes now: 7 passages")
    page.keyboard.press("Escape")
    cards = ask(page)
    expect(cards).to_have_count(7)
    bases = [base.inner_text() for base in page.locator("#passages .passage-base").all()]
    assert sorted(bases) == ["notes", *["passages"] * 6]
    (picture,) = page.locator("#passages img.passage-picture").all()
    assert picture.evaluate("one => one.naturalWidth") == 60
    expect(page.locator("#why-choice label").filter(has_text="The mill (notes)")).to_have_count(1)
    page.locator("#why-choice label").filter(has_text="The mill (notes)").click()
    expect(page.locator("#why [data-sum]")).to_be_visible()
    page.locator("#ask-kb [aria-label*=emove], #ask-kb .token-remove").first.click()
    expect(said).to_contain_text("answered from notes now: 1 passage.")


def test_a_link_proposes_the_knowledge_base(page: Page, address: str, application: Application) -> None:
    page.goto(f"{address}/?kb=notes&q=when%3F")
    expect(page.locator("#ask-said")).to_contain_text("The link asks for notes")
    expect(page.locator("#question textarea")).to_have_value("when?")
    assert application.knowledge_base == "passages"
    page.locator("#ask-confirm").click()
    expect(page.locator("#ask-said")).to_contain_text("answered from notes now")
    expect(page.locator("#ask-confirm")).to_be_hidden()
    expect(page.locator("#ask-kb .token")).to_have_text(["notes"])
    assert application.knowledge_base == "notes"
    page.goto(f"{address}/?kb=%3Cb%3E")
    expect(page.locator("#ask-said [role=alert]")).to_contain_text("'<b>' that is not here")
    assert application.knowledge_base == "notes"


def test_the_cross_leaves_the_field_as_it_was(page: Page, address: str, application: Application) -> None:
    page.goto(address)
    expect(page.locator("#ask-kb .token")).to_have_text(["passages"])
    page.locator("#ask-kb .remove-all").click()
    expect(page.locator("#ask-said [role=alert]")).to_contain_text("Choose at least one")
    expect(page.locator("#ask-kb .token")).to_have_text(["passages"])
    assert application.knowledge_base == "passages"


def test_another_open_page_follows(page: Page, address: str, application: Application) -> None:
    page.goto(address)
    expect(page.locator("#ask-kb .token")).to_have_text(["passages"])
    page.wait_for_timeout(2000)  # what happens when the page is opened is over
    KnowledgeInUse(application).use("notes")
    page.locator("#question textarea").fill(QUESTION)
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#answer")).to_contain_text("Answered from notes; this page showed passages.")
    expect(page.locator("#ask-kb .token")).to_have_text(["notes"])
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#history .entry")).to_have_count(2)
    expect(page.locator("#answer")).not_to_contain_text("this page showed")


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Generators are loaded once it is set."""
    go_on, load = threading.Event(), assembly._load_generator

    def slowly(preset: Preset, placement: Placement) -> Generator:
        assert go_on.wait(PATIENCE / 1000)
        return load(preset, placement)

    monkeypatch.setattr(assembly, "_load_generator", slowly)
    return go_on


def test_another_preset_is_loaded(page: Page, address: str, application: Application, go_on: threading.Event) -> None:
    page.goto(address)
    choose(page, "#ask-preset", "embedded")
    expect(page.locator("#ask-said [data-state=loading]")).to_contain_text("Until it is ready tiny answers")
    go_on.set()
    expect(page.locator("#ask-said")).to_contain_text("embedded answers now", timeout=3 * PATIENCE)
    ask(page)
    assert application.preset.name == "embedded"
    open_part(page.get_by_role("tab", name="About"))
    page.reload()
    open_part(page.get_by_role("tab", name="About"))
    expect(page.locator("#facts")).to_contain_text("embedded")
    open_part(page.get_by_role("tab", name="Ask"))
    expect(page.locator("#ask-preset input")).to_have_value("embedded")


def test_loading_a_preset_is_cancelled(
    page: Page, address: str, application: Application, go_on: threading.Event
) -> None:
    page.goto(address)
    expect(page.locator("#ask-cancel")).to_be_hidden()
    choose(page, "#ask-preset", "embedded")
    expect(page.locator("#ask-said")).to_contain_text("Loading embedded")
    page.locator("#ask-cancel").click()
    expect(page.locator("#ask-cancel")).to_have_text("Cancelling …")
    go_on.set()
    expect(page.locator("#ask-said")).to_contain_text("Cancelled. tiny answers.")
    expect(page.locator("#ask-preset input")).to_have_value("tiny")
    expect(page.locator("#ask-cancel")).to_be_hidden()
    assert application.preset.name == "tiny"


def test_what_answers_can_be_chosen_with_the_keyboard(page: Page, address: str, application: Application) -> None:
    page.goto(address)
    expect(page.locator("#ask-kb input")).to_be_visible()
    page.locator("#ask-kb input").focus()
    page.keyboard.type("notes")
    expect(page.get_by_role("option")).to_have_count(1)  # Enter takes the first of those left
    page.keyboard.press("Enter")
    expect(page.locator("#ask-said")).to_contain_text("passages and notes now")
    assert page.evaluate(NAMELESS) == []
    assert page.get_by_label("Knowledge bases").count() >= 1
    assert page.get_by_label("Preset").count() >= 1
