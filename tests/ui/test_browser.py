"""A person at the page: a real Chromium asks a question by clicking and reads the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from generator.remote import RemoteGenerator, RemoteSettings
from rag_app.assembly import Application
from rag_app.pipeline import RagPipeline
from tests.chromium import open_part, open_tab
from tests.generator.chat_server import serving_chat
from tests.tiny import PASSAGES, save_picture

pytestmark = pytest.mark.browser

# Where it stands in each frame that is drawn: what moves for a moment only, no look now and then would see.
_PLACES_OF_THE_BUTTON = """
  window.places = [];
  const look = () => {
    const { x, y, width, height } = document.querySelector("#ask")?.getBoundingClientRect() ?? {};
    const place = [x, y, width, height].join(" ");
    if (height && place !== places.at(-1)?.place) places.push({ place, since: performance.now() });
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
"""


def test_a_question_is_asked_by_clicking(page: Page, address: str, application: Application, tmp_path: Path) -> None:
    page.goto(address)
    page.locator("#picture input[type=file]").first.set_input_files(save_picture(tmp_path / "red.png"))
    expect(page.locator("#picture img")).to_be_visible()
    page.locator("#question textarea").fill("what is the capital?")
    page.locator("#ask").click()
    answer = page.locator("#answer [data-state=answered], #answer [data-state=abstained]")
    expect(answer).to_be_visible()
    expect(answer).to_contain_text("% sure")
    expect(page.locator("#passages .passage")).to_have_count(application.pipeline.k)
    expect(page.locator("#timings")).to_contain_text("searching")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_form_is_seen_whole_and_stays_where_it_is(page: Page, address: str, theme: str, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.add_init_script(_PLACES_OF_THE_BUTTON)
    page.goto(f"{address}/?__theme={theme}")
    button = page.locator("#ask")
    expect(button).to_be_in_viewport(ratio=1)
    page.wait_for_function("performance.now() - places.at(-1).since > 1000")  # the page is put together
    put_together = page.evaluate("places.length")
    page.locator("#picture input[type=file]").first.set_input_files(save_picture(tmp_path / "red.png"))
    expect(page.locator("#picture img")).to_be_visible()
    page.locator("#question textarea").fill("what is the capital?")
    button.click()
    expect(page.locator("#passages .passage").first).to_be_visible()
    page.wait_for_timeout(500)  # whatever follows an answer
    assert page.evaluate("places")[put_together:] == []
    expect(button).to_be_in_viewport(ratio=1)


def ask(page: Page, address: str, question: str, picture: Path | None = None) -> None:
    page.goto(address)
    if picture is not None:
        page.locator("#picture input[type=file]").first.set_input_files(picture)
        expect(page.locator("#picture img")).to_be_visible()
    page.locator("#question textarea").fill(question)
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#why-choice input[type=radio]").first).to_be_visible()


def test_each_passage_is_explained_by_clicking(
    page: Page, address: str, application: Application, tmp_path: Path
) -> None:
    ask(page, address, "what is the capital?", save_picture(tmp_path / "red.png"))
    choices = page.locator("#why-choice input[type=radio]")
    expect(choices).to_have_count(application.pipeline.k)
    assert page.locator("#why-choice input:checked").count() == 0  # nothing is explained unasked
    sums = []
    for number in range(2):
        choices.nth(number).click()
        score = page.locator("#passages .passage-score").nth(number).inner_text().removeprefix("score ")
        shown = page.locator("#why [data-sum]")
        expect(shown).to_contain_text(f"= {score}")
        sums.append(shown.inner_text())
        assert "patches" in sums[-1]
    assert sums[0] != sums[1]
    heat = page.locator("#why .heat").bounding_box()
    cells = [cell.bounding_box() for cell in page.locator("#why .patch").all()]
    assert heat is not None
    assert len(cells) == 16
    # The tiny model sees the square in the middle of the picture, 60 x 40: a quarter of its height is a patch.
    assert all(cell and abs(cell["width"] - heat["height"] / 4) < 1.5 for cell in cells)
    assert all(cell and abs(cell["height"] - heat["height"] / 4) < 1.5 for cell in cells)


def test_the_pointer_shows_the_pair(page: Page, address: str, tmp_path: Path) -> None:
    ask(page, address, "what is the capital?", save_picture(tmp_path / "red.png"))
    page.locator("#why-choice input[type=radio]").first.click()
    patch = page.locator("#why .patch").first
    expect(patch).to_be_visible()
    assert (patch.get_attribute("title") or "").startswith("patch in row 1, column 1 ↔ ")
    patch.hover()
    lit = page.locator(f"#why .why-texts .lit[data-pair='{patch.get_attribute('data-pair')}']")
    assert lit.count() >= 1
    page.locator("h1").hover()
    assert page.locator("#why .lit").count() == 0


def test_candidates_and_json(page: Page, address: str, application: Application) -> None:
    ask(page, address, "what is the capital?")
    open_part(page.get_by_role("button", name="Candidates"))
    expect(page.locator("#candidates tbody tr")).to_have_count(application.pipeline.k)
    expect(page.locator("#candidates .winner")).to_have_count(1)
    page.get_by_role("button", name="Copy as JSON").click()
    expect(page.locator("#as-json")).to_contain_text('"confidence"')


@pytest.fixture
def generating(application: Application) -> Iterator[None]:
    """A generator answers in place of the reader, as long as the test lasts."""
    before = application.pipeline
    with serving_chat() as serving:
        serving.behave(answers={"land": "with a passage"}, otherwise="from memory")
        generator = RemoteGenerator(RemoteSettings(address=serving.address, model="m"))
        application.change(pipeline=RagPipeline(finder=before.finder, generator=generator, k=before.k))
        yield
    application.change(pipeline=before)


@pytest.mark.usefixtures("generating")
def test_the_answer_without_passages_stands_beside_the_other(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#ask-alone")).to_be_disabled()
    ask(page, address, "what is the capital?")
    expect(page.locator("#alone")).to_be_hidden()
    page.locator("#ask-alone").click()
    alone = page.locator("#alone [data-state=answered], #alone [data-state=abstained]")
    expect(alone).to_contain_text("from memory")
    expect(page.locator("#answer")).to_contain_text("with a passage")
    first, second = page.locator("#answer").bounding_box(), page.locator("#alone").bounding_box()
    assert first is not None
    assert second is not None
    assert second["x"] >= first["x"] + first["width"]
    assert second["y"] == pytest.approx(first["y"], abs=2)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#alone")).to_be_hidden()


def test_a_reader_says_beside_the_answer_why_it_has_none_alone(page: Page, address: str) -> None:
    ask(page, address, "what is the capital?")
    page.locator("#ask-alone").click()
    said = page.locator("#alone [role=alert]")
    expect(said).to_contain_text("The reader of the preset tiny takes every answer from a passage")


def test_a_link_fills_in_the_form(page: Page, address: str) -> None:
    page.goto(f"{address}/?q=what%20%3Cb%3Eis%3C/b%3E%20it%3F&k=2")
    expect(page.locator("#question textarea")).to_have_value("what <b>is</b> it?")
    expect(page.locator("#answer [data-state=waiting]")).to_be_visible()
    page.locator("#ask").click()
    expect(page.locator("#passages .passage")).to_have_count(2)


NAMELESS = """() => [...document.querySelectorAll(
    ['button', 'textarea', 'input', 'select', '[role=button]', '[tabindex]']
        .map(one => '.gradio-container ' + one).join())]
    .filter(one => one.offsetParent && one.type !== 'file' && one.type !== 'hidden')
    .filter(one => !(one.innerText?.trim() || one.ariaLabel || one.title || one.closest('label') || one.labels?.length
        || document.getElementById(one.getAttribute('aria-labelledby'))?.innerText.trim()))
    .map(one => one.outerHTML.slice(0, 200))"""


def test_every_control_has_a_name(page: Page, address: str) -> None:
    ask(page, address, "what is the capital?")
    examples = page.get_by_role("gridcell", name="Example: what is the capital?")
    expect(examples).to_have_count(2)
    expect(page.get_by_role("button", name="Remove passages", exact=True)).to_be_visible()
    open_part(page.get_by_role("button", name="Options"))
    expect(page.locator("#passages-k input").first).to_be_visible()
    assert page.evaluate(NAMELESS) == []
    for tab in page.get_by_role("tab").all_inner_texts():
        open_tab(page, tab)
        assert page.evaluate(NAMELESS) == [], tab


def test_hostile_passages_stay_text(page: Page, address: str, application: Application) -> None:
    page.goto(f"{address}/?k={len(PASSAGES)}")
    page.locator("#question textarea").fill("Bold & ${1+1} {{braces}}")
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#passages .passage").first).to_be_visible()
    assert page.locator("#passages script, #passages b").count() == 0
    expect(page.locator("#passages")).to_contain_text("<b onclick=x>Bold & ${1+1} {{braces}}</b>")


def test_an_example_fills_the_form(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("what is the capital?").first.click()
    expect(page.locator("#question textarea")).to_have_value("what is the capital?")
    expect(page.locator("#picture img")).to_be_visible()


def test_a_broken_picture_is_said_kindly(page: Page, address: str, broken_picture: Path) -> None:
    page.goto(address)
    with page.expect_response(lambda response: "/upload?" in response.url):
        page.locator("#picture input[type=file]").first.set_input_files(broken_picture)
    page.locator("#question textarea").fill("what is this?")
    expect(page.locator("#picture img")).to_have_attribute("src", re.compile("words.png"))
    page.locator("#ask").click()
    expect(page.locator("#answer [data-state=error]")).to_contain_text("not a picture that can be read")


def test_it_fits_a_phone(page: Page, address: str, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(address)
    expect(page.locator("#ask")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ask(page, address, "what is the capital?", save_picture(tmp_path / "red.png"))
    page.locator("#why-choice input[type=radio]").first.click()
    expect(page.locator("#why [data-sum]")).to_be_visible()
    open_part(page.get_by_role("button", name="Candidates"))
    expect(page.locator("#candidates table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
