"""Passages over HTTP, taken in, added, changed and deleted: the same as `python -m rag_app kb`, in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from knowledge_bases.importing.items import Columns, Entry, ReadSettings
from knowledge_bases.records import Passage
from rag_app import own_knowledge
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.importing import Known
from rag_app.kb_use import KnowledgeInUse
from ui.api import Json, add_endpoint, kindly, texts
from ui.import_actions import import_files, preview_files, read_settings
from ui.queues import CHANGING, READING

__all__ = ["add_import_api", "add_passage_api"]

_ENCODING = ReadSettings.encoding  # of text files, unless another is given


def add_import_api(application: Application, in_use: KnowledgeInUse) -> None:
    """Adds `kb_preview` and `kb_import`."""
    var = application.var

    def kb_preview(
        files: list[str] | None = None,
        text: Sequence[str] = (),
        title: str = "",
        passage_id: str = "",
        words: int = 0,
        overlap: int = 1,
        source: str = "",
        picture: str = "",
        encoding: str = _ENCODING,
        data_set: str = "",
    ) -> Json:
        """Shows what files, or a data set of the hub, hold, without taking anything in.

        Args:
            files: CSV, JSON Lines, parquet, text, Markdown, HTML, PDF or zip files; nothing where a data set is named.
            text: names of the columns with the text; none looks for usual names.
            title: name of the column with the title; empty likewise.
            passage_id: name of the column with the id; empty likewise.
            words: most words a passage; 0 splits documents at 120 and leaves rows of tables whole.
            overlap: sentences repeated where a text is split.
            source: name of the column that says where a passage is from; empty likewise.
            picture: name of the column with the pictures' file names; empty likewise.
            encoding: of text files, as Python names it.
            data_set: one of the Hugging Face hub in place of files, as hf:user/name[:config]/split.

        Returns:
            files, columns, passages (the first ones), bad (the first bad rows, and files not read), problem, and
            repeated_ids (ids that come more than once among the first passages).
        """
        with kindly(folder=var):
            columns = Columns(
                text=tuple(text or ()), title=title, passage_id=passage_id, source=source, picture=picture
            )
            seen, repeated = preview_files(files or [], _read(columns, words, overlap, encoding), data_set=data_set)
            return {
                "files": list(seen.files),
                "columns": list(seen.columns),
                "passages": [_entry(one) for one in seen.entries],
                "bad": [str(one) for one in (*seen.bad, *seen.left_out)],
                "problem": seen.problem,
                "repeated_ids": list(repeated),
            }

    def kb_import(
        name: str,
        files: list[str] | None = None,
        text: Sequence[str] = (),
        title: str = "",
        passage_id: str = "",
        words: int = 0,
        overlap: int = 1,
        known: str = Known.REPORT.value,
        strict: bool = False,
        source: str = "",
        picture: str = "",
        encoding: str = _ENCODING,
        data_set: str = "",
    ) -> Json:
        """Takes files, or a data set of the hub, into a knowledge base of your own, which is made if it is not there.

        Args:
            name: of the knowledge base; small letters, digits, _ and -.
            files: as for kb_preview.
            text: as for kb_preview.
            title: as for kb_preview.
            passage_id: as for kb_preview.
            words: as for kb_preview.
            overlap: as for kb_preview.
            known: what happens with an id that is there: report, replace or skip.
            strict: take in nothing where a row is bad.
            source: as for kb_preview.
            picture: as for kb_preview.
            encoding: as for kb_preview.
            data_set: as for kb_preview.

        Returns:
            added, replaced, skipped, bad, holds, and first_bad; kb_bad_rows gives all of them, also after a refusal.
        """
        with kindly(folder=var):
            if known not in {one.value for one in Known}:
                raise InputError(f"known is {known!r}; give report, replace or skip")
            columns = Columns(
                text=tuple(text or ()), title=title, passage_id=passage_id, source=source, picture=picture
            )
            report, _ = import_files(
                name,
                var,
                files or [],
                _read(columns, words, overlap, encoding),
                known=Known(known),
                strict=strict,
                in_use=in_use,
                tell=lambda share, said: None,
                data_set=data_set,
            )
            counts = {key: getattr(report, key) for key in ("added", "replaced", "skipped", "bad", "holds")}
            return {**counts, "first_bad": [str(one) for one in report.first_bad]}

    files = gr.File(file_count="multiple", label="Files", visible=False)
    text = gr.Dropdown([], value=[], multiselect=True, allow_custom_value=True, label="Text columns", visible=False)
    words = gr.Number(0, precision=0, label="Words", visible=False)
    overlap = gr.Number(1, precision=0, label="Overlap", visible=False)
    how = [files, text, *texts("Title", "Passage id"), words, overlap]
    more = [*texts("Source", "Picture"), gr.Textbox(_ENCODING, label="Encoding", visible=False), *texts("Data set")]
    add_endpoint("kb_preview", kb_preview, [*how, *more], queue=READING)
    known = gr.Textbox("report", label="Known", visible=False)
    strict = gr.Checkbox(False, label="Strict", visible=False)
    add_endpoint("kb_import", kb_import, [*texts("Name"), *how, known, strict, *more], queue=CHANGING)


def add_passage_api(application: Application, in_use: KnowledgeInUse) -> None:
    """Adds `kb_add`, `kb_edit` and `kb_delete`."""
    var = application.var

    def kb_add(name: str, passage_id: str, title: str, text: str, source: str, picture: str | None = None) -> Json:
        """Adds one passage to a knowledge base of your own, which is made if it is not there.

        Args:
            name: of the knowledge base.
            passage_id: must be new.
            title: what it is about.
            text: what it says.
            source: where it is from.
            picture: a picture to keep with it, or nothing.

        Returns:
            added: its id.
        """
        with kindly(picture, folder=var):
            passage = Passage(passage_id=passage_id, title=title, text=text, source=source)
            own_knowledge.add_passage(name, var, passage, Path(picture) if picture else None)
            in_use.follow(name)
            return {"added": passage_id}

    def kb_edit(name: str, passage_id: str, title: str, text: str, source: str, picture: str | None = None) -> Json:
        """Changes one passage; what is empty stays as it is.

        Args:
            name: of the knowledge base.
            passage_id: of the passage.
            title: its new title.
            text: its new text.
            source: its new source.
            picture: its new picture.

        Returns:
            passage_id, title, text and source as they are now.
        """
        with kindly(picture, folder=var):
            path = Path(picture) if picture else None
            after = own_knowledge.edit_passage(
                name, var, passage_id, title=title or None, text=text or None, source=source or None, picture=path
            )
            in_use.follow(name)
            return vars(after)

    def kb_delete(name: str, passage_ids: list[str]) -> Json:
        """Deletes passages, all or none.

        Args:
            name: of the knowledge base.
            passage_ids: of the passages.

        Returns:
            holds: passages that are left.
        """
        with kindly(folder=var):
            if name in in_use.names and own_knowledge.count_passages(name, var) <= len(set(passage_ids)):
                raise InputError("nothing would be left of the knowledge base in use; use another one first")
            holds = own_knowledge.delete_passages(name, var, passage_ids)
            in_use.follow(name)
            return {"holds": holds}

    picture = gr.File(label="Picture", visible=False)
    fields = [*texts("Name", "Passage id", "Title", "Text", "Source"), picture]
    add_endpoint("kb_add", kb_add, fields, queue=CHANGING)
    add_endpoint("kb_edit", kb_edit, fields, queue=CHANGING)
    ids = gr.Dropdown([], value=[], multiselect=True, allow_custom_value=True, label="Passage ids", visible=False)
    add_endpoint("kb_delete", kb_delete, [*texts("Name"), ids], queue=CHANGING)


def _read(columns: Columns, words: int, overlap: int, encoding: str) -> ReadSettings:
    return read_settings(columns, split=words > 0, words=int(words), overlap=int(overlap), encoding=encoding)


def _entry(entry: Entry) -> Json:
    return {**vars(entry.passage), "file": entry.file, "line": entry.line, "has_picture": entry.picture is not None}
