"""A stranger at a public page, in a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from rag_app.assembly import Application
from rag_app.serving import Rate, public_page
from tests.chromium import PATIENCE
from tests.ports import free_port

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(application: Application) -> Iterator[str]:
    """A public page on which a visitor may ask one question a minute."""
    from ui.app import serve

    before = os.environ.get("GRADIO_TEMP_DIR")
    port = free_port()
    settings = replace(public_page(), questions=Rate(burst=1, per_minute=1))
    page = serve(application, settings=settings, host="127.0.0.1", port=port, wait=False)
    yield f"http://127.0.0.1:{port}"
    page.close()
    shutil.rmtree(Path(os.environ.pop("GRADIO_TEMP_DIR")))
    if before is not None:
        os.environ["GRADIO_TEMP_DIR"] = before


def test_a_question_too_many_leaves_no_old_answer(page: Page, address: str) -> None:
    page.goto(f"{address}/?kb=diary")
    expect(page.locator("#what-answers")).to_contain_text(
        "The link asks for diary: that cannot be chosen on this page.", timeout=PATIENCE
    )
    page.locator("#question textarea").fill("what is the capital?")
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#history .entry")).to_have_count(1)
    page.locator("#question textarea").fill("and what is paid with?")
    page.locator("#question textarea").press("Enter")
    expect(page.get_by_text("You have sent many questions").first).to_be_visible()
    expect(page.locator("#answer [data-state=error]")).to_contain_text("was not answered")
    expect(page.locator("#passages .passage")).to_have_count(0)
    expect(page.locator("#correct")).to_be_disabled()
    expect(page.locator("#history .entry")).to_have_count(1)
