"""The commands `kb list|info|search|build|add|delete`."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from knowledge_bases.files import read_passages
from knowledge_bases.sources import Source, parse_source
from knowledge_bases.store import PassageStore
from rag_app.config import DEFAULT_PRESET, load_preset, var_folder
from rag_app.errors import InputError, reported_as_input
from rag_app.knowledge import find_knowledge, list_knowledge, open_store, own_store_path
from rag_app.locking import folder_lock
from rag_app.progress import ProgressLine
from rag_app.stores import SharedStore

__all__ = ["add_arguments"]

EMBEDDED = "world_flags"
PASSAGES_AT_ONCE = 2000  # committed together


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands under `kb`."""
    _command(subparsers, "list", _run_list, "name every knowledge base", kb=False)
    _command(subparsers, "info", _run_info, "say what a knowledge base holds")
    search = _command(subparsers, "search", _run_search, "find passages by words, without any model")
    search.add_argument("text", help="the words")
    search.add_argument("--limit", type=int, default=10, help="passages to print (default: %(default)s)")
    build = _command(subparsers, "build", _run_build, "bring the index up to date")
    build.add_argument("--preset", default=DEFAULT_PRESET, help="whose retriever to use (default: %(default)s)")
    build.add_argument("--from", dest="source", metavar="NAME", help="first take in m2kr:NAME[/SPLIT] or flmr:OKVQA")
    build.add_argument("--folder", type=Path, metavar="DIR", help="a copy of M2KR on disk (default: ask the hub)")
    build.add_argument("--force", action="store_true", help="build it anew whatever its state")
    add = _command(subparsers, "add", _run_add, "add passages from files to a knowledge base of your own")
    add.add_argument("files", nargs="+", type=Path, help="JSON Lines, CSV, or a folder of text or Markdown files")
    delete = _command(subparsers, "delete", _run_delete, "delete passages from a knowledge base of your own")
    delete.add_argument("ids", nargs="+", help="their passage ids")


def _command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: object,
    help_text: str,
    *,
    kb: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=help_text)
    if kb:
        writes = name in {"add", "delete"}
        default = None if writes or name == "build" else EMBEDDED
        parser.add_argument("--kb", default=default, required=writes, help="its name")
    parser.add_argument("--var", help="folder of indexes and own knowledge bases (default: $RAG_APP_VAR, else var/)")
    parser.add_argument("--debug", action="store_true", help="show what happens, and whole tracebacks")
    parser.set_defaults(run=run)
    return parser


def _run_list(args: argparse.Namespace) -> int:
    bases = list_knowledge(var_folder(args.var))
    width = max(len(base.name) for base in bases)
    for base in bases:
        print(f"{base.name:<{width}}  {base.description or base.title}")
    return 0


def _open(args: argparse.Namespace) -> SharedStore:
    var = var_folder(args.var)
    knowledge = find_knowledge(args.kb, var)
    with reported_as_input(f"{var} cannot be written", kinds=(OSError,)):
        return open_store(knowledge, var)


def _run_info(args: argparse.Namespace) -> int:
    knowledge = find_knowledge(args.kb, var_folder(args.var))
    store = _open(args)
    lengths = [len(passage.text.split()) for passage in store]
    print(f"{knowledge.name}: {knowledge.title}")
    if knowledge.description:
        print("\n".join(textwrap.wrap(knowledge.description, width=100)))
    print(f"passages: {len(lengths):,}")
    if lengths:
        print(f"words a passage: {min(lengths)} to {max(lengths)}, {sum(lengths) / len(lengths):.0f} on average")
    print(f"content hash: {store.content_hash()}")
    return 0


def _run_search(args: argparse.Namespace) -> int:
    if not args.text.strip():
        raise InputError("there are no words to search for; give some")
    if args.limit < 1:
        raise InputError(f"--limit must be at least 1, not {args.limit}")
    found = _open(args).search_text(args.text, args.limit)
    for passage in found:
        print(f"[{passage.passage_id}] {passage.title}")
        print("\n".join(textwrap.wrap(passage.text, width=100, initial_indent="   ", subsequent_indent="   ")))
    if not found:
        print("no passage has these words")
    return 0


def _take_in(source: Source, var: Path, name: str) -> None:
    """Streams passages into a knowledge base of your own; those that it holds already are passed over."""
    path = own_store_path(name, var)
    with reported_as_input(name):
        path.parent.mkdir(parents=True, exist_ok=True)
        with folder_lock(path.parent), PassageStore.open(path, create=True) as store:
            coming, seen, added = source.passages(), 0, 0
            while few := list(islice(coming, PASSAGES_AT_ONCE)):
                seen += len(few)
                added += store.add(passage for passage in few if passage.passage_id not in store)
            print(f"{name}: took in {added:,} of {seen:,} passages; it holds {len(store):,}")


def _run_build(args: argparse.Namespace) -> int:
    var = var_folder(args.var)
    if args.source:
        with reported_as_input():
            source = parse_source(args.source, args.folder)
        args.kb = args.kb or source.slug
        _take_in(source, var, args.kb)
    return _build_index(args, args.kb or EMBEDDED, var)


def _build_index(args: argparse.Namespace, name: str, var: Path) -> int:
    preset = replace(load_preset(args.preset), knowledge_base=name)
    knowledge = find_knowledge(name, var)
    from rag_app.assembly import load_encoder, open_index
    from rag_app.devices import resolve_placement

    with reported_as_input(f"{var} cannot be written", kinds=(OSError,)):
        var.mkdir(parents=True, exist_ok=True)
    encoder = load_encoder(preset, resolve_placement(preset.device, preset.dtype))
    _, index = open_index(
        knowledge, encoder, var=var, notify=print, progress=ProgressLine("passages encoded"), force=args.force
    )
    print(f"{knowledge.name}: {len(index):,} passages are indexed for {preset.retriever}")
    return 0


def _run_add(args: argparse.Namespace) -> int:
    path = own_store_path(args.kb, var_folder(args.var))
    with reported_as_input():
        passages = list(chain.from_iterable(read_passages(file) for file in args.files))
        path.parent.mkdir(parents=True, exist_ok=True)
        with folder_lock(path.parent):
            store = PassageStore.open(path, create=True)
            store.add(passages)
            print(f"{args.kb}: added {len(passages):,} passages; it holds {len(store):,}")
    return 0


def _run_delete(args: argparse.Namespace) -> int:
    path = own_store_path(args.kb, var_folder(args.var))
    if not path.is_file():
        raise InputError(f"there is no knowledge base {args.kb!r} of your own; make it with `kb add --kb {args.kb}`")
    with reported_as_input(), folder_lock(path.parent):
        store = PassageStore.open(path)
        store.delete(args.ids)
        print(f"{args.kb}: deleted {len(args.ids):,} passages; it holds {len(store):,}")
    return 0
