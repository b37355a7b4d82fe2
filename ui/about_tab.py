"""The tab that says what is loaded and how it works."""

from __future__ import annotations

from html import escape

import gradio as gr

from rag_app.assembly import Application
from rag_app.config import Preset, load_preset, preset_names
from rag_app.counting import number_of
from rag_app.presets_command import cannot_run

__all__ = ["add_about_tab", "preset_table"]

_HOW = """
<p>The question and the picture become a few dozen vectors. Every passage of the knowledge base has vectors of its own,
one a word. A passage scores well when each vector of the question finds a close one in it (PreFLMR, late interaction).
The best passages are read, each proposes an answer, and the answer with the best passage and the best reading wins.
When the evidence is weak the application says so rather than guess.</p>
"""


def add_about_tab(page: gr.Blocks, application: Application) -> None:
    """Adds the tab to the page under construction. What it says is true when the page is opened."""

    def now() -> list[str]:
        return [_facts(application), preset_table(application.preset.name)]

    shown = [gr.HTML(text, elem_id=name) for text, name in zip(now(), ("facts", "presets"), strict=True)]
    page.load(now, None, shown, api_visibility="private", show_progress="hidden", queue=False)


def _facts(application: Application) -> str:
    preset = application.preset
    facts = {
        "Knowledge base": f"{application.knowledge_base_title} ({number_of(application.n_passages, 'passage')})",
        "Preset": preset.name,
        "Finds passages with": preset.retriever,
        "Reads them with": preset.generator,
        "Passages a question": str(application.pipeline.k),
        "Computes on": f"{application.placement.device}, {str(application.placement.dtype).removeprefix('torch.')}",
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f'<div class="card about">{_HOW}<dl>{rows}</dl></div>'


def preset_table(current: str) -> str:
    """Every preset, what it needs, and whether it can run here, as HTML.

    Args:
        current: name of the one that is running.
    """
    rows = "".join(_preset_row(load_preset(name), current) for name in preset_names())
    return (
        '<figure class="card"><figcaption>Presets. Another one is chosen at the top of Ask, where the page lets you, '
        "or with <code>python -m rag_app demo --preset NAME</code>.</figcaption>"
        '<div class="scroll"><table class="presets"><thead><tr><th>preset</th><th>what it is</th><th>downloads</th>'
        f"<th>here</th></tr></thead><tbody>{rows}</tbody></table></div></figure>"
    )


def _preset_row(preset: Preset, current: str) -> str:
    reason = cannot_run(preset)
    state = "runs now" if preset.name == current else f"cannot run: {reason}" if reason else "can run"
    download = f"about {preset.download_gb:g} GB" if preset.download_gb else "nothing"
    return (
        f"<tr{' class=muted' if reason else ''}><td>{escape(preset.name)}</td><td>{escape(preset.description)}</td>"
        f"<td>{download}</td><td>{escape(state)}</td></tr>"
    )
