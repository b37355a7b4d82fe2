"""The pictures of the page in `docs/screenshots`: `make screenshots` takes them all anew, with the embedded models."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from rag_app.assembly import open_application
from rag_app.config import CHECKOUT, load_preset
from rag_app.knowledge import find_knowledge
from tests.chromium import PATIENCE, chromium, open_part
from tests.ports import free_port
from ui.app import serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["main"]

FOLDER = CHECKOUT / "docs" / "screenshots"
EXAMPLES = CHECKOUT / "knowledge_bases" / "world_flags" / "examples"
QUESTIONS = CHECKOUT / "knowledge_bases" / "world_flags" / "questions" / "test.jsonl"
CAPITAL = "What is the capital of this country?"


def main() -> None:
    """Takes every picture."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        take_asking(browser, address)
        take_knowledge(browser, address)
        take_evaluating(browser, address, Path(folder))
        take_dark(browser, address)
        take_phone(browser, address)
        browser.close()
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    sys.stdout.write(f"{FOLDER.relative_to(CHECKOUT)}: {total / 1000:,.0f} kB in all\n")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The page of the embedded preset, on a free port. What is derived is taken from `var`; nothing is kept there."""
    for derived in ("indexes/world_flags", "stores"):
        if (CHECKOUT / "var" / derived).is_dir():
            shutil.copytree(CHECKOUT / "var" / derived, folder / "var" / derived)
    preset = load_preset("embedded")
    application = open_application(preset, find_knowledge(preset.knowledge_base, folder / "var"), var=folder / "var")
    port = free_port()
    page = serve(application, host="127.0.0.1", port=port, wait=False)
    yield f"http://127.0.0.1:{port}"
    page.close()


def opened(browser: Browser, address: str, *, width: int = 1180, height: int = 900, theme: str = "light") -> Page:
    """The page in a window of its own."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(3 * PATIENCE)
    page.goto(f"{address}/?__theme={theme}")
    page.locator("#answer .waiting").wait_for()
    page.wait_for_timeout(1500)  # what comes late is there
    return page


def ask(page: Page, picture: str, question: str) -> None:
    """Asks as a person would, until the answer and what hangs on it are there."""
    page.locator("#picture input[type=file]").first.set_input_files(EXAMPLES / f"{picture}.png")
    page.locator("#picture img").wait_for()
    page.locator("#question textarea").fill(question)
    page.locator("#ask").click()
    page.locator("#answer [data-state=answered]").wait_for()
    page.locator("#why-choice input[type=radio]").first.wait_for()


def take(page: Page, name: str, *, place: str | None = None, whole: bool = False) -> None:
    """Keeps what the window shows, one part of the page, or the whole of it, as a small file."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)
    shot = page.locator(place).screenshot() if place else page.screenshot(full_page=whole)
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").save(FOLDER / f"{name}.png", optimize=True)  # a palette would lose the pale background


def take_asking(browser: Browser, address: str) -> None:
    """An answer, and why its first passage was found."""
    page = opened(browser, address, height=1180)
    ask(page, "jp-waving", CAPITAL)
    take(page, "ask")
    page.locator("#why-choice input[type=radio]").first.click()
    page.locator("#why [data-sum]").wait_for()
    take(page, "why", place="#closer-why")
    page.close()


def take_knowledge(browser: Browser, address: str) -> None:
    """A knowledge base, and those of its passages that hold a word."""
    page = opened(browser, address, height=1180)
    open_part(page.get_by_role("tab", name="Knowledge"))
    page.locator("#kb-words textarea, #kb-words input").first.fill("mountains")
    page.locator("#kb-words textarea, #kb-words input").first.press("Enter")
    page.locator("#kb-passages").get_by_text("passages with these words").first.wait_for()
    take(page, "knowledge")
    page.close()


def save_questions(folder: Path) -> tuple[Path, Path]:
    """The held-out questions about the countries of the examples, asked of these pictures; and the pictures."""
    pictures = {path.name[:2]: path for path in EXAMPLES.glob("*.png")}  # by country
    questions, archive = folder / "examples.jsonl", folder / "examples.zip"
    with questions.open("w", encoding="utf-8") as file:
        for row in map(json.loads, QUESTIONS.read_text(encoding="utf-8").splitlines()):
            if picture := pictures.get(Path(row["image"]).name[:2]):
                file.write(json.dumps({**row, "image": picture.name}) + "\n")
    with zipfile.ZipFile(archive, "w") as packed:
        for picture in pictures.values():
            packed.write(picture, picture.name)
    return questions, archive


def take_evaluating(browser: Browser, address: str, folder: Path) -> None:
    """A dataset that was asked: its metrics, plots and failures."""
    questions, archive = save_questions(folder)
    page = opened(browser, address)
    open_part(page.get_by_role("tab", name="Evaluate"))
    page.locator("#evaluate-source").get_by_text("my own file").click()
    page.locator("#evaluate-questions input[type=file]").set_input_files(questions)
    page.locator("#evaluate-questions").get_by_text(questions.stem).first.wait_for()
    page.locator("#evaluate-pictures input[type=file]").set_input_files(archive)
    page.locator("#evaluate-pictures").get_by_text(archive.stem).first.wait_for()
    page.locator("#evaluate-most input").fill("0")
    page.locator("#evaluate").click()
    page.locator("#evaluation .plots").wait_for()
    open_part(page.get_by_role("button", name="Failures"))
    page.locator("#failures article").first.wait_for()
    take(page, "evaluate", whole=True)
    page.close()


def take_dark(browser: Browser, address: str) -> None:
    """Another answer, in dark."""
    page = opened(browser, address, height=1180, theme="dark")
    ask(page, "gh-waving", "What does the black star stand for?")
    take(page, "dark")
    page.close()


def take_phone(browser: Browser, address: str) -> None:
    """The answer on a phone."""
    page = opened(browser, address, width=390, height=844)
    ask(page, "jp-waving", CAPITAL)
    page.locator("#answer").evaluate("one => window.scrollTo(0, one.getBoundingClientRect().top + scrollY - 420)")
    take(page, "phone")
    page.close()


if __name__ == "__main__":
    main()
