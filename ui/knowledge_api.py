"""Knowledge bases over HTTP, looked at and kept up: the same as `python -m rag_app kb`, in JSON."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from rag_app import own_knowledge
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.kb_commands import as_json
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import list_knowledge, split_names
from ui.api import Json, add_endpoint, kindly, texts
from ui.knowledge_actions import EXPORTS, bad_rows_of, browse, export, show, state_of, stored
from ui.queues import CHANGING, LOADING, READING

__all__ = ["add_reading_api", "add_upkeep_api"]


def add_reading_api(application: Application, in_use: KnowledgeInUse) -> None:
    """Adds the endpoints that change nothing: `kb_list`, `kb_info`, `kb_search`, `kb_show`, `kb_export`,
    `kb_bad_rows`."""
    var = application.var

    def kb_list() -> Json:
        """Names every knowledge base.

        Returns:
            knowledge_bases, each with name, title, description and whether it can be changed; and in_use, names.
        """
        found = [
            {"name": one.name, "title": one.title, "description": one.description, "own": one.own_store is not None}
            for one in list_knowledge(var)
        ]
        return {"knowledge_bases": found, "in_use": list(in_use.names)}

    def kb_info(name: str) -> Json:
        """Counts a knowledge base.

        Args:
            name: of the knowledge base.

        Returns:
            passages, words, shortest, longest, pictures, disk_bytes, memory_bytes and content_hash.
        """
        with kindly(folder=var):
            return as_json(state_of(name, var))

    def kb_search(name: str, words: str, page: int) -> Json:
        """Finds passages by words, best first; without words, gives a page of all.

        Args:
            name: of the knowledge base.
            words: what to look for; empty for all.
            page: from 1; only without words.

        Returns:
            passages, each with passage_id, title, text and source; pages; and more, whether more have these words.
        """
        with kindly(folder=var):
            found = browse(stored(name, var), words, int(page))
            return {"passages": [vars(one) for one in found.passages], "pages": found.pages, "more": found.more}

    def kb_show(name: str, passage_id: str) -> Json:
        """Gives one passage whole.

        Args:
            name: of the knowledge base.
            passage_id: of the passage.

        Returns:
            passage_id, title, text, source and has_picture.
        """
        with kindly(folder=var):
            shown = show(stored(name, var), passage_id, Path(hidden.GRADIO_CACHE))
            return {**vars(shown.passage), "has_picture": shown.picture is not None}

    def kb_export(name: str, kind: str) -> str:
        """Gives a whole knowledge base as a file.

        Args:
            name: of the knowledge base.
            kind: jsonl, csv, or zip, which alone has the pictures.

        Returns:
            the file.
        """
        with kindly(folder=var):
            if kind not in EXPORTS:
                raise InputError(f"kind is {kind!r}; give {', '.join(EXPORTS)}")
            return str(export(name, var, kind, Path(hidden.GRADIO_CACHE)))

    def kb_bad_rows(name: str) -> str:
        """Gives the list of the rows that the last import could not take in.

        Args:
            name: of the knowledge base; where the import was refused and made none, the list is given once.

        Returns:
            a CSV file of file, line, problem and content.
        """
        with kindly(folder=var):
            return str(bad_rows_of(name, var, Path(hidden.GRADIO_CACHE)))

    hidden, listed = (gr.File(label=label, visible=False) for label in ("Exported", "Bad rows"))
    add_endpoint("kb_list", kb_list, [], queue=READING)
    add_endpoint("kb_info", kb_info, texts("Name"), queue=READING)
    number = gr.Number(1, precision=0, label="Page", visible=False)
    add_endpoint("kb_search", kb_search, [*texts("Name", "Words"), number], queue=READING)
    add_endpoint("kb_show", kb_show, texts("Name", "Passage id"), queue=READING)
    kind = gr.Textbox("zip", label="Kind", visible=False)
    add_endpoint("kb_export", kb_export, [*texts("Name"), kind], queue=READING, output=hidden)
    add_endpoint("kb_bad_rows", kb_bad_rows, texts("Name"), queue=READING, output=listed)


def add_upkeep_api(application: Application, in_use: KnowledgeInUse) -> None:
    """Adds the endpoints for a knowledge base as a whole: `kb_verify`, `kb_sync`, `kb_use`, `kb_remove`."""
    var = application.var

    def kb_verify(name: str) -> Json:
        """Checks every page of a knowledge base and every index of it.

        Args:
            name: of the knowledge base.

        Returns:
            as kb_info, with sound, problems and indexes.
        """
        with kindly(folder=var):
            return as_json(state_of(name, var, checked=True))

    def kb_sync(name: str, force: bool) -> Json:
        """Brings the index of a knowledge base up to date, and mends it where it is damaged.

        Args:
            name: of the knowledge base.
            force: build it anew whatever its state.

        Returns:
            passages that are indexed.
        """
        with kindly(folder=var):
            return {"passages": in_use.sync(name, force=force)}

    def kb_use(name: str) -> Json:
        """Answers questions from this knowledge base, or from several together, from now on, for everybody.

        Args:
            name: of the knowledge base; several have commas between.

        Returns:
            in_use, names, and passages.
        """
        with kindly(folder=var):
            indexed = in_use.use(*split_names(name))
            return {"in_use": list(in_use.names), "passages": indexed}

    def kb_remove(name: str) -> Json:
        """Removes a whole knowledge base of your own.

        Args:
            name: of the knowledge base; the one in use cannot be removed.

        Returns:
            removed: its name.
        """
        with kindly(folder=var):
            if name in in_use.names:
                raise InputError("questions are answered from it; use another one first")
            own_knowledge.remove(name, var)
            return {"removed": name}

    add_endpoint("kb_verify", kb_verify, texts("Name"), queue=READING)
    force = gr.Checkbox(False, label="Force", visible=False)
    add_endpoint("kb_sync", kb_sync, [*texts("Name"), force], queue=LOADING)
    add_endpoint("kb_use", kb_use, texts("Name"), queue=LOADING)
    add_endpoint("kb_remove", kb_remove, texts("Name"), queue=CHANGING)
