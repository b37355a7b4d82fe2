"""Links that fill in the form: `?q=...&k=...&instruction=...&kb=...`. Nothing is asked or changed until
the visitor says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from rag_app.questions import MAX_INSTRUCTION_CHARACTERS, MAX_QUESTION_CHARACTERS

__all__ = ["add_deep_links", "fields_of", "knowledge_of"]


def add_deep_links(page: gr.Blocks, *, question: gr.Textbox, k: gr.Slider, instruction: gr.Textbox) -> None:
    """Fills the fields from the page's address when it opens."""
    smallest, largest = int(k.minimum), int(k.maximum)

    def fill(request: gr.Request) -> list[Any]:
        text, number, told = fields_of(dict(request.query_params), smallest=smallest, largest=largest)
        return [gr.skip() if value is None else value for value in (text, number, told)]

    page.load(fill, None, [question, k, instruction], api_visibility="private", show_progress="hidden", queue=False)


def knowledge_of(parameters: Mapping[str, str]) -> list[str]:
    """The names of the knowledge bases that an address asks for, each once; none where it says nothing."""
    names = (name.strip() for name in parameters.get("kb", "").split(","))
    return list(dict.fromkeys(name for name in names if name))


def fields_of(
    parameters: Mapping[str, str], *, smallest: int, largest: int
) -> tuple[str | None, int | None, str | None]:
    """What an address says of the question, the number of passages and the instruction.

    Args:
        parameters: of the address.
        smallest: number of passages.
        largest: likewise.

    Returns:
        None for what is not given or makes no sense; texts that are too long are cut, since they are only proposed.
    """
    text, told, wanted = parameters.get("q"), parameters.get("instruction"), parameters.get("k", "")
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 else None
    return (
        text[:MAX_QUESTION_CHARACTERS] if text else None,
        number if number is not None and smallest <= number <= largest else None,
        told[:MAX_INSTRUCTION_CHARACTERS] if told else None,
    )
