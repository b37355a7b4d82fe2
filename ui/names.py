"""Names, for people who hear the page, of what gradio leaves without one or calls by a number."""

from __future__ import annotations

import gradio as gr

__all__ = ["add_names"]

# Both come and go while the page is open: a chip with each knowledge base, examples with another page of them.
_NAMES = """() => {
    const name = () => {
        for (const cell of document.querySelectorAll('#ask-more td[role=gridcell]:has(img)')) {
            const row = cell.closest('tr'), told = `Example: ${row.innerText.trim() || 'a picture'}`;
            if (cell.ariaLabel !== told) cell.ariaLabel = told;
        }
        for (const cross of document.querySelectorAll('#ask-kb .token > [role=button]')) {
            const told = `Remove ${cross.parentElement.innerText.trim()}`;
            if (cross.ariaLabel !== told) cross.ariaLabel = cross.title = told;
        }
    };
    name();
    const seen = new MutationObserver(name), changes = {childList: true, characterData: true, subtree: true};
    for (const place of document.querySelectorAll('#ask-more, #ask-kb')) seen.observe(place, changes);
}"""


def add_names(page: gr.Blocks) -> None:
    """Names the pictures of the examples and the crosses of the chosen knowledge bases, for as long as a page is open.

    Args:
        page: the page under construction, with the tab where questions are asked.
    """
    page.load(None, None, None, js=_NAMES, api_visibility="private")
