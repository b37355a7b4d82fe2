"""The form that makes or extends a knowledge base from files or a data set of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from knowledge_bases.importing.items import Columns, ReadSettings
from knowledge_bases.importing.source import KINDS
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.importing import BadRowsError, Known
from rag_app.kb_use import KnowledgeInUse
from ui.import_actions import import_files, preview_files, read_settings
from ui.knowledge_actions import handed_out, names
from ui.knowledge_view import note_card, preview_card, refusal, report_card
from ui.queues import CHANGING, READING
from ui.stopping import Stopped, Stops

__all__ = ["ROLES", "add_import", "settings_from"]

_READING: dict[str, Any] = {"api_visibility": "private", **READING}
_CHANGING: dict[str, Any] = {"api_visibility": "private", **CHANGING}
ROLES = {
    "text": "Text columns",
    "title": "Title column",
    "passage_id": "Id column",
    "source": "Source column",
    "picture": "Picture column",
}
_KNOWN = {
    "list it as a bad row": Known.REPORT,
    "put the new one in its place": Known.REPLACE,
    "keep the old one": Known.SKIP,
}


def add_import(application: Application, in_use: KnowledgeInUse, base: gr.Dropdown, changed: gr.State) -> None:
    """Adds the form to the page under construction.

    Args:
        application: whose knowledge bases these are.
        in_use: follows the changes.
        base: names the knowledge base that files are taken into, where no new one is named.
        changed: counts the changes.
    """
    stops, begun = Stops(), gr.State(0)
    with gr.Accordion("Make or extend one from files or a data set", open=False, elem_id="kb-import"):
        new = gr.Textbox(
            "",
            label="Name of a new one",
            info="Empty: into the knowledge base that is chosen at the top",
            max_length=100,
            elem_id="kb-new-name",
        )
        files = gr.File(
            label="Files, or a zip of a folder",
            file_count="multiple",
            height=180,
            file_types=[*sorted({f".{kind.rpartition('.')[2]}" for kind in KINDS}), ".zip", "image"],
            elem_id="kb-files",
        )
        data_set = gr.Textbox(
            "",
            label="Or a data set of the Hugging Face hub",
            placeholder="hf:user/name[:config]/split",
            info="It is fetched from there, and nothing of it is kept but its passages",
            max_length=300,
            elem_id="kb-data-set",
        )
        how = _add_how()
        known = gr.Radio(list(_KNOWN), value=next(iter(_KNOWN)), label="A passage whose id is there already")
        strict = gr.Checkbox(False, label="Take in nothing where a row is bad")
        with gr.Row():
            look = gr.Button("Preview", elem_id="kb-preview")
            start = gr.Button("Take in", variant="primary", elem_id="kb-take-in")
            stop = gr.Button("Cancel", elem_id="kb-cancel")
        shown = gr.HTML(elem_id="kb-import-shown")
        bad_rows = gr.File(label="Bad rows", interactive=False, visible=False, elem_id="kb-bad-rows")

    def settings_of(values: tuple[Any, ...]) -> ReadSettings:
        return settings_from(dict(zip(how, values, strict=True)))

    def preview(paths: list[str] | None, named: str, *values: Any) -> list[Any]:  # noqa: ANN401 - of the fields `how`
        try:
            seen, repeated = preview_files(paths or [], settings_of(values), data_set=named)
        except InputError as error:
            return [refusal(error, application.var), *[gr.skip()] * len(ROLES)]
        return [preview_card(seen, repeated), *[gr.update(choices=list(seen.columns))] * len(ROLES)]

    def take_in(
        chosen: str,
        new_name: str,
        paths: list[str] | None,
        named: str,
        on_known: str,
        strict: bool,
        count: int,
        since: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands it over
        *values: Any,  # noqa: ANN401 - of the fields `how`
    ) -> list[Any]:
        tell = stops.telling(str(request.session_hash), since, lambda share, said: progress(share, desc=said))
        name, nothing = new_name.strip() or chosen, [gr.File(value=None, visible=False), *[gr.skip()] * 3]

        def listed(rows: Path | None) -> gr.File:
            path = handed_out(rows, name, application.var, Path(bad_rows.GRADIO_CACHE)) if rows else None
            return gr.File(value=str(path) if path else None, visible=path is not None)

        try:
            tell(0.0, "asking the hub" if named else "opening the files")
            report, indexed = import_files(
                name,
                application.var,
                paths or [],
                settings_of(values),
                known=_KNOWN[on_known],
                strict=strict,
                in_use=in_use,
                tell=tell,
                data_set=named,
            )
        except Stopped:
            return [note_card("Cancelled. The knowledge base is as it was."), *nothing]
        except BadRowsError as error:
            return [refusal(error, application.var), listed(error.bad_rows), *nothing[1:]]
        except InputError as error:
            return [refusal(error, application.var), *nothing]
        base_now = gr.Dropdown(names(application.var), value=name)
        return [report_card(report, indexed=indexed), listed(report.bad_rows), base_now, "", count + 1]

    def begin(request: gr.Request) -> int:
        return stops.begin(str(request.session_hash))

    def cancel(request: gr.Request) -> None:
        stops.ask(str(request.session_hash))

    look.click(preview, [files, data_set, *how.values()], [shown, *(how[role] for role in ROLES)], **_READING)
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    start.click(begin, None, begun, **quiet).then(
        take_in,
        [base, new, files, data_set, known, strict, changed, begun, *how.values()],
        [shown, bad_rows, base, new, changed],
        show_progress_on=shown,
        **_CHANGING,
    )
    stop.click(cancel, None, None, **quiet)


def _add_how() -> dict[str, Component]:
    """The fields that say how files are read; `settings_from` reads what is in them. A preview fills in the columns."""
    with gr.Row():
        fields: dict[str, Component] = {
            role: gr.Dropdown(
                [],
                value=[] if role == "text" else "",
                multiselect=role == "text",
                allow_custom_value=True,
                label=label,
                info="By usual names, where nothing is chosen",
                elem_id=f"kb-column-{role}",
            )
            for role, label in ROLES.items()
        }
    split = gr.Checkbox(False, label="Split rows of tables too, and at this length")
    with gr.Row():
        return fields | {
            "split": split,
            "words": gr.Number(120, minimum=20, precision=0, label="Most words a passage"),
            "overlap": gr.Slider(0, 5, 1, step=1, label="Sentences repeated"),
            "encoding": gr.Textbox("utf-8", label="Encoding of text files"),
        }


def settings_from(given: Mapping[str, Any]) -> ReadSettings:
    """How files are read, from the values of the form's fields.

    Raises:
        InputError: a number or the encoding makes no sense.
    """
    columns = Columns(
        text=tuple(part.strip() for part in given["text"] or () if part.strip()),
        **{role: (given[role] or "").strip() for role in ROLES if role != "text"},
    )
    return read_settings(
        columns,
        split=given["split"],
        words=int(given["words"] or 0),
        overlap=int(given["overlap"]),
        encoding=given["encoding"],
    )
