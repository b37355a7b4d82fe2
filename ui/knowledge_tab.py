"""The tab where knowledge bases are looked at, made and changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from knowledge_bases.importing.items import Columns, ReadSettings
from knowledge_bases.importing.source import KINDS
from rag_app.assembly import Application
from rag_app.errors import InputError, one_line
from rag_app.importing import Known
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import named_knowledge
from rag_app.stores import SharedStore
from ui.knowledge_actions import (
    Counts,
    browse,
    copied,
    import_files,
    names,
    preview_files,
    read_settings,
    show,
    state_of,
    stored,
)
from ui.knowledge_api import add_changing_api, add_reading_api
from ui.knowledge_editing import add_editor
from ui.knowledge_view import facts_card, note_card, preview_card, report_card, rows_of
from ui.stopping import Stopped, Stops

__all__ = ["add_knowledge_tab"]

_READING: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "reading", "concurrency_limit": 4}
_CHANGING: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "knowledge", "concurrency_limit": 1}
_MODELS: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "models", "concurrency_limit": 1}
_KNOWN = {
    "list it as a bad row": Known.REPORT,
    "put the new one in its place": Known.REPLACE,
    "keep the old one": Known.SKIP,
}


def add_knowledge_tab(page: gr.Blocks, application: Application, *, read_only: bool = False) -> None:
    """Adds the tab to the page under construction.

    Args:
        page: the page.
        application: whose knowledge bases these are.
        read_only: shows the one in use and offers nothing that changes it; for pages that strangers can reach.
    """
    in_use, counts = KnowledgeInUse(application), Counts()
    var = application.var
    choices = list(in_use.names) if read_only else names(var)
    chosen = next((name for name in in_use.names if name in choices), choices[0])
    base = gr.Dropdown(
        choices,
        value=chosen,
        label="Knowledge base",
        elem_id="kb-name",
        allow_custom_value=True,
        interactive=not read_only,
    )
    facts = gr.HTML(elem_id="kb-facts")
    if not read_only:
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
        editor = add_editor(application, in_use, base, read_only=read_only)

    def passages_of(name: str) -> SharedStore:
        """Strangers see the one in use, whatever name they send."""
        used = in_use.passages(in_use.names[0] if read_only else name)
        if used is None and read_only:
            raise InputError("nothing is retrieved here")
        return stored(name, var) if used is None else used

    def look(name: str) -> str:
        if not read_only:
            return _facts(application, in_use, counts, name)
        try:
            return facts_card(counts.of(in_use.names[0], passages_of(name)), in_use=True, own=False)
        except InputError as error:
            return note_card(_sentence(error))

    def find(name: str, text: str, page_number: float | None) -> Any:  # noqa: ANN401 - a component's update
        number = int(page_number or 1)
        try:
            found, pages = browse(passages_of(name), text, number)
        except InputError as error:
            return gr.Dataframe(value=[], label=_sentence(error))
        what = f"{len(found):,} passages with these words" if text.strip() else f"Page {number} of {pages}"
        return gr.Dataframe(value=rows_of(found), label=f"{what}; choose one to see it whole")

    def choose(name: str, event: gr.SelectData) -> list[Any]:
        try:
            shown = show(passages_of(name), str(event.row_value[0]), Path(editor.picture.GRADIO_CACHE))
        except InputError as error:
            return [*[gr.skip()] * 5, note_card(_sentence(error), alert=True)]
        passage = shown.passage
        picture = str(shown.picture) if shown.picture else None
        return [passage.passage_id, passage.title, passage.text, passage.source, picture, ""]

    def listed() -> Any:  # noqa: ANN401 - a component's update
        return gr.Dropdown(names(var))

    if not read_only:
        gr.on([page.load, editor.changed.change], listed, None, base, **_READING)
    gr.on([page.load, base.change, editor.changed.change], look, base, facts, **_READING)
    gr.on(
        [page.load, base.change, words.submit, number.submit, editor.changed.change],
        find,
        [base, words, number],
        table,
        **_READING,
    )
    table.select(choose, base, editor.fields, **_READING)
    if not read_only:
        add_reading_api(application, in_use)
        _add_import(application, in_use, base, editor.changed)
        add_changing_api(application, in_use)


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
            return note_card(_sentence(error), alert=True)

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


def _add_import(application: Application, in_use: KnowledgeInUse, base: gr.Dropdown, changed: gr.State) -> None:
    stops = Stops()
    with gr.Accordion("Make or extend one from files", open=False, elem_id="kb-import"):
        gr.HTML('<div class="muted">To make a new one, write its name into the field at the top.</div>')
        files = gr.File(
            label="Files, or a zip of them with pictures",
            file_count="multiple",
            file_types=[*sorted({f".{kind.rpartition('.')[2]}" for kind in KINDS}), ".zip", "image"],
            elem_id="kb-files",
        )
        with gr.Row():
            text = gr.Textbox("", label="Text columns (commas between)", placeholder="by usual names")
            title = gr.Textbox("", label="Title column", placeholder="by usual names")
            id_column = gr.Textbox("", label="Id column", placeholder="by usual names")
            source = gr.Textbox("", label="Source column", placeholder="by usual names")
            picture = gr.Textbox("", label="Picture column", placeholder="by usual names")
        with gr.Row():
            split = gr.Checkbox(False, label="Split rows of tables too, and at this length")
            words = gr.Number(120, minimum=20, precision=0, label="Most words a passage")
            overlap = gr.Slider(0, 5, 1, step=1, label="Sentences repeated between two passages")
            encoding = gr.Textbox("utf-8", label="Encoding of text files")
        with gr.Row():
            known = gr.Radio(list(_KNOWN), value=next(iter(_KNOWN)), label="A passage whose id is there already")
            strict = gr.Checkbox(False, label="Take in nothing where a row is bad")
        with gr.Row():
            look = gr.Button("Preview", elem_id="kb-preview")
            start = gr.Button("Take in", variant="primary", elem_id="kb-take-in")
            stop = gr.Button("Cancel", elem_id="kb-cancel")
        shown = gr.HTML(elem_id="kb-import-shown", min_height=60)
        bad_rows = gr.File(label="Bad rows", interactive=False, visible=False, elem_id="kb-bad-rows")
    how = [text, title, id_column, source, picture, split, words, overlap, encoding]

    def preview(paths: list[str] | None, *form: Any) -> str:  # noqa: ANN401 - the form's values
        try:
            return preview_card(preview_files(paths or [], _settings(*form)))
        except InputError as error:
            return note_card(_sentence(error), alert=True)

    def take_in(
        name: str,
        paths: list[str] | None,
        text: str,
        title: str,
        id_column: str,
        source: str,
        picture: str,
        split: bool,
        words: float,
        overlap: float,
        encoding: str,
        on_known: str,
        strict: bool,
        count: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands it over
    ) -> list[Any]:
        session = str(request.session_hash)
        stops.clear(session)

        def tell(share: float, said: str) -> None:
            progress(share, desc=said)
            stops.check(session)

        nothing = [gr.skip(), gr.skip(), gr.skip()]
        try:
            settings = _settings(text, title, id_column, source, picture, split, words, overlap, encoding)
            report = import_files(
                name,
                application.var,
                paths or [],
                settings,
                known=_KNOWN[on_known],
                strict=strict,
                in_use=in_use,
                tell=tell,
            )
        except Stopped:
            return [note_card("Cancelled. The knowledge base is as it was."), *nothing]
        except InputError as error:
            return [note_card(_sentence(error), alert=True), *nothing]
        listed = str(copied(report.bad_rows, Path(bad_rows.GRADIO_CACHE))) if report.bad_rows else None
        bad = gr.File(value=listed, visible=listed is not None)
        return [report_card(report), bad, gr.Dropdown(names(application.var), value=name), count + 1]

    def cancel(request: gr.Request) -> None:
        stops.ask(str(request.session_hash))

    look.click(preview, [files, *how], shown, **_READING)
    start.click(
        take_in,
        [base, files, *how, known, strict, changed],
        [shown, bad_rows, base, changed],
        show_progress_on=shown,
        **_CHANGING,
    )
    stop.click(cancel, None, None, queue=False, api_visibility="private", show_progress="hidden")


def _settings(
    text: str,
    title: str,
    id_column: str,
    source: str,
    picture: str,
    split: bool,
    words: float,
    overlap: float,
    encoding: str,
) -> ReadSettings:
    columns = Columns(
        text=tuple(part.strip() for part in text.split(",") if part.strip()),
        title=title.strip(),
        passage_id=id_column.strip(),
        source=source.strip(),
        picture=picture.strip(),
    )
    return read_settings(columns, split=split, words=int(words or 0), overlap=int(overlap), encoding=encoding)


def _facts(
    application: Application, in_use: KnowledgeInUse, counts: Counts, name: str, *, checked: bool = False
) -> str:
    try:
        var = application.var
        state = state_of(name, var, checked=True) if checked else counts.of(name, stored(name, var))
    except InputError as error:
        return note_card(_sentence(error))
    own = named_knowledge(name, application.var).own_store is not None
    return facts_card(state, in_use=name in in_use.names, own=own)


def _sentence(error: InputError) -> str:
    message = one_line(error)
    return f"{message[:1].upper()}{message[1:]}."
