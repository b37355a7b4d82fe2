"""One passage as a form: seen, changed, added, deleted; and a whole knowledge base exported or removed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from knowledge_bases.records import Passage
from rag_app import own_knowledge
from rag_app.assembly import Application
from rag_app.counting import number_of
from rag_app.errors import InputError
from rag_app.kb_use import KnowledgeInUse
from ui import passage_form
from ui.knowledge_actions import EXPORTS, export, followed, names
from ui.knowledge_view import note_card, refusal
from ui.passage_form import Opened
from ui.picture_input import picture_input
from ui.queues import CHANGING

__all__ = ["NO_PASSAGE", "Editor", "add_editor"]

_CHANGING: dict[str, Any] = {"api_visibility": "private", **CHANGING}
NO_PASSAGE: list[Any] = ["", "", "", "", None, None]
"""Values of the form's fields, and of what was opened, when no passage is chosen."""


@dataclass(frozen=True, kw_only=True)
class Editor:
    """The form.

    Attributes:
        fields: id, title, text, source and picture.
        opened: the passage that was read into them, an `Opened` or None.
        said: what was said last.
        picture: the picture's component.
        changed: counts the changes, so that others can follow them.
    """

    fields: list[gr.components.Component]
    opened: gr.State
    said: gr.HTML
    picture: gr.Image
    changed: gr.State


def add_editor(application: Application, in_use: KnowledgeInUse, base: gr.Dropdown) -> Editor:
    """Adds the form to the page under construction."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=7, min_width=300):
            passage_id = gr.Textbox("", label="Id", elem_id="kb-id")
            title = gr.Textbox("", label="Title", elem_id="kb-title")
            text = gr.Textbox("", label="Text", lines=5, elem_id="kb-text")
            source = gr.Textbox("", label="Source", elem_id="kb-source")
        with gr.Column(scale=4, min_width=220):
            picture = picture_input("kb-picture")
    editor = Editor(
        fields=[passage_id, title, text, source, picture],
        opened=gr.State(None),
        said=gr.HTML(elem_id="kb-edit-said"),
        picture=picture,
        changed=gr.State(0),
    )
    _add_passage_buttons(application, in_use, base, editor)
    _add_whole(application, in_use, base, editor)
    return editor


def _add_passage_buttons(application: Application, in_use: KnowledgeInUse, base: gr.Dropdown, editor: Editor) -> None:
    var = application.var
    with gr.Row():
        save = gr.Button("Save changes", elem_id="kb-save")
        add = gr.Button("Add as a new passage", elem_id="kb-add")
        delete = gr.Button("Delete this passage", elem_id="kb-delete")

    def save_it(
        name: str,
        key: str,
        title: str,
        text: str,
        source: str,
        shown: str | None,
        opened: Opened | None,
        count: int,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands it over
    ) -> list[Any]:
        try:
            found = passage_form.checked(opened, name, key)
            passage = Passage(passage_id=key, title=title, text=text, source=source)
            after = passage_form.save(var, found, passage, shown)
            followed(name, in_use, lambda share, told: progress(share, desc=told))
        except InputError as error:
            return [refusal(error, var), gr.skip(), gr.skip()]
        return [note_card(f"Saved {key}."), after, count + 1]

    def add_it(
        name: str,
        key: str,
        title: str,
        text: str,
        source: str,
        shown: str | None,
        opened: Opened | None,
        count: int,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        try:
            passage = Passage(passage_id=key, title=title, text=text, source=source)
            after = passage_form.add(var, name, passage, shown)
            followed(name, in_use, lambda share, told: progress(share, desc=told))
        except InputError as error:
            return [refusal(error, var), gr.skip(), gr.skip()]
        return [note_card(f"Added {key}."), after, count + 1]

    def delete_it(
        name: str,
        key: str,
        opened: Opened | None,
        count: int,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        try:
            holds = passage_form.delete(var, passage_form.checked(opened, name, key), in_use.names)
            followed(name, in_use, lambda share, told: progress(share, desc=told))
        except InputError as error:
            return [refusal(error, var), gr.skip(), *[gr.skip()] * len(NO_PASSAGE)]
        return [note_card(f"Deleted {key}; {number_of(holds, 'passage')} left."), count + 1, *NO_PASSAGE]

    said, opened, changed = editor.said, editor.opened, editor.changed
    given = [base, *editor.fields, opened, changed]
    save.click(save_it, given, [said, opened, changed], show_progress_on=said, **_CHANGING)
    add.click(add_it, given, [said, opened, changed], show_progress_on=said, **_CHANGING)
    delete.click(
        delete_it,
        [base, editor.fields[0], opened, changed],
        [said, changed, *editor.fields, opened],
        show_progress_on=said,
        **_CHANGING,
    )


def _add_whole(application: Application, in_use: KnowledgeInUse, base: gr.Dropdown, editor: Editor) -> None:
    var = application.var
    with gr.Accordion("Export or remove the whole", open=False, elem_id="kb-whole"):
        kind = gr.Radio(list(EXPORTS), value=EXPORTS[-1], label="Export as (pictures go into a zip only)")
        write = gr.Button("Export", elem_id="kb-export")
        file = gr.File(label="Exported", interactive=False, visible=False, elem_id="kb-exported")
        confirm = gr.Textbox("", label="To remove it, write its name here", elem_id="kb-confirm")
        remove = gr.Button("Remove the knowledge base", variant="stop", elem_id="kb-remove")

    def export_it(name: str, ending: str) -> list[Any]:
        try:
            return [gr.File(str(export(name, var, ending, Path(file.GRADIO_CACHE))), visible=True), ""]
        except InputError as error:
            return [gr.File(visible=False), refusal(error, var)]

    def remove_it(name: str, written: str, count: int) -> list[Any]:
        try:
            if written != name:
                raise InputError(f"write {name} into the field to remove it")
            if name in in_use.names:
                raise InputError("questions are answered from it; use another one first")
            own_knowledge.remove(name, var)
        except InputError as error:
            return [refusal(error, var), *[gr.skip()] * 3]
        left = names(var)
        other = next((one for one in in_use.names if one in left), left[0])
        return [note_card(f"Removed {name}."), count + 1, gr.Dropdown(left, value=other), ""]

    write.click(export_it, [base, kind], [file, editor.said], **_CHANGING)
    remove.click(
        remove_it,
        [base, confirm, editor.changed],
        [editor.said, editor.changed, base, confirm],
        **_CHANGING,
    )
