"""The tab where knowledge bases are looked at, made and changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.counting import number_of
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from rag_app.stores import SharedStore
from ui.asked import problem
from ui.knowledge_actions import Counts, Found, Shown, browse, check_there, names, show, stored
from ui.knowledge_api import add_reading_api, add_upkeep_api
from ui.knowledge_changing_api import add_import_api, add_passage_api
from ui.knowledge_editing import NO_PASSAGE, add_editor
from ui.knowledge_import import add_import
from ui.knowledge_upkeep import add_upkeep, facts_of
from ui.knowledge_view import refusal, rows_of
from ui.passage_form import Opened
from ui.queues import READING

__all__ = ["add_knowledge_tab", "found_line", "in_form"]

_READING: dict[str, Any] = {"api_visibility": "private", **READING}


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
    add_upkeep(application, in_use, counts, base, facts)
    with gr.Accordion("Passages", open=True, elem_id="kb-browse"):
        with gr.Row():
            words = gr.Textbox(
                "", label="Search by words", placeholder="Empty: all, in their order", elem_id="kb-words"
            )
            number = gr.Number(1, minimum=1, precision=0, label="Page", elem_id="kb-page")
            number.preprocess = _page_from_1  # type: ignore[method-assign]
        table = gr.Dataframe(
            headers=["id", "title", "text"],
            datatype=["str", "str", "str"],
            interactive=False,
            wrap=True,
            column_widths=["18%", "24%", "58%"],
            label="Passages; choose one to see it whole",
            elem_id="kb-passages",
        )
        editor = add_editor(application, in_use, base)

    def passages_of(name: str) -> SharedStore:
        used = in_use.passages(name)
        if used is None:
            check_there(name, var)
            return stored(name, var)
        return used

    def look(name: str) -> str:
        return facts_of(application, in_use, counts, name)

    def find(name: str, text: str, page_number: float | None) -> Any:  # noqa: ANN401 - a component's update
        number = int(page_number or 1)
        try:
            found = browse(passages_of(name), text, number)
        except InputError as error:
            return gr.Dataframe(value=[], label=problem(error, folders=[var]))
        what = found_line(found) if text.strip() else f"Page {number} of {found.pages}"
        return gr.Dataframe(value=rows_of(found.passages), label=f"{what}; choose one to see it whole")

    def choose(name: str, event: gr.SelectData) -> list[Any]:
        try:
            shown = show(passages_of(name), str(event.row_value[0]), Path(editor.picture.GRADIO_CACHE))
        except InputError as error:
            return [*NO_PASSAGE, refusal(error, var)]
        return [*in_form(name, shown), ""]

    def another() -> list[Any]:
        return [*NO_PASSAGE, "", 1]

    def listed() -> Any:  # noqa: ANN401 - a component's update
        return gr.Dropdown(names(var))

    searched = [base, words, number]
    # What changes the list here sets it itself. Passages come after it, so that nothing settles later than they do.
    page.load(listed, None, base, **_READING).then(find, searched, table, **_READING)
    gr.on([page.load, base.change, editor.changed.change], look, base, facts, **_READING)
    form = [*editor.fields, editor.opened]
    base.change(another, None, [*form, words, number], **_READING).then(find, searched, table, **_READING)
    gr.on([words.submit, number.submit, editor.changed.change], find, searched, table, **_READING)
    table.select(choose, base, [*form, editor.said], **_READING)
    add_reading_api(application, in_use)
    add_import(application, in_use, base, editor.changed)
    add_import_api(application, in_use)
    add_passage_api(application, in_use)
    add_upkeep_api(application, in_use)


def _page_from_1(payload: float | None) -> int:
    """What the page's field gives; gradio would lay an error over the table for a number below its minimum."""
    return max(1, int(payload or 1))


def found_line(found: Found) -> str:
    """How many passages a search gave; where it was cut, that there are more."""
    cut = "The first " if found.more else ""
    return f"{cut}{number_of(len(found.passages), 'passage')} with these words"


def in_form(base: str, shown: Shown) -> list[Any]:
    """Values of the form's fields, and what was opened, for a passage of a knowledge base."""
    passage = shown.passage
    picture = str(shown.picture) if shown.picture else None
    name = shown.picture.name if shown.picture else ""
    opened = Opened(base=base, passage_id=passage.passage_id, picture=name)
    return [passage.passage_id, passage.title, passage.text, passage.source, picture, opened]
