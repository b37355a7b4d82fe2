"""The commands `kb add|build|sync`: what fills a knowledge base and its index."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from knowledge_bases.importing.hub import HUB_PREFIX, HubName, HubSource
from knowledge_bases.importing.items import BadRow, Columns, Entry, ReadSettings, Splitting
from knowledge_bases.importing.source import FileSource
from knowledge_bases.records import Passage
from knowledge_bases.sources import Source, parse_source
from rag_app.config import DEFAULT_PRESET, load_preset, var_folder
from rag_app.counting import number_of
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.import_texts import ROLES, preview_text, report_text, taken_text
from rag_app.importing import ImportProgress, ImportReport, Known, take_in
from rag_app.kb_checks import mend_words
from rag_app.knowledge import find_knowledge, own_store_path
from rag_app.own_knowledge import add_passage
from rag_app.progress import ProgressLine

__all__ = ["add_import_arguments", "add_index_arguments", "run_add", "run_build", "run_sync"]

EMBEDDED = "world_flags"
_OVERLAP, _ENCODING = 1, ReadSettings.encoding  # unless others are given
_PREFIXES = (HUB_PREFIX, "m2kr:", "flmr:")  # of what --from takes
_KILOBYTE = 1000
_CONTENT = 200  # characters of a bad row that are kept
_A_MOMENT = 2.0  # seconds


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """What is taken in, and how it is read."""
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        help="CSV, JSON Lines, parquet, text, Markdown, HTML or PDF files, a Wikipedia dump (.xml.bz2), or a folder or "
        "zip of these, with pictures",
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="hf:USER/NAME[:CONFIG]/SPLIT|m2kr:NAME[/SPLIT]|flmr:OKVQA",
        help="take in a data set of the Hugging Face hub, or the passages of a benchmark",
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="a benchmark's copy on disk (default: ask the hub)")
    parser.add_argument("--preview", action="store_true", help="show what would be taken in; change nothing")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help=f"which column is the {', '.join(ROLES)}; text may be given several times (default: by usual names)",
    )
    parser.add_argument(
        "--words", type=int, help="most words a passage, 0 for no splitting (default: documents 120, rows of tables 0)"
    )
    parser.add_argument("--overlap", type=int, help=f"sentences repeated where a text is split (default: {_OVERLAP})")
    parser.add_argument("--encoding", help="of text files (default: UTF-8)")
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--replace", action="store_true", help="passages whose id is known take the old one's place")
    known.add_argument(
        "--skip-known",
        action="store_true",
        help="passages whose id is known are passed over (a benchmark's are unless --replace is given)",
    )
    parser.add_argument("--strict", action="store_true", help="take in nothing where a row is bad")


def add_index_arguments(parser: argparse.ArgumentParser) -> None:
    """With what an index is made."""
    parser.add_argument("--preset", default=DEFAULT_PRESET, help="whose retriever to use (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="build the index anew whatever its state")


def run_add(args: argparse.Namespace) -> int:
    """Adds passages from files or a data set, or one from the command line."""
    var = var_folder(args.var)
    if args.text is not None:
        if args.files or args.source:
            raise InputError(f"both {'files' if args.files else '--from'} and --text were given; give one of them")
        if args.preview:
            raise InputError("--preview looks into files; leave it out to add the passage")
        _add_one(args, var)
        return 0
    if not (args.files or args.source):
        raise InputError("nothing was given to add; give files, a data set as --from, or a passage as --text")
    if any((args.id, args.title, args.from_where, args.picture)):
        raise InputError("--id, --title, --source and --picture belong to one passage, given as --text, not to files")
    _check_given(args)
    _take_given(args, var)
    return 0


def run_build(args: argparse.Namespace) -> int:
    """Takes in what is given, and brings the index up to date."""
    var = var_folder(args.var)
    load_preset(args.preset)  # a wrong one is told before anything is taken in
    _check_given(args)
    if (args.source or args.files) and not _take_given(args, var):
        return 0
    return _build_index(args, args.kb or EMBEDDED, var)


def _take_given(args: argparse.Namespace, var: Path) -> bool:
    """Takes in what files or --from give, and names the knowledge base after the latter; False after a preview."""
    if _is_of_hub(args):
        return _take_from_hub(args, var) is not None
    if args.files:
        if not args.kb:
            raise InputError("the new knowledge base needs a name; give one with --kb NAME")
        return _take_files(args, args.kb, var) is not None
    _refuse_reading(args)
    with reported_as_input():
        source = parse_source(args.source, args.folder)
    args.kb = args.kb or source.slug
    _take_benchmark(source, args.kb, var, replace_known=args.replace, strict=args.strict)
    return True


def _is_of_hub(args: argparse.Namespace) -> bool:
    return bool(args.source) and args.source.startswith(HUB_PREFIX)


def _check_given(args: argparse.Namespace) -> None:
    hub = _is_of_hub(args)
    if args.source and args.files:
        raise InputError("both files and --from were given; give one of them")
    if args.source and not args.source.startswith(_PREFIXES):
        known = ", ".join(f"{prefix}..." for prefix in _PREFIXES)
        raise InputError(f"--from {args.source} names no data set ({known}); give files without --from")
    if named := [str(file) for file in args.files if str(file).startswith(_PREFIXES) and not file.exists()]:
        raise InputError(f"{named[0]} is a data set; give it as --from {named[0]}")
    if args.preview and not (args.files or hub):
        raise InputError(f"--preview looks into files, or into --from {HUB_PREFIX}USER/NAME; give one of them")
    if args.folder and hub:
        raise InputError("--folder is a benchmark's copy on disk; give a data set's folder alone, as a file")
    if args.folder and not args.source:
        raise InputError("--folder is a copy of what --from names; give that, or the folder alone, as a file")


def _refuse_reading(args: argparse.Namespace) -> None:
    """How files are read cannot be chosen of a benchmark, whose columns are its own and whose passages are whole."""
    values = {"--column": args.column or None, "--words": args.words, "--overlap": args.overlap}
    given = [name for name, value in {**values, "--encoding": args.encoding}.items() if value is not None]
    if given:
        raise InputError(f"{', '.join(given)} says how files are read; leave it out with --from {args.source}")


def run_sync(args: argparse.Namespace) -> int:
    """Mends what is derived from the passages: the index of words and the retriever's index."""
    var = var_folder(args.var)
    if mend_words(find_knowledge(args.kb, var), var):
        print(f"{args.kb}: the index of words was made anew")
    return _build_index(args, args.kb, var)


