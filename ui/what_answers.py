"""What answers: the knowledge bases and the preset, chosen above the form, for all visitors of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from rag_app.preset_use import PresetChoice, PresetInUse
from ui.asked import problem
from ui.deep_links import knowledge_of
from ui.encoding import Encoding

__all__ = ["add_fixed_line", "add_what_answers", "cannot_run_list", "use_knowledge", "use_preset"]

Progress = Callable[[int, int], None]

_LOADING: dict[str, Any] = {  # apart from questions, which go on meanwhile
    "api_visibility": "private",
    "concurrency_id": "loading",
    "concurrency_limit": 1,
    "trigger_mode": "always_last",
}


def add_fixed_line(application: Application) -> None:
    """Says what answers, where visitors cannot choose."""
    preset, title = application.preset.name, application.knowledge_base_title
    gr.HTML(
        f'<div class="muted">Answers come from {escape(title)}, with the preset {escape(preset)}.</div>',
        elem_id="what-answers",
    )


def add_what_answers(page: gr.Blocks, tab: gr.Tab, application: Application) -> list[Dependency]:
    """Adds both choices to the page under construction.

    Args:
        page: the page.
        tab: that they stand on.
        application: what answers.

    Returns:
        The events after which something else answers.
    """
    in_use, preset_in_use = KnowledgeInUse(application), PresetInUse(application)
    choices = preset_in_use.choices()
    with gr.Row(elem_id="what-answers"):
        with gr.Column(scale=5, min_width=280):
            bases = gr.Dropdown(
                _bases(in_use),
                value=list(in_use.names),
                multiselect=True,
                label="Knowledge bases",
                elem_id="ask-kb",
            )
            said = gr.HTML(elem_id="ask-said", padding=False, min_height=24)
        with gr.Column(scale=6, min_width=280):
            preset = gr.Dropdown(_presets(choices), value=preset_in_use.name, label="Preset", elem_id="ask-preset")
            cannot = gr.HTML(cannot_run_list(choices), elem_id="ask-cannot", padding=False, min_height=24)

    def choose_bases(names: list[str], progress: gr.Progress = gr.Progress()) -> Iterator[list[Any]]:  # noqa: B008
        for note in use_knowledge(in_use, names, _told(progress)):
            yield [note, gr.skip()]
        same = set(names) == set(in_use.names)
        yield [gr.skip(), gr.skip() if same else gr.Dropdown(value=list(in_use.names))]

    def choose_preset(name: str, progress: gr.Progress = gr.Progress()) -> Iterator[list[Any]]:  # noqa: B008
        for note in use_preset(preset_in_use, name, _told(progress)):
            yield [note, gr.skip()]
        same = name == preset_in_use.name
        yield [gr.skip(), gr.skip() if same else gr.Dropdown(value=preset_in_use.name)]

    def refresh() -> list[Any]:
        choices = preset_in_use.choices()
        return [
            gr.Dropdown(_bases(in_use), value=list(in_use.names)),
            gr.Dropdown(_presets(choices), value=preset_in_use.name),
            cannot_run_list(choices),
        ]

    def open_link(request: gr.Request) -> list[Any]:
        values = [*refresh(), ""]
        wanted = knowledge_of(dict(request.query_params))
        unknown = [name for name in wanted if name not in {one.name for one in in_use.choices()}]
        if unknown:
            values[-1] = _said(f"The link names a knowledge base {unknown[0]!r} that is not here.", state="error")
        elif wanted:
            values[0] = gr.Dropdown(_bases(in_use), value=wanted)
        return values

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    tab.select(refresh, None, [bases, preset, cannot], **quiet)
    opened = page.load(open_link, None, [bases, preset, cannot, said], **quiet)
    return [
        opened.then(choose_bases, bases, [said, bases], show_progress_on=said, **_LOADING),
        bases.input(choose_bases, bases, [said, bases], show_progress_on=said, **_LOADING),
        preset.input(choose_preset, preset, [said, preset], show_progress_on=said, **_LOADING),
    ]


def use_knowledge(in_use: KnowledgeInUse, names: Sequence[str], progress: Progress) -> Iterator[str]:
    """Has questions answered from other knowledge bases; notes on it, as HTML."""
    if set(names) == set(in_use.names):
        return
    now = " and ".join(in_use.names)
    if not names:
        yield _said(f"Choose at least one. Questions are answered from {now}.", state="error")
        return
    yield _said(f"Opening {' and '.join(names)} … Until then questions are answered from {now}.", state="loading")
    try:
        indexed = in_use.use(*names, progress=progress)
        yield _said(f"Questions are answered from {' and '.join(names)} now: {indexed:,} passages.", state="done")
    except InputError as error:
        yield _said(f"{problem(error)} Questions are answered from {now}.", state="error")


def use_preset(in_use: PresetInUse, name: str, progress: Progress) -> Iterator[str]:
    """Has another preset answer questions; notes on it, as HTML."""
    now = in_use.name
    if name == now:
        return
    yield _said(f"Loading {name} … Until it is ready {now} answers.", state="loading")
    try:
        in_use.use(name, progress=progress)
        yield _said(f"{name} answers now.", state="done")
    except InputError as error:
        yield _said(f"{problem(error)} {now} answers.", state="error")


def cannot_run_list(choices: Sequence[PresetChoice]) -> str:
    """The presets that cannot run here, and why, as HTML to unfold; nothing where all can."""
    rows = [
        f"<dt>{escape(one.preset.name)}</dt><dd>{escape(one.preset.description)}: {escape(one.cannot)}</dd>"
        for one in choices
        if one.cannot
    ]
    if not rows:
        return ""
    head = "1 preset cannot run here" if len(rows) == 1 else f"{len(rows)} presets cannot run here"
    return f'<details class="muted"><summary>{head}</summary><dl class="about">{"".join(rows)}</dl></details>'


def _bases(in_use: KnowledgeInUse) -> list[tuple[str, str]]:
    return [(one.title, one.name) for one in in_use.choices()]


def _presets(choices: Sequence[PresetChoice]) -> list[tuple[str, str]]:
    """Those that can run, with what they download."""
    presets = [one.preset for one in choices if not one.cannot]
    downloads = [f" (downloads {one.download_gb:g} GB)" if one.download_gb else "" for one in presets]
    return [(f"{one.name}{more}", one.name) for one, more in zip(presets, downloads, strict=True)]


def _told(progress: gr.Progress) -> Progress:
    return Encoding(lambda share, said: progress(share, desc=said))


def _said(text: str, *, state: str) -> str:
    role = "alert" if state == "error" else "status"
    return f'<div class="muted said" data-state="{state}" role="{role}">{escape(text)}</div>'
