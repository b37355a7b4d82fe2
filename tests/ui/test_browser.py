"""A person at the page: a real Chromium asks a question by clicking and reads the answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from rag_app.assembly import Application
from tests.tiny import save_picture

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 60_000  # milliseconds


def chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "no Chromium is installed: `apt-get install chromium`, or name it in $CHROMIUM"
    return found


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=chromium(), headless=True, args=FLAGS
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        yield page
        context.close()


def test_a_question_is_asked_by_clicking(page: Page, address: str, application: Application, tmp_path: Path) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.locator("#picture input[type=file]").first.set_input_files(save_picture(tmp_path / "red.png"))
    expect(page.locator("#picture img")).to_be_visible(timeout=PATIENCE)
    page.locator("#question textarea").fill("what is the capital?")
    page.locator("#ask").click()
    answer = page.locator("#answer [data-state=answered], #answer [data-state=abstained]")
    expect(answer).to_be_visible(timeout=PATIENCE)
    expect(answer).to_contain_text("% sure")
    expect(page.locator("#passages .passage")).to_have_count(application.pipeline.k)
    expect(page.locator("#timings")).to_contain_text("searching")
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []


def test_hostile_passages_stay_text(page: Page, address: str, application: Application) -> None:
    page.goto(address)
    page.locator("#question textarea").fill("Bold & ${1+1} {{braces}}")
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#passages .passage").first).to_be_visible(timeout=PATIENCE)
    assert page.locator("#passages script, #passages b").count() == 0
    shown = page.locator("#passages").inner_text()
    if "Bold" in shown:
        assert "<b onclick=x>Bold & ${1+1} {{braces}}</b>" in shown


def test_an_example_fills_the_form(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("what is the capital?").first.click()
    expect(page.locator("#question textarea")).to_have_value("what is the capital?", timeout=PATIENCE)
    expect(page.locator("#picture img")).to_be_visible(timeout=PATIENCE)


def test_a_broken_picture_is_said_kindly(page: Page, address: str, broken_picture: Path) -> None:
    page.goto(address)
    page.locator("#picture input[type=file]").first.set_input_files(broken_picture)
    page.locator("#question textarea").fill("what is this?")
    page.wait_for_timeout(1000)  # the upload of a file that cannot be shown has no visible end
    page.locator("#ask").click()
    expect(page.locator("#answer [data-state=error]")).to_contain_text(
        "not a picture that can be read", timeout=PATIENCE
    )


def test_it_fits_a_phone(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(address)
    expect(page.locator("#ask")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
