"""The tab where knowledge bases are looked at, made and changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import named_knowledge
from rag_app.stores import SharedStore
from ui.asked import problem
from ui.knowledge_actions import MOST_FOUND, Counts, Shown, browse, names, show, state_of, stored
from ui.knowledge_api import add_reading_api, add_upkeep_api
from ui.knowledge_changing_api import add_import_api, add_passage_api
from ui.knowledge_editing import NO_PASSAGE, add_editor
from ui.knowledge_import import add_import
from ui.knowledge_view import facts_card, note_card, refusal, rows_of
from ui.passage_form import Opened

__all__ = ["add_knowledge_tab", "found_line", "in_form"]

_READING: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "reading", "concurrency_limit": 4}
_MODELS: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "models", "concurrency_limit": 1}


def add_knowledge_tab(page: gr.Blocks, application: Application) -> None:
    """Adds the tab to the page under construction. It shows and changes every knowledge base: not for strangers."""
    in_use, counts = KnowledgeInUse(application), Counts()
    var = application.var
    choices = names(var)
    chosen = next((name for name in in_use.names if name in choices), choices[0])
    base = gr.Dropdown(
        choices,
        value=chosen,
        label="Knowledge base",
        elem_id="kb-name",
        allow_custom_value=True,
    )
    facts = gr.HTML(elem_id="kb-facts")
    _add_upkeep(application, in_use, counts, base, facts)
    with gr.Accordion("Passages", open=True, elem_id="kb-browse"):
        with gr.Row():
            words = gr.Textbox(
                "", label="Search by words", placeholder="Empty: all, in their order", elem_id="kb-words"
            )
            number = gr.Number(1, minimum=1, precision=0, label="Page", elem_id="kb-page")
        table = gr.Dataframe(
            headers=["id", "title", "text"],
            datatype=["str", "str", "str"],
            interactive=False,
            wrap=True,
            label="Passages; choose one to see it whole",
            elem_id="kb-passages",
        )
        editor = add_editor(application, in_use, base)

    def passages_of(name: str) -> SharedStore:
        used = in_use.passages(name)
        return stored(name, var) if used is None else used

    def look(name: str) -> str:
        return _facts(application, in_use, counts, name)

    def find(name: str, text: str, page_number: float | None) -> Any:  # noqa: ANN401 - a component's update
        number = int(page_number or 1)
        try:
            found, pages = browse(passages_of(name), text, number)
        except InputError as error:
            return gr.Dataframe(value=[], label=problem(error))
        what = found_line(len(found)) if text.strip() else f"Page {number} of {pages}"
        return gr.Dataframe(value=rows_of(found), label=f"{what}; choose one to see it whole")

    def choose(name: str, event: gr.SelectData) -> list[Any]:
        try:
            shown = show(passages_of(name), str(event.row_value[0]), Path(editor.picture.GRADIO_CACHE))
        except InputError as error:
            return [*NO_PASSAGE, refusal(error)]
        return [*in_form(name, shown), ""]

    def another() -> list[Any]:
        return [*NO_PASSAGE, "", 1]

    def listed() -> Any:  # noqa: ANN401 - a component's update
        return gr.Dropdown(names(var))

    gr.on([page.load, editor.changed.change], listed, None, base, **_READING)
    gr.on([page.load, base.change, editor.changed.change], look, base, facts, **_READING)
    form = [*editor.fields, editor.opened]
    searched = [base, words, number]
    base.change(another, None, [*form, words, number], **_READING).then(find, searched, table, **_READING)
    gr.on([page.load, words.submit, number.submit, editor.changed.change], find, searched, table, **_READING)
    table.select(choose, base, [*form, editor.said], **_READING)
    add_reading_api(application, in_use)
    add_import(application, in_use, base, editor.changed)
    add_import_api(application, in_use)
    add_passage_api(application, in_use)
    add_upkeep_api(application, in_use)


def found_line(count: int) -> str:
    """How many passages a search gave; where it was cut, that there may be more."""
    cut = "The first " if count >= MOST_FOUND else ""
    return f"{cut}{count:,} passages with these words"


def in_form(base: str, shown: Shown) -> list[Any]:
    """Values of the form's fields, and what was opened, for a passage of a knowledge base."""
    passage = shown.passage
    picture = str(shown.picture) if shown.picture else None
    name = shown.picture.name if shown.picture else ""
    opened = Opened(base=base, passage_id=passage.passage_id, picture=name)
    return [passage.passage_id, passage.title, passage.text, passage.source, picture, opened]


def _add_upkeep(
    application: Application, in_use: KnowledgeInUse, counts: Counts, base: gr.Dropdown, facts: gr.HTML
) -> None:
    with gr.Row():
        use = gr.Button("Answer questions from it", variant="primary", elem_id="kb-use")
        sync = gr.Button("Bring its index up to date", elem_id="kb-sync")
        force = gr.Button("Build its index anew", elem_id="kb-rebuild")
        check = gr.Button("Check every page", elem_id="kb-verify")
    said = gr.HTML(elem_id="kb-said")

    def worked(name: str, progress: gr.Progress, how: str) -> str:
        def told(done: int, total: int) -> None:
            progress(done / max(1, total), desc=f"{done:,} of {total:,} passages encoded")

        try:
            if how == "use":
                indexed = in_use.use(name, progress=told)
                return note_card(f"Questions are answered from {name} now: {indexed:,} passages.")
            indexed = in_use.sync(name, force=how == "rebuild", progress=told)
            return note_card(f"The index of {name} is up to date: {indexed:,} passages.")
        except InputError as error:
            return refusal(error)

    def use_it(name: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008 - how gradio hands it over
        return worked(name, progress, "use")

    def sync_it(name: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return worked(name, progress, "sync")

    def rebuild_it(name: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return worked(name, progress, "rebuild")

    def look(name: str) -> str:
        return _facts(application, in_use, counts, name)

    def check_it(name: str) -> str:
        return _facts(application, in_use, counts, name, checked=True)

    for button, function in ((use, use_it), (sync, sync_it), (force, rebuild_it)):
        button.click(function, base, said, show_progress_on=said, **_MODELS).then(look, base, facts, **_READING)
    check.click(check_it, base, facts, **_READING)


def _facts(
    application: Application, in_use: KnowledgeInUse, counts: Counts, name: str, *, checked: bool = False
) -> str:
    try:
        var = application.var
        state = state_of(name, var, checked=True) if checked else counts.of(name, stored(name, var))
    except InputError as error:
        return note_card(problem(error))
    own = named_knowledge(name, application.var).own_store is not None
    return facts_card(state, in_use=name in in_use.names, own=own)
