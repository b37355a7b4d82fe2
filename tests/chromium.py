"""A real Chromium for tests that drive the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

__all__ = ["PATIENCE", "chromium", "open_part", "open_tab", "opened_page"]

PATIENCE = 60_000  # milliseconds
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FILLED = {"Evaluate": "#evaluate", "Knowledge": "#kb-passages [data-col]", "About": "#facts dl"}  # once a tab is
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def chromium() -> str:
    """Where it lies: $CHROMIUM, or the one that is installed."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    assert found, "no Chromium is installed: `apt-get install chromium`, or name it in $CHROMIUM"
    return found


@contextmanager
def opened_page(address: str, profile: Path, picture: Path) -> Iterator[Page]:
    """A browser window; whatever is done in it, no request may go to another host.

    Args:
        address: of the page.
        profile: folder for what the browser keeps.
        picture: file for a picture of the page, as it is in the end.
    """
    from playwright.sync_api import expect, sync_playwright

    leaving: list[str] = []
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium(), headless=True, args=_FLAGS, timeout=3 * PATIENCE
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.on("request", lambda request: leaving.append(request.url))
        yield page
        page.screenshot(path=picture, full_page=True)
        context.close()
    left = [url for url in leaving if not url.startswith((address, "data:", "blob:"))]
    assert left == [], f"requests to other hosts: {left}"


def open_part(control: Locator) -> None:
    """Clicks a tab or the head of an accordion, and waits until what is in it was drawn.

    Gradio sets the fields that come to sight to their values once more, in a callback of the frame that first draws
    them: what is filled in before it, which nobody but a test can do, is gone.
    """
    control.click()
    control.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def open_tab(page: Page, name: str) -> None:
    """Opens one of the page's tabs, and waits until what it shows is there."""
    from playwright.sync_api import expect

    open_part(page.get_by_role("tab", name=name))
    expect(page.locator(_FILLED.get(name, "#ask")).first).to_be_visible()
