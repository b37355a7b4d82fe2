"""Text that can be read: the contrast of everything that is written on the page, in light and in dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import open_part, open_tab
from tests.tiny import save_picture

pytestmark = pytest.mark.browser

# Relative luminance and contrast as WCAG 2.2 defines them; what is disabled is exempt there. Colours are read from a
# canvas, since styles give them in several notations.
FAINT = """() => {
    const pixel = Object.assign(document.createElement('canvas'), {width: 1, height: 1})
        .getContext('2d', {willReadFrequently: true}), known = {};
    const rgba = colour => known[colour] ??= (() => {
        pixel.clearRect(0, 0, 1, 1); pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    })();
    const over = ([r, g, b, a], below) => [r, g, b].map((one, at) => one * a + below[at] * (1 - a));
    const luminance = colour => colour.map(one => one / 255)
        .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = one => {
        const layers = [];
        for (let at = one; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
        return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const opacity = one => one ? getComputedStyle(one).opacity * opacity(one.parentElement) : 1;
    const judged = (one, style, text) => {
        const below = ground(one), [r, g, b, a] = rgba(one.closest('svg') ? style.fill : style.color);
        const [light, dark] = [luminance(over([r, g, b, a * opacity(one)], below)), luminance(below)]
            .sort((x, y) => y - x);
        const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
        return {text: text.trim().slice(0, 60), ratio: +((light + 0.05) / (dark + 0.05)).toFixed(2),
                least: large ? 3 : 4.5, where: one.outerHTML.slice(0, 160)};
    };
    const seen = one => one.checkVisibility({opacityProperty: true, visibilityProperty: true})
        && one.getBoundingClientRect().width > 1 && !one.closest(':disabled, [aria-disabled=true]');
    const all = [], walk = document.createTreeWalker(document.querySelector('.gradio-container'), NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const text = walk.currentNode.data, one = walk.currentNode.parentElement;
        if (text.trim() && !one.closest('style, script, textarea, option') && seen(one))
            all.push(judged(one, getComputedStyle(one), text));
    }
    for (const one of document.querySelectorAll('.gradio-container :is(input, textarea)')) {
        const text = one.value || one.placeholder, part = one.value ? null : '::placeholder';
        if (seen(one) && text && !['radio', 'checkbox', 'range', 'file'].includes(one.type))
            all.push(judged(one, getComputedStyle(one, part), text));
    }
    return {seen: all.length, faint: all.filter(one => one.ratio < one.least)};
}"""


def check_contrast(page: Page, *, least_seen: int) -> None:
    """Everything that is written can be read; so much is written at least."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # colours change gradually
    found: dict[str, Any] = page.evaluate(FAINT)
    assert found["seen"] >= least_seen
    assert not found["faint"], "\n".join(f"{one['ratio']} {one['text']!r} {one['where']}" for one in found["faint"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_answer_can_be_read(page: Page, address: str, theme: str, tmp_path: Path) -> None:
    page.goto(f"{address}/?__theme={theme}")
    expect(page.locator("#answer .waiting")).to_be_visible()
    check_contrast(page, least_seen=20)
    page.locator("#picture input[type=file]").first.set_input_files(save_picture(tmp_path / "red.png"))
    expect(page.locator("#picture img")).to_be_visible()
    page.locator("#question textarea").fill("what is the capital?")
    page.locator("#question textarea").press("Enter")
    page.locator("#why-choice input[type=radio]").first.click()
    expect(page.locator("#why [data-sum]")).to_be_visible()
    for name in ("Options", "Candidates", "Copy as JSON", "Copy as API call"):
        open_part(page.get_by_role("button", name=name))
    expect(page.locator("#candidates table")).to_be_visible()
    check_contrast(page, least_seen=80)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_other_tabs_can_be_read(page: Page, address: str, theme: str) -> None:
    page.goto(f"{address}/?__theme={theme}")
    for tab in ("Knowledge", "Evaluate", "About"):
        open_tab(page, tab)
        check_contrast(page, least_seen=15)


def test_contrast_is_measured(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#ask")).to_be_visible()
    shown = "".join(
        f"<p style='color: {colour}; background: #fff; font-size: {size}px'>{name}</p>"
        for name, colour, size in (("just", "#767676", 16), ("faint", "#777", 16), ("large", "#777", 24))
    )
    page.locator("h1").evaluate("(one, shown) => one.innerHTML = shown", shown)
    page.wait_for_timeout(500)
    faint = [one for one in page.evaluate(FAINT)["faint"] if one["text"] in ("just", "faint", "large")]
    assert [(one["text"], one["ratio"]) for one in faint] == [("faint", 4.48)]
