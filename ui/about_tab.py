"""The tab that says what is loaded and how it works."""

from __future__ import annotations

from html import escape

import gradio as gr

from rag_app.assembly import Application

__all__ = ["add_about_tab"]

_HOW = """
<p>The question and the picture become a few dozen vectors. Every passage of the knowledge base has vectors of its own,
one a word. A passage scores well when each vector of the question finds a close one in it (PreFLMR, late interaction).
The best passages are read, each proposes an answer, and the answer with the best passage and the best reading wins.
When the evidence is weak the application says so rather than guess.</p>
"""


def add_about_tab(application: Application) -> None:
    """Adds the tab to the page under construction."""
    preset = application.preset
    facts = {
        "Knowledge base": f"{application.knowledge_base_title} ({application.n_passages:,} passages)",
        "Preset": preset.name,
        "Finds passages with": preset.retriever,
        "Reads them with": preset.generator,
        "Passages a question": str(application.pipeline.k),
        "Computes on": f"{application.placement.device}, {str(application.placement.dtype).removeprefix('torch.')}",
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    gr.HTML(f'<div class="card about">{_HOW}<dl>{rows}</dl></div>')
