"""What answers: the knowledge bases and the preset, chosen above the form, for all visitors of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency

from rag_app.assembly import Application
from rag_app.counting import number_of
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from rag_app.preset_use import PresetChoice, PresetInUse
from ui.asked import Asked, problem
from ui.deep_links import knowledge_of
from ui.encoding import Encoding
from ui.queues import LOADING
from ui.stopping import Stopped, Stops

__all__ = [
    "WhatAnswers",
    "add_what_answers",
    "cannot_run_list",
    "followed",
    "linked",
    "unlike_shown",
    "use_knowledge",
    "use_preset",
]

Progress = Callable[[int, int], None]

_LOADING: dict[str, Any] = {  # apart from questions, which go on meanwhile
    **LOADING,
    "api_visibility": "private",
    "trigger_mode": "always_last",
}


@dataclass(frozen=True, kw_only=True)
class WhatAnswers:
    """Both choices on the page.

    Attributes:
        fields: the knowledge bases and the preset, as this page shows them.
        changes: events after which something else may answer.
        follow_after: has the fields follow, after an event, what somebody chose on another page.
    """

    fields: list[gr.components.Component]
    changes: list[Dependency]
    follow_after: Callable[[Dependency], object]


def add_what_answers(page: gr.Blocks, tab: gr.Tab, application: Application) -> WhatAnswers:
    """Adds both choices to the page under construction.

    Args:
        page: the page.
        tab: that they stand on.
        application: what answers.
    """
    in_use, preset_in_use, stops = KnowledgeInUse(application), PresetInUse(application), Stops()
    # What each page was told answers: where its field says something else, somebody is about to choose.
    told_bases, told_preset, proposed = gr.State(()), gr.State(""), gr.State([])
    # A field that is left says once more what was chosen: that came before a click on Cancel, which stops it as well.
    begun_bases, begun_preset = gr.State(0), gr.State(0)
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
            said = gr.HTML(elem_id="ask-said")
            confirm = gr.Button(visible=False, size="sm", elem_id="ask-confirm")
            cancel = gr.Button("Cancel", visible=False, size="sm", elem_id="ask-cancel")
        with gr.Column(scale=6, min_width=280):
            preset = gr.Dropdown(_presets(choices), value=preset_in_use.name, label="Preset", elem_id="ask-preset")
            cannot = gr.HTML(cannot_run_list(choices), elem_id="ask-cannot")

    def choose_bases(
        names: list[str],
        since: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands it over
    ) -> Iterator[list[Any]]:
        tell = stops.telling(str(request.session_hash), since, lambda share, text: progress(share, desc=text))
        for note in use_knowledge(in_use, names, Encoding(tell)):
            yield [note, gr.skip(), gr.skip(), _cancel_beside(note)]
        now = in_use.names
        yield [gr.skip(), gr.skip() if set(names) == set(now) else gr.update(value=list(now)), now, gr.skip()]

    def choose_preset(
        name: str,
        since: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands it over
    ) -> Iterator[list[Any]]:
        session = str(request.session_hash)
        tell = stops.telling(session, since, lambda share, text: progress(share, desc=text))
        for note in use_preset(preset_in_use, name, Encoding(tell), lambda: stops.check(session, since)):
            yield [note, gr.skip(), gr.skip(), _cancel_beside(note)]
        now = preset_in_use.name
        yield [gr.skip(), gr.skip() if name == now else gr.update(value=now), now, gr.skip()]

    def cleared(names: list[str] | None) -> list[Any]:
        if names:  # what is chosen comes with an event of its own
            return [gr.skip(), gr.skip()]
        (note,) = use_knowledge(in_use, [], lambda done, total: None)
        return [gr.update(value=list(in_use.names)), note]

    def follow(names: list[str], name: str, was_bases: tuple[str, ...], was_preset: str) -> list[Any]:
        return followed(in_use, preset_in_use, (names, name), (was_bases, was_preset))

    def open_link(request: gr.Request) -> list[Any]:
        choices, now = preset_in_use.choices(), in_use.names
        note, wanted = linked(in_use, knowledge_of(dict(request.query_params)))
        return [
            gr.update(choices=_bases(in_use), value=list(now)),
            gr.update(choices=_presets(choices), value=preset_in_use.name),
            cannot_run_list(choices),
            note or gr.skip(),
            now,
            preset_in_use.name,
            wanted,
            gr.Button(f"Answer from {' and '.join(wanted)}", visible=bool(wanted)),
        ]

    def take_link(wanted: list[str]) -> list[Any]:
        return [gr.update(value=wanted), gr.Button(visible=False)]

    def begin(request: gr.Request) -> int:
        return stops.begin(str(request.session_hash))

    def stop(request: gr.Request) -> gr.Button:
        stops.ask(str(request.session_hash))
        return gr.Button("Cancelling …", interactive=False)  # what is being loaded at this moment comes first

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    now_shown: list[Block] = [bases, preset, told_bases, told_preset]
    opened = page.load(
        open_link, None, [bases, preset, cannot, said, told_bases, told_preset, proposed, confirm], **quiet
    )
    chosen: list[Block] = [said, bases, told_bases, cancel]
    bases.change(cleared, bases, [bases, said], **quiet)  # the cross that empties the field is no input to gradio
    cancel.click(stop, None, cancel, **quiet)
    tab.select(follow, now_shown, [*now_shown, cannot, said], **quiet)
    taken = confirm.click(take_link, proposed, [bases, confirm], **quiet)
    wants = [one(begin, None, begun_bases, **quiet) for one in (taken.then, bases.input)]
    return WhatAnswers(
        fields=[bases, preset],
        changes=[
            opened,
            *(one.then(choose_bases, [bases, begun_bases], chosen, show_progress_on=said, **_LOADING) for one in wants),
            preset.input(begin, None, begun_preset, **quiet).then(
                choose_preset,
                [preset, begun_preset],
                [said, preset, told_preset, cancel],
                show_progress_on=said,
                **_LOADING,
            ),
        ],
        follow_after=lambda event: event.then(follow, now_shown, [*now_shown, cannot, said], **quiet),
    )


def _cancel_beside(note: str) -> gr.Button:
    return gr.Button("Cancel", visible='data-state="loading"' in note, interactive=True)


def followed(
    in_use: KnowledgeInUse,
    preset_in_use: PresetInUse,
    shown: tuple[Sequence[str], str],
    told: tuple[Sequence[str], str],
) -> list[Any]:
    """Both fields as they are to be, so that a page follows what was chosen elsewhere.

    Args:
        in_use: the knowledge bases that answer.
        preset_in_use: the preset that answers.
        shown: the knowledge bases and the preset in the fields; where these are not what the page was told, somebody
            is choosing just now, and they stay.
        told: what the page was told last.

    Returns:
        values of both fields, what the page is told now, the presets that cannot run, and a note.
    """
    notes: list[str] = []
    bases: Any = gr.update(choices=_bases(in_use))
    preset, cannot = gr.skip(), gr.skip()
    now_bases: Any = gr.skip()
    now_preset: Any = gr.skip()
    if set(shown[0]) == set(told[0]) != set(in_use.names):
        now_bases = in_use.names
        bases = gr.update(choices=_bases(in_use), value=list(now_bases))
        notes.append(f"Questions are answered from {' and '.join(now_bases)} now.")
    if shown[1] == told[1] != preset_in_use.name:
        now_preset = preset_in_use.name
        choices = preset_in_use.choices()
        preset, cannot = gr.update(choices=_presets(choices), value=now_preset), cannot_run_list(choices)
        notes.append(f"{now_preset} answers now.")
    note = _said(" ".join(notes), state="done") if notes else gr.skip()
    return [bases, preset, now_bases, now_preset, cannot, note]


def linked(in_use: KnowledgeInUse, wanted: Sequence[str]) -> tuple[str, list[str]]:
    """What to say of the knowledge bases that a link names, and those to propose. They answer everybody: a link alone
    does not change that."""
    unknown = [name for name in wanted if name not in {one.name for one in in_use.choices()}]
    if unknown:
        return _said(f"The link names a knowledge base {unknown[0]!r} that is not here.", state="error"), []
    if not wanted or set(wanted) == set(in_use.names):
        return "", []
    now = " and ".join(in_use.names)
    asks = f"The link asks for {' and '.join(wanted)}. Questions are answered from {now}, for all who see this page."
    return _said(asks, state="done"), list(wanted)


def unlike_shown(asked: Asked | None, names: Sequence[str], preset: str) -> str:
    """A line below an answer that names what answered, where that is not what the fields showed; else nothing.

    Args:
        asked: with the answer.
        names: of the knowledge bases that the page showed when it was asked.
        preset: likewise.
    """
    if asked is None:
        return ""
    lines = []
    if set(asked.knowledge_base.split(",")) != set(names):
        from_where = asked.knowledge_base.replace(",", " and ")
        lines.append(f"Answered from {from_where}; this page showed {' and '.join(names) or 'nothing'}.")
    if asked.preset != preset:
        lines.append(f"Answered by {asked.preset}; this page showed {preset}.")
    return _said(" ".join(lines), state="done") if lines else ""


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
        yield _said(
            f"Questions are answered from {' and '.join(names)} now: {number_of(indexed, 'passage')}.", state="done"
        )
    except Stopped:
        yield _said(f"Cancelled. Questions are answered from {now}.", state="done")
    except InputError as error:
        yield _said(f"{problem(error)} Questions are answered from {now}.", state="error")


def use_preset(
    in_use: PresetInUse, name: str, progress: Progress, check: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """Has another preset answer questions; notes on it, as HTML. What `check` raises between its models stops that."""
    now = in_use.name
    if name == now:
        return
    yield _said(f"Loading {name} … Until it is ready {now} answers.", state="loading")
    try:
        in_use.use(name, progress=progress, check=check)
        yield _said(f"{name} answers now.", state="done")
    except Stopped:
        yield _said(f"Cancelled. {now} answers.", state="done")
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
    head = f"{number_of(len(rows), 'preset')} cannot run here"
    return f'<details class="muted"><summary>{head}</summary><dl class="about">{"".join(rows)}</dl></details>'


def _bases(in_use: KnowledgeInUse) -> list[tuple[str, str]]:
    return [(one.title, one.name) for one in in_use.choices()]


def _presets(choices: Sequence[PresetChoice]) -> list[tuple[str, str]]:
    """Those that can run, with about what they download."""
    presets = [one.preset for one in choices if not one.cannot]
    downloads = [f" (downloads about {one.download_gb:g} GB)" if one.download_gb else "" for one in presets]
    return [(f"{one.name}{more}", one.name) for one, more in zip(presets, downloads, strict=True)]


def _said(text: str, *, state: str) -> str:
    role = "alert" if state == "error" else "status"
    return f'<div class="muted said" data-state="{state}" role="{role}">{escape(text)}</div>'
