"""What answers, as a line: for pages where visitors cannot choose it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import gradio as gr

from rag_app.assembly import Application
from ui.deep_links import knowledge_of

__all__ = ["add_fixed_line", "fixed_line"]

_MOST_TOLD = 100  # characters of what a link names


def add_fixed_line(page: gr.Blocks, application: Application) -> None:
    """Says what answers, where visitors cannot choose, and that a link cannot either."""

    def opened(request: gr.Request) -> str:
        return fixed_line(application, knowledge_of(dict(request.query_params)))

    line = gr.HTML(fixed_line(application), elem_id="what-answers")
    page.load(opened, None, line, api_visibility="private", show_progress="hidden", queue=False)


def fixed_line(application: Application, wanted: Sequence[str] = ()) -> str:
    """What answers, as HTML; where a link names other knowledge bases, that they are not asked here."""
    preset, title = application.preset.name, application.knowledge_base_title
    line = f"Answers come from {title}, with the preset {preset}."
    if wanted and set(wanted) != {one.name for one in application.knowledge}:
        line += f" The link asks for {', '.join(wanted)[:_MOST_TOLD]}: that cannot be chosen on this page."
    return f'<div class="muted">{escape(line)}</div>'