def _add_one(args: argparse.Namespace, var: Path) -> None:
    if not args.id:
        raise InputError("a passage needs an id; give one with --id")
    passage = Passage(passage_id=args.id, title=args.title or "", text=args.text, source=args.from_where or "")
    report = add_passage(args.kb, var, passage, args.picture, known=_known(args))
    done = "replaced" if report.replaced else "added" if report.added else "has already, and passed over,"
    print(f"{args.kb}: {done} {args.id}")


def _take_files(args: argparse.Namespace, name: str, var: Path) -> ImportReport | None:
    """Takes files in, or shows what they hold (and gives None)."""
    return _take_opened(args, name, var, lambda: FileSource(args.files), _told("kB read", _KILOBYTE))


def _take_from_hub(args: argparse.Namespace, var: Path) -> ImportReport | None:
    """Takes a data set of the hub in, or shows what it holds (and gives None); names the knowledge base after it."""
    with reported_as_input():
        name = HubName.parse(args.source)
    args.kb = args.kb or name.slug
    return _take_opened(args, args.kb, var, lambda: HubSource(name), _told("rows read", 1))


def _take_opened(
    args: argparse.Namespace,
    name: str,
    var: Path,
    opened: Callable[[], FileSource | HubSource],
    progress: Callable[[ImportProgress], None],
) -> ImportReport | None:
    own_store_path(name, var)  # a wrong name is told before anything is read
    with reported_as_input():
        settings = ReadSettings(
            columns=_columns(args.column),
            splitting=Splitting(words=args.words, overlap=_OVERLAP if args.overlap is None else args.overlap),
            encoding=_ENCODING if args.encoding is None else args.encoding,
        )
        source = opened()
    with source:
        if args.preview:
            with reported_as_input():
                print(preview_text(source.preview(settings)))
            return None
        with closing(source.items(settings)) as items:
            report = take_in(
                items,
                name,
                var,
                position=lambda: (source.done, source.total),
                known=_known(args),
                strict=args.strict,
                progress=progress,
            )
    print(f"{name}: {report_text(report)}")
    return report


def _known(args: argparse.Namespace) -> Known:
    return Known.REPLACE if args.replace else Known.SKIP if args.skip_known else Known.REPORT


def _take_benchmark(source: Source, name: str, var: Path, *, replace_known: bool, strict: bool) -> None:
    """Takes the passages of a benchmark into a knowledge base; those that it holds are replaced or passed over."""
    done = 0

    def items() -> Iterator[Entry | BadRow]:
        nonlocal done
        for number, row in enumerate(rows, start=1):
            done = number
            try:
                yield Entry(passage=source.passage_of(row), file=source.slug, line=number)
            except ValueError as error:
                problem = one_line(error).removeprefix(f"{source.slug}: ")
                yield BadRow(file=source.slug, line=number, problem=problem, content=str(dict(row))[:_CONTENT])

    with closing(source.passages()) as rows:
        report = take_in(
            items(),
            name,
            var,
            position=lambda: (done, 0),
            known=Known.REPLACE if replace_known else Known.SKIP,
            strict=strict,
            progress=_told("rows read", 1),
        )
    print(f"{name}: {taken_text(report)}")


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
    print(f"{knowledge.name}: {number_of(len(index), 'passage')} indexed for {preset.retriever}")
    return 0


def _columns(given: list[str]) -> Columns:
    named: dict[str, list[str]] = {}
    for pair in given:
        role, equals, column = pair.partition("=")
        if not equals or role not in ROLES or not column:
            raise InputError(f"--column {pair!r} is not ROLE=NAME; the roles are {', '.join(ROLES)}")
        named.setdefault(role, []).append(column)
    twice = [role for role, columns in named.items() if role != "text" and len(columns) > 1]
    if twice:
        raise InputError(f"--column {twice[0]}= was given twice; only text may have several columns")
    one = {role: columns[0] for role, columns in named.items()}
    return Columns(
        passage_id=one.get("id", ""),
        title=one.get("title", ""),
        text=tuple(named.get("text", ())),
        source=one.get("source", ""),
        picture=one.get("picture", ""),
    )


def _told(label: str, unit: int) -> Callable[[ImportProgress], None]:
    """Shows progress on the terminal, of what takes longer than a moment, in units of so many bytes or rows."""
    line, started = ProgressLine(label), time.monotonic()

    def tell(progress: ImportProgress) -> None:
        if time.monotonic() - started < _A_MOMENT:
            return
        bad = f", {number_of(progress.bad, 'bad row')}" if progress.bad else ""
        total = max(1, progress.total // unit) if progress.total else 0
        done = progress.done // unit
        if total:  # until the last ones are in, not all of them
            done = total if progress.finished else min(done, total - 1)
        line(done, total, f"{number_of(progress.passages, 'passage')}{bad}")

    return tell
