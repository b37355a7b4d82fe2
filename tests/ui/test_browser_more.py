"""A person at the page, going on: corrects, returns, says what was wrong, evaluates."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from knowledge_bases.store import PassageStore
from rag_app.assembly import Application
from rag_app.feedback import FeedbackStore, feedback_path
from tests.chromium import PATIENCE, open_part
from tests.tiny import save_picture
from tests.ui.test_evaluate_tab import save_questions
from ui.answering import Parts

pytestmark = pytest.mark.browser
QUESTION = "what is the capital?"


def ask(page: Page, address: str, folder: Path) -> None:
    page.goto(address)
    page.locator("#picture input[type=file]").first.set_input_files(save_picture(folder / "red.png"))
    expect(page.locator("#picture img")).to_be_visible()
    page.locator("#question textarea").fill(QUESTION)
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#correct")).to_be_enabled()


def test_correcting_and_returning(page: Page, address: str, tmp_path: Path) -> None:
    ask(page, address, tmp_path)
    recognised = page.locator("#recognised b").inner_text()
    answer = page.locator("#answer").inner_text()
    page.locator("#correct").click()
    names = page.locator("#correct-choice label:has(input)")
    expect(names.first).to_be_visible()
    other = names.first.inner_text().strip()
    assert other != recognised
    names.first.click()
    expect(page.locator("#recognised")).to_have_text(f"You said: {other}")
    titles = page.locator("#passages .passage-title")
    assert {title.inner_text() for title in titles.all()} == {other}
    entries = page.locator("#history .entry")
    expect(entries).to_have_count(2)
    expect(page.locator("#correct-choice")).to_be_hidden()
    page.locator("#question textarea").fill("something else")
    entries.nth(1).click()
    expect(page.locator("#recognised")).to_have_text(f"Recognised: {recognised}")
    expect(page.locator("#question textarea")).to_have_value(QUESTION)
    expect(page.locator("#picture img")).to_be_visible()
    assert page.locator("#answer").inner_text() == answer
    expect(entries.nth(1)).to_have_attribute("aria-current", "true")
    expect(entries).to_have_count(2)


def test_saying_what_was_wrong(page: Page, address: str, application: Application, tmp_path: Path) -> None:
    page.goto(address)
    expect(page.locator("#wrong")).to_be_disabled()
    ask(page, address, tmp_path)
    page.locator("#wrong").click()
    expect(page.locator("#feedback-told")).to_contain_text("Kept as wrong")
    page.locator("#feedback-reason textarea").fill("blurred <b>")
    page.locator("#feedback-answer textarea").fill("Lima")
    page.locator("#feedback-send").click()
    expect(page.locator("#feedback-details")).to_be_hidden()
    (kept,) = [one for one in FeedbackStore(feedback_path(application.var)) if one.reason == "blurred <b>"]
    assert (kept.right, kept.right_answer, kept.question) == (False, "Lima", QUESTION)
    page.locator("#right").click()
    expect(page.locator("#feedback-told")).to_contain_text("Kept as right")


def from_the_top(page: Page, place: str) -> float:
    """Where a part of the page begins, in pixels, however far the window is scrolled."""
    top: float = page.locator(place).evaluate("one => one.getBoundingClientRect().top + window.scrollY")
    return top


# Of everything that moves without being asked to, how much and how far, as browsers add it up (CLS).
SHIFTS = """window.shifted = 0; new PerformanceObserver(list => list.getEntries().forEach(one => {
    if (!one.hadRecentInput) window.shifted += one.value;
})).observe({type: 'layout-shift', buffered: true});"""


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_jumps_while_the_page_loads(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 720})
    page.add_init_script(SHIFTS)
    page.goto(address)
    expect(page.locator("#ask")).to_be_visible()
    expect(page.locator("#closer-call")).to_be_visible()
    page.wait_for_timeout(2000)  # what comes late is there
    assert page.evaluate("window.shifted") < 0.1


def test_nothing_jumps_and_the_call_is_shown(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address)
    expect(page.locator("#ask")).to_be_visible()
    page.locator("#picture input[type=file]").first.set_input_files(save_picture(tmp_path / "red.png"))
    expect(page.locator("#picture img")).to_be_visible()
    places = ("#question", "#ask", "#answer", "#below-answer", "#passages")
    before = [from_the_top(page, place) for place in places]
    page.locator("#question textarea").fill(QUESTION)
    page.locator("#ask").click()
    expect(page.locator("#correct")).to_be_enabled()
    after = [from_the_top(page, place) for place in places]
    assert after == pytest.approx(before, abs=1), places
    page.get_by_role("button", name="Copy as API call").click()
    expect(page.locator("#as-call")).to_contain_text(f'question="{QUESTION}"')
    expect(page.locator("#as-call")).to_contain_text(f'Client("{address}/")')


def test_evaluating(page: Page, address: str, tmp_path: Path) -> None:
    questions, archive = save_questions(tmp_path)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    open_part(page.get_by_role("tab", name="Evaluate"))
    page.locator("#evaluate").click()
    expect(page.locator("#evaluation")).to_contain_text("There is no file of questions")
    page.locator("#evaluate-questions input[type=file]").set_input_files(questions)
    expect(page.locator("#evaluate-questions")).to_contain_text("asked")
    page.locator("#evaluate-pictures input[type=file]").set_input_files(archive)
    expect(page.locator("#evaluate-pictures")).to_contain_text("pictures")
    page.locator("#evaluate").click()
    expect(page.locator("#evaluation")).to_contain_text("3 of 4 rows scored", timeout=3 * PATIENCE)
    assert page.locator("#evaluation svg").count() == 3
    with page.expect_download() as download:
        page.locator("#evaluate-download").click()
    assert download.value.suggested_filename.endswith(".zip")
    open_part(page.get_by_role("button", name="Failures"))
    expect(page.locator("#failures article, #failures .card").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_evaluation_that_waits_is_stopped(
    page: Page, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slowly(*_: object) -> Iterator[Parts]:
        assert go_on.wait(PATIENCE / 1000)
        yield "<p>slow</p>", "", "", "", None

    monkeypatch.setattr("ui.ask_tab.answered", slowly)
    questions, archive = save_questions(tmp_path)
    page.goto(address)
    page.locator("#question textarea").fill(QUESTION)
    page.locator("#ask").click()
    expect(page.locator("#answer [data-state=waiting]")).to_contain_text("Looking")
    open_part(page.get_by_role("tab", name="Evaluate"))
    page.locator("#evaluate-questions input[type=file]").set_input_files(questions)
    expect(page.locator("#evaluate-questions")).to_contain_text("asked")
    page.locator("#evaluate-pictures input[type=file]").set_input_files(archive)
    expect(page.locator("#evaluate-pictures")).to_contain_text("pictures")
    with page.expect_response("**/queue/join**"):  # it waits
        page.locator("#evaluate").click()
    with page.expect_response("**/run/predict"):  # the server has heard of it
        page.locator("#evaluate-stop").click()
    go_on.set()
    expect(page.locator("#evaluation")).to_contain_text("Stopped. What was answered is kept")
    page.locator("#evaluate").click()  # what is begun after that is not stopped
    expect(page.locator("#evaluation")).to_contain_text("3 of 4 rows scored", timeout=3 * PATIENCE)


def test_a_knowledge_base_is_made_from_files(
    page: Page, address: str, application: Application, tmp_path: Path
) -> None:
    rows = [{"passage_id": "one", "name": "A mill", "said": "Built in 1850."}, {"passage_id": "two", "name": "No text"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    page.goto(address)
    open_part(page.get_by_role("tab", name="Knowledge"))
    expect(page.locator("#kb-passages")).to_contain_text("Page 1 of")
    open_part(page.get_by_role("button", name="Make or extend one from files"))
    page.locator("#kb-files input[type=file]").set_input_files(tmp_path / "rows.jsonl")
    expect(page.locator("#kb-files")).to_contain_text("rows")
    page.locator("#kb-preview").click()
    shown = page.locator("#kb-import-shown")
    expect(shown.locator("[data-state=preview]")).to_contain_text("passage_id, name, said")
    page.locator("#kb-column-text input").click()
    page.get_by_role("option", name="said", exact=True).click()
    page.keyboard.press("Escape")
    page.locator("#kb-column-title input").fill("name")
    page.locator("#kb-column-title input").press("Enter")
    page.locator("#kb-preview").click()
    expect(shown.locator("[data-state=preview]")).to_contain_text("Built in 1850.")
    page.locator("#kb-new-name textarea, #kb-new-name input").fill("mills")
    page.locator("#kb-take-in").click()
    expect(shown).to_contain_text("Added 1 passage in")
    expect(shown).to_contain_text("1 row could not be taken in")
    expect(page.locator("#kb-passages")).to_contain_text("A mill")
    expect(page.locator("#kb-name input")).to_have_value("mills")
    expect(page.locator("#kb-new-name textarea, #kb-new-name input")).to_have_value("")
    with PassageStore.open(application.var / "knowledge_bases" / "mills.sqlite") as store:
        assert [(one.passage_id, one.title, one.text) for one in store] == [("one", "A mill", "Built in 1850.")]
