"""What stands level, and what fits, in a wide window and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect

from tests.chromium import open_part, open_tab
from tests.tiny import save_picture

pytestmark = pytest.mark.browser


def box(place: Locator) -> FloatRect:
    found = place.bounding_box()
    assert found is not None
    return found


def ask(page: Page, address: str, folder: Path) -> None:
    page.goto(address)
    page.locator("#picture input[type=file]").first.set_input_files(save_picture(folder / "red.png"))
    expect(page.locator("#picture img")).to_be_visible()
    page.locator("#question textarea").fill("what is the capital?")
    page.locator("#question textarea").press("Enter")
    expect(page.locator("#correct")).to_be_enabled()


def test_the_answer_stands_below_what_answers(page: Page, address: str, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    ask(page, address, tmp_path)
    bases, preset = box(page.locator("#ask-kb")), box(page.locator("#ask-preset"))
    assert (preset["y"], preset["height"]) == pytest.approx((bases["y"], bases["height"]), abs=1)
    for place in ("#answer .card", "#passages .passage >> nth=0"):
        shown = box(page.locator(place))
        assert (shown["x"], shown["width"]) == pytest.approx((preset["x"], preset["width"]), abs=1), place
    assert box(page.locator("#correct"))["x"] == pytest.approx(preset["x"], abs=1)


def test_buttons_below_the_answer_are_in_line_on_a_phone(page: Page, address: str, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    ask(page, address, tmp_path)
    rows: dict[float, list[FloatRect]] = {}
    for button in page.locator("#below-answer button").all():
        rows.setdefault(box(button)["y"], []).append(box(button))
    left = box(page.locator("#answer .card"))["x"]
    assert len(rows) > 1  # they do not fit into one
    assert [min(one["x"] for one in row) for row in rows.values()] == pytest.approx([left] * len(rows), abs=1)
    assert len({one["height"] for row in rows.values() for one in row}) == 1


@pytest.mark.parametrize("width", [1180, 1280])
def test_the_knowledge_tab_is_level_and_shows_whole_texts(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    open_part(page.get_by_role("tab", name="Knowledge"))
    expect(page.locator("#kb-passages")).to_contain_text("Page 1 of")
    buttons = [box(button) for button in page.locator("#kb-upkeep button").all()]
    assert len(buttons) == 5
    assert len({(one["y"], one["height"]) for one in buttons}) == 1
    table = page.locator("#kb-passages .virtual-table-viewport")
    assert table.evaluate("one => one.scrollWidth - one.clientWidth") <= 1
    words, table_box = box(page.locator("#kb-words textarea, #kb-words input").first), box(table)
    assert words["x"] == pytest.approx(table_box["x"], abs=2)


def test_on_a_phone_the_table_scrolls_and_nothing_else(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    for tab in ("Evaluate", "Knowledge", "About"):
        open_tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
    open_part(page.get_by_role("tab", name="Knowledge"))
    cells = page.locator("#kb-passages .virtual-row >> nth=0").locator("[data-col]")
    heads = page.locator("#kb-passages [data-heading]")
    for column in range(3):
        cell, head = box(cells.nth(column)), box(heads.nth(column))
        assert (head["x"], head["width"]) == pytest.approx((cell["x"], cell["width"]), abs=1)
        assert cell["width"] >= 100
    about = page.locator("#presets .scroll")
    open_part(page.get_by_role("tab", name="About"))
    assert about.evaluate("one => one.scrollWidth - one.clientWidth") <= 1
