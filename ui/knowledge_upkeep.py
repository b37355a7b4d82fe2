"""What is done with a knowledge base as a whole: asked, indexed, checked; and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.counting import number_of
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import named_knowledge
from ui.encoding import Encoding
from ui.knowledge_actions import Counts, check_there, state_of, stored
from ui.knowledge_view import facts_card, note_card, refusal
from ui.queues import LOADING, READING
from ui.stopping import Stopped, Stops, Tell

__all__ = ["add_upkeep", "facts_of", "worked"]

_READING: dict[str, Any] = {"api_visibility": "private", **READING}
_LOADING: dict[str, Any] = {"api_visibility": "private", **LOADING}
_USE, _SYNC, _REBUILD = "use", "sync", "rebuild"


def add_upkeep(
    application: Application, in_use: KnowledgeInUse, counts: Counts, base: gr.Dropdown, facts: gr.HTML
) -> None:
    """Adds the buttons to the page under construction. Questions are answered while they work."""
    stops, begun = Stops(), gr.State(0)
    with gr.Row(equal_height=True, elem_id="kb-upkeep"):
        use = gr.Button("Answer questions from it", variant="primary", elem_id="kb-use")
        sync = gr.Button("Update its index", elem_id="kb-sync")
        force = gr.Button("Rebuild its index", elem_id="kb-rebuild")
        check = gr.Button("Check every page", elem_id="kb-verify")
        stop = gr.Button("Cancel", elem_id="kb-stop")
    said = gr.HTML(elem_id="kb-said")

    def work(name: str, how: str, since: int, request: gr.Request, progress: gr.Progress) -> str:
        tell = stops.telling(str(request.session_hash), since, lambda share, text: progress(share, desc=text))
        return worked(in_use, application.var, name, how, tell)

    def use_it(name: str, since: int, request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return work(name, _USE, since, request, progress)

    def sync_it(name: str, since: int, request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return work(name, _SYNC, since, request, progress)

    def rebuild_it(name: str, since: int, request: gr.Request, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return work(name, _REBUILD, since, request, progress)

    def begin(request: gr.Request) -> int:
        return stops.begin(str(request.session_hash))

    def cancel(request: gr.Request) -> None:
        stops.ask(str(request.session_hash))

    def look(name: str) -> str:
        return facts_of(application, in_use, counts, name)

    def check_it(name: str) -> str:
        return facts_of(application, in_use, counts, name, checked=True)

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    for button, function in ((use, use_it), (sync, sync_it), (force, rebuild_it)):
        started = button.click(begin, None, begun, **quiet)
        done = started.then(function, [base, begun], said, show_progress_on=said, **_LOADING)
        done.then(look, base, facts, **_READING)
    stop.click(cancel, None, None, **quiet)
    check.click(check_it, base, facts, **_READING)


def worked(in_use: KnowledgeInUse, var: Path, name: str, how: str, tell: Tell) -> str:
    """Has a knowledge base asked, or its index made; says so, or why not, as HTML.

    Args:
        in_use: what is asked.
        var: folder of derived data.
        name: of the knowledge base.
        how: `use`, `sync` or `rebuild`.
        tell: told how far it is; what it raises stops it.
    """
    try:
        tell(0.0, f"opening {name}")
        if name not in {one.name for one in in_use.choices()}:
            check_there(name, var)
        if how == _USE:
            indexed = in_use.use(name, progress=Encoding(tell))
            return note_card(f"Questions are answered from {name} now: {number_of(indexed, 'passage')}.")
        indexed = in_use.sync(name, force=how == _REBUILD, progress=Encoding(tell))
        return note_card(f"The index of {name} is up to date: {number_of(indexed, 'passage')}.")
    except Stopped:
        now = " and ".join(in_use.names)
        return note_card(
            f"Cancelled. Questions are answered from {now}, as before. What was encoded is kept; the rest follows when "
            "the index is updated."
        )
    except InputError as error:
        return refusal(error, var)


def facts_of(
    application: Application, in_use: KnowledgeInUse, counts: Counts, name: str, *, checked: bool = False
) -> str:
    """What a knowledge base holds, as HTML; `checked` also reads every page of it and of its indexes."""
    var = application.var
    try:
        check_there(name, var)
        state = state_of(name, var, checked=True) if checked else counts.of(name, stored(name, var))
    except InputError as error:
        return refusal(error, var)
    own = named_knowledge(name, application.var).own_store is not None
    return facts_card(state, in_use=name in in_use.names, own=own)
