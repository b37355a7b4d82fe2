"""One passage as a form: seen, changed, added, deleted; and a whole knowledge base exported or removed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from knowledge_bases.records import Passage
from rag_app import own_knowledge
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from ui.knowledge_actions import export
from ui.knowledge_view import note_card, refusal
from ui.picture_input import picture_input

__all__ = ["Editor", "add_editor"]

_CHANGING: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "knowledge", "concurrency_limit": 1}


@dataclass(frozen=True, kw_only=True)
class Editor:
    """The form.

    Attributes:
        fields: id, title, text, source, picture, and what was said last.
        picture: the picture's component.
        changed: counts the changes, so that others can follow them.
    """

    fields: list[gr.components.Component]
    picture: gr.Image
    changed: gr.State


def add_editor(application: Application, in_use: KnowledgeInUse, base: gr.Dropdown) -> Editor:
    """Adds the form to the page under construction."""
    changed = gr.State(0)
    with gr.Row(equal_height=False):
        with gr.Column(scale=7, min_width=300):
            passage_id = gr.Textbox("", label="Id", elem_id="kb-id")
            title = gr.Textbox("", label="Title", elem_id="kb-title")
            text = gr.Textbox("", label="Text", lines=5, elem_id="kb-text")
            source = gr.Textbox("", label="Source", elem_id="kb-source")
        with gr.Column(scale=4, min_width=220):
            picture = picture_input("kb-picture")
    said = gr.HTML(elem_id="kb-edit-said")
    fields: list[gr.components.Component] = [passage_id, title, text, source, picture]
    _add_buttons(application, in_use, base, fields, said, changed)
    return Editor(fields=[*fields, said], picture=picture, changed=changed)


def _add_buttons(
    application: Application,
    in_use: KnowledgeInUse,
    base: gr.Dropdown,
    fields: list[gr.components.Component],
    said: gr.HTML,
    changed: gr.State,
) -> None:
    var = application.var
    with gr.Row():
        save = gr.Button("Save changes", elem_id="kb-save")
        add = gr.Button("Add as a new passage", elem_id="kb-add")
        delete = gr.Button("Delete this passage", elem_id="kb-delete")
    with gr.Accordion("Export or remove the whole", open=False, elem_id="kb-whole"):
        kind = gr.Radio(["jsonl", "csv", "zip"], value="zip", label="Export as (pictures go into a zip only)")
        write = gr.Button("Export", elem_id="kb-export")
        file = gr.File(label="Exported", interactive=False, elem_id="kb-exported")
        confirm = gr.Textbox("", label="To remove it, write its name here", elem_id="kb-confirm")
        remove = gr.Button("Remove the knowledge base", variant="stop", elem_id="kb-remove")

    def done(sentence: str, name: str, count: int) -> list[Any]:
        in_use.follow(name)
        return [note_card(sentence), count + 1]

    def refused(error: InputError) -> list[Any]:
        return [refusal(error), gr.skip()]

    def save_it(name: str, key: str, heading: str, body: str, where: str, shown: str | None, count: int) -> list[Any]:
        try:
            path = Path(shown) if shown else None
            own_knowledge.edit_passage(
                name, var, key, title=heading, text=body, source=where, picture=path, remove_picture=path is None
            )
            return done(f"Saved {key}.", name, count)
        except InputError as error:
            return refused(error)

    def add_it(name: str, key: str, heading: str, body: str, where: str, shown: str | None, count: int) -> list[Any]:
        try:
            passage = Passage(passage_id=key, title=heading, text=body, source=where)
            own_knowledge.add_passage(name, var, passage, Path(shown) if shown else None)
            return done(f"Added {key}.", name, count)
        except InputError as error:
            return refused(error)

    def delete_it(name: str, key: str, count: int) -> list[Any]:
        try:
            if own_knowledge.count_passages(name, var) == 1 and name in in_use.names:
                raise InputError("this is the last passage of the knowledge base in use; use another one first")
            holds = own_knowledge.delete_passages(name, var, [key])
            return done(f"Deleted {key}; {holds:,} passages are left.", name, count)
        except InputError as error:
            return refused(error)

    def export_it(name: str, ending: str) -> list[Any]:
        try:
            return [str(export(name, var, ending, Path(file.GRADIO_CACHE))), ""]
        except InputError as error:
            return [None, refusal(error)]

    def remove_it(name: str, written: str, count: int) -> list[Any]:
        try:
            if written != name:
                raise InputError(f"write {name} into the field to remove it")
            if name in in_use.names:
                raise InputError("questions are answered from it; use another one first")
            own_knowledge.remove(name, var)
            return [note_card(f"Removed {name}."), count + 1]
        except InputError as error:
            return refused(error)

    given = [base, *fields, changed]
    save.click(save_it, given, [said, changed], **_CHANGING)
    add.click(add_it, given, [said, changed], **_CHANGING)
    delete.click(delete_it, [base, fields[0], changed], [said, changed], **_CHANGING)
    write.click(export_it, [base, kind], [file, said], **_CHANGING)
    remove.click(remove_it, [base, confirm, changed], [said, changed], **_CHANGING)
