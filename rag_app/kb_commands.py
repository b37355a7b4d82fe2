"""The commands under `kb`, and those that look at a knowledge base or change single passages."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from knowledge_bases.exporting import EXPORT_KINDS
from rag_app import own_knowledge
from rag_app.config import var_folder
from rag_app.counting import number_of
from rag_app.errors import InputError, reported_as_input, shown_on_a_line
from rag_app.kb_checks import KnowledgeState, look, require_sound, verify
from rag_app.kb_import_commands import (
    EMBEDDED,
    add_import_arguments,
    add_index_arguments,
    run_add,
    run_build,
    run_sync,
)
from rag_app.knowledge import Knowledge, find_knowledge, list_knowledge, open_store
from rag_app.stores import SharedStore

__all__ = ["add_arguments"]

Run = Callable[[argparse.Namespace], int]
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_arguments(subparsers: Subparsers) -> None:
    """Adds the commands under `kb`."""
    _common(subparsers.add_parser("list", help="name every knowledge base"), _run_list)
    info = _reading(subparsers, "info", _run_info, "say what a knowledge base holds and takes")
    info.add_argument("--json", action="store_true", help="as one JSON object")
    search = _reading(subparsers, "search", _run_search, "find passages by words, without any model")
    search.add_argument("text", help="the words")
    search.add_argument("--limit", type=int, default=10, help="passages to print (default: %(default)s)")
    _reading(subparsers, "show", _run_show, "print one passage").add_argument("id", help="its passage id")
    export = _reading(subparsers, "export", _run_export, "write the passages to a file")
    export.add_argument("file", type=Path, help=f"a {', '.join(EXPORT_KINDS)} file; pictures go into a zip only")
    checked = _reading(subparsers, "verify", _run_verify, "check the passages and every index, page by page")
    checked.add_argument("--json", action="store_true", help="as one JSON object")
    _add_filling(subparsers)
    _add_changing(subparsers)


def _add_filling(subparsers: Subparsers) -> None:
    build = subparsers.add_parser("build", help="make a knowledge base from files, or bring its index up to date")
    build.add_argument("--kb", help=f"its name (default: {EMBEDDED}, or one made of what --from names)")
    add_import_arguments(build)
    add_index_arguments(build)
    _common(build, run_build)
    sync = _reading(subparsers, "sync", run_sync, "mend and bring up to date what is derived from the passages")
    add_index_arguments(sync)
    add = _writing(subparsers, "add", run_add, "add passages, from files, a data set, or one by --text")
    add_import_arguments(add)
    add.add_argument("--id", help="of one passage")
    _add_fields(add)


def _add_changing(subparsers: Subparsers) -> None:
    edit = _writing(subparsers, "edit", _run_edit, "change one passage; what is not given stays")
    edit.add_argument("id", help="its passage id")
    _add_fields(edit)
    edit.add_argument("--remove-picture", action="store_true", help="take its picture away")
    delete = _writing(subparsers, "delete", _run_delete, "delete passages from a knowledge base of your own")
    delete.add_argument("ids", nargs="+", help="their passage ids")
    _writing(subparsers, "remove", _run_remove, "remove a whole knowledge base of your own")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", help="what the passage says")
    parser.add_argument("--title", help="what it is about")
    parser.add_argument("--source", dest="from_where", help="where it is from")
    parser.add_argument("--picture", type=Path, help="a picture to keep with it")


def _reading(subparsers: Subparsers, name: str, run: Run, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=help_text)
    parser.add_argument("--kb", default=EMBEDDED, help="its name (default: %(default)s)")
    return _common(parser, run)


def _writing(subparsers: Subparsers, name: str, run: Run, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=help_text)
    parser.add_argument("--kb", required=True, help="its name")
    return _common(parser, run)


def _common(parser: argparse.ArgumentParser, run: Run) -> argparse.ArgumentParser:
    parser.add_argument("--var", help="folder of indexes and own knowledge bases (default: $RAG_APP_VAR, else var/)")
    parser.add_argument("--debug", action="store_true", help="show what happens, and whole tracebacks")
    parser.set_defaults(run=run)
    return parser


def _found(args: argparse.Namespace) -> tuple[Knowledge, Path]:
    var = var_folder(args.var)
    return find_knowledge(args.kb, var), var


def _open(args: argparse.Namespace) -> SharedStore:
    knowledge, var = _found(args)
    with reported_as_input(f"{var} cannot be written", kinds=(OSError,)):
        return open_store(knowledge, var)


def _run_list(args: argparse.Namespace) -> int:
    bases = list_knowledge(var_folder(args.var))
    width = max(len(base.name) for base in bases)
    for base in bases:
        print(f"{base.name:<{width}}  {base.description or base.title}")
    return 0


def _run_info(args: argparse.Namespace) -> int:
    knowledge, var = _found(args)
    with reported_as_input(f"{var} cannot be written", kinds=(OSError,)):
        state = look(knowledge, var)
    if args.json:
        print(json.dumps(as_json(state), ensure_ascii=False))
        return 0
    print(f"{knowledge.name}: {knowledge.title}")
    if knowledge.description:
        print("\n".join(textwrap.wrap(knowledge.description, width=100)))
    figures = state.figures
    print(f"passages: {figures.passages:,}")
    if figures.passages:
        average = figures.words / figures.passages
        print(f"words a passage: {figures.shortest} to {figures.longest}, {average:.0f} on average")
    if figures.pictures:
        print(f"pictures: {figures.pictures:,}")
    print(f"on disk: {figures.disk_bytes / 1e6:,.1f} MB; its index takes about {state.memory_bytes / 1e6:,.0f} MB")
    print(f"content hash: {state.content_hash}")
    return 0


def _run_search(args: argparse.Namespace) -> int:
    if not args.text.strip():
        raise InputError("there are no words to search for; give some")
    if args.limit < 1:
        raise InputError(f"--limit must be at least 1, not {args.limit}")
    found = _open(args).search_text(args.text, args.limit)
    for passage in found:
        print(shown_on_a_line(f"[{passage.passage_id}] {passage.title}"))
        print("\n".join(textwrap.wrap(passage.text, width=100, initial_indent="   ", subsequent_indent="   ")))
    if not found:
        print("no passage has these words")
    return 0


def _run_show(args: argparse.Namespace) -> int:
    with reported_as_input(f"knowledge base {args.kb!r}"):
        (passage,) = _open(args).get([args.id])
    print(shown_on_a_line(f"[{passage.passage_id}] {passage.title}"))
    print(f"source: {passage.source}\n\n{passage.text}" if passage.source else f"\n{passage.text}")
    return 0


def _run_export(args: argparse.Namespace) -> int:
    count = own_knowledge.export_passages(args.kb, var_folder(args.var), args.file)
    print(f"{args.kb}: wrote {number_of(count, 'passage')} to {args.file}")
    return 0


def _run_verify(args: argparse.Namespace) -> int:
    knowledge, var = _found(args)
    with reported_as_input(f"{var} cannot be read", kinds=(OSError,)):
        state = verify(knowledge, var)
    if args.json:
        print(json.dumps(as_json(state), ensure_ascii=False))
    elif state.sound:
        print(f"{state.name}: {number_of(state.figures.passages, 'passage')}, sound; content hash {state.content_hash}")
        for index in state.indexes:
            print(index)
        if not state.indexes:
            print("no index yet; `kb sync` or the first question makes it")
    require_sound(state)
    return 0


def as_json(state: KnowledgeState) -> dict[str, object]:
    """A state as JSON values."""
    return {
        "name": state.name,
        **dataclasses.asdict(state.figures),
        "memory_bytes": state.memory_bytes,
        "content_hash": state.content_hash,
        "sound": state.sound,
        "problems": list(state.problems),
        "indexes": [{**dataclasses.asdict(index), "in_step": index.in_step} for index in state.indexes],
    }


def _run_edit(args: argparse.Namespace) -> int:
    fields = {"text": args.text, "title": args.title, "source": args.from_where, "picture": args.picture}
    if not args.remove_picture and all(value is None for value in fields.values()):
        raise InputError("nothing was given to change; give --text, --title, --source or --picture")
    own_knowledge.edit_passage(args.kb, var_folder(args.var), args.id, remove_picture=args.remove_picture, **fields)
    print(f"{args.kb}: changed {args.id}")
    return 0


def _run_delete(args: argparse.Namespace) -> int:
    holds = own_knowledge.delete_passages(args.kb, var_folder(args.var), args.ids)
    print(f"{args.kb}: deleted {number_of(len(set(args.ids)), 'passage')}; it holds {holds:,}")
    return 0


def _run_remove(args: argparse.Namespace) -> int:
    own_knowledge.remove(args.kb, var_folder(args.var))
    print(f"{args.kb}: removed")
    return 0
