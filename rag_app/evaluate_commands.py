"""The commands `evaluate`, `evaluate merge` and `compare`. Models are imported only after what is given is checked."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.benchmarks.opening import KINDS, NOT_WITH_BEM, Benchmark, open_benchmark
from rag_app.config import DEFAULT_PRESET, Preset, var_folder
from rag_app.counting import number_of
from rag_app.datasets import RowProblem, scan_dataset
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.evaluation.files import SCORES, read_report
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.report import answered_text, report_text
from rag_app.evaluation.settings import BEM
from rag_app.evaluation.shards import WHOLE, Shard, launched_shard, parse_shard
from rag_app.knowledge import find_together, list_knowledge, open_store
from rag_app.metrics.bem import check_bem, load_bem
from rag_app.metrics.questions import Afterwards
from rag_app.progress import ProgressLine
from rag_app.stores import Passages, join_stores

if TYPE_CHECKING:
    from rag_app.assembly import Application

__all__ = ["add_compare", "add_evaluate", "add_merge", "run_evaluate"]

_MOST_PROBLEMS_SHOWN = 10
_LEVEL = 0.95
Report = dict[str, Any]


def add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    """Adds the options of `evaluate`, but for those that `ask` has as well."""
    questions = evaluate.add_mutually_exclusive_group(required=True)
    questions.add_argument("--dataset", type=Path, metavar="FILE.jsonl", help="the questions")
    questions.add_argument(
        "--benchmark",
        metavar="NAME",
        help=f"m2kr:NAME[/SPLIT], flmr:OKVQA[/SPLIT], or published files: {':FOLDER, '.join(KINDS)}:FOLDER",
    )
    evaluate.add_argument("--split", help="of published files (default: the one that papers report)")
    evaluate.add_argument(
        "--folder", type=Path, metavar="DIR", help="a copy of M2KR or FLMR on disk (default: the hub)"
    )
    evaluate.add_argument(
        "--images",
        type=Path,
        action="append",
        metavar="DIR",
        help="folder of the pictures (default: the dataset's); may be given several times, to be tried in turn",
    )
    evaluate.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of predictions and report")
    evaluate.add_argument(
        "--no-black-picture",
        action="store_true",
        help="search with the text alone where a question of m2kr:NAME has no picture; as published, it is searched "
        "with a black one",
    )
    mode = evaluate.add_mutually_exclusive_group()
    mode.add_argument("--no-retrieval", action="store_true", help="answer without passages")
    mode.add_argument("--oracle", action="store_true", help="answer from the right passages (pos_passage_ids)")
    evaluate.add_argument(
        "--shard",
        metavar="I/N",
        help="ask one part of N, on one of N machines; then evaluate merge. `auto` takes the part from $RANK and "
        "$WORLD_SIZE, as `accelerate launch` sets them, and a folder of its own in --output",
    )
    evaluate.add_argument(
        "--bem",
        type=Path,
        metavar="DIR",
        help="checkpoint of BEM, for the full score of m2kr:EVQA and evqa:FOLDER",
    )
    _add_beside(evaluate)


def add_merge(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `evaluate merge`."""
    merge = subparsers.add_parser("merge", help="put the shards of an evaluation together")
    merge.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="the output folder of every shard")
    merge.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the whole")
    _add_beside(merge)
    merge.add_argument("--debug", action="store_true", help="show what happens, and whole tracebacks")
    merge.set_defaults(run=_run_merge)


def add_compare(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `compare`."""
    compare = subparsers.add_parser("compare", help="the differences of two evaluations, with intervals")
    compare.add_argument("first", type=Path, metavar="A", help="output folder of an evaluation")
    compare.add_argument("second", type=Path, metavar="B", help="output folder of another one")
    compare.add_argument("--samples", type=int, default=10_000, help="draws of the bootstrap (default: %(default)s)")
    compare.add_argument("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    compare.add_argument("--json", action="store_true", help="print one JSON object")
    compare.add_argument("--debug", action="store_true", help="show what happens, and whole tracebacks")
    compare.set_defaults(run=_run_compare)


def _add_beside(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="show an earlier evaluation beside; may be given several times",
    )


def run_evaluate(
    args: argparse.Namespace,
    preset_of: Callable[[argparse.Namespace], Preset],
    open_application: Callable[..., Application],
) -> int:
    """Answers and scores a dataset.

    Args:
        args: the arguments.
        preset_of: the preset that they ask for.
        open_application: opens it; takes `retrieve`.
    """
    shard = _shard(args)
    _check_bem(args)
    task = _task(args)
    beside = _beside(args.beside)
    preset = preset_of(args)
    from rag_app.evaluation.black_picture import SIDE
    from rag_app.evaluation.run import Run, evaluate, prepare_output
    from rag_app.manifest import package_versions, settings_of

    mode = Mode.ORACLE if args.oracle else Mode.NOTHING if args.no_retrieval else Mode.RETRIEVAL
    prepare_output(args.output)
    afterwards, of_bem = _bem(task)
    application = open_application(args, retrieve=mode is Mode.RETRIEVAL)
    black_picture = _has_black_picture(task, args, application)
    settings = {**settings_of(application), "mode": mode.value, **task.settings, **of_bem}
    settings |= {"black_picture": f"{SIDE} x {SIDE}"} if black_picture else {}
    store = application.store
    if mode is Mode.ORACLE:
        store = _oracle_store(preset, var_folder(args.var))
        settings |= {"knowledge_base": application.knowledge_base, "knowledge_base_hash": store.content_hash()}
    run = Run(
        pipeline=application.pipeline,
        dataset=task.dataset,
        mode=mode,
        store=store,
        settings=settings,
        versions=package_versions(),
        batch_size=preset.batch_size,
        shard=shard,
        recall_at=task.recall_at,
        extra=task.extra,
        afterwards=afterwards,
        judge=task.judge,
        black_picture=black_picture,
    )
    progress, scoring = ProgressLine("questions answered"), ProgressLine("answers scored with BEM")
    report = evaluate(run, args.output, beside=beside, progress=progress, scoring=scoring)
    _show(report, args.output, beside)
    return 0


def _shard(args: argparse.Namespace) -> Shard:
    """Which part is asked; processes that are started together get output folders of their own."""
    if args.shard != "auto":
        return parse_shard(args.shard or "1/1")
    shard = launched_shard()
    if shard != WHOLE:
        args.output /= f"shard-{shard}".replace("/", "-of-")
    return shard


def _check_bem(args: argparse.Namespace) -> None:
    if args.bem is None:
        return
    if args.benchmark is None:
        raise InputError(NOT_WITH_BEM)
    with reported_as_input("BEM"):
        check_bem(args.bem)


def _bem(task: Benchmark) -> tuple[Afterwards | None, dict[str, str]]:
    """How the answers are scored afterwards, and what the manifest says of it; nothing without a checkpoint of BEM."""
    if task.bem is None or task.extra is None:
        return None, {}
    from rag_app.benchmarks.equivalence import with_bem
    from rag_app.manifest import bem_fingerprint

    with reported_as_input("BEM"):
        return with_bem(task.extra, load_bem(task.bem)), {BEM: bem_fingerprint(task.bem)}


def _task(args: argparse.Namespace) -> Benchmark:
    """The dataset or the benchmark; M2KR is asked of the knowledge base of its own passages."""
    if args.dataset is not None:
        if args.folder is not None or args.split is not None:
            raise InputError("--folder and --split belong to --benchmark; the pictures of a --dataset lie in --images")
        _refuse_black_picture(args)
        return Benchmark(dataset=scan_dataset(args.dataset, images=args.images))
    task = open_benchmark(args.benchmark, split=args.split, folder=args.folder, images=args.images, bem=args.bem)
    if not task.black_picture:
        _refuse_black_picture(args)
    if args.oracle and not task.has_positives:
        raise InputError("--oracle needs the right passages, which these files do not name; m2kr:NAME does")
    if args.kb is None and not args.no_retrieval:
        args.kb = _own_knowledge(task, args)
    return task


def _refuse_black_picture(args: argparse.Namespace) -> None:
    if args.no_black_picture:
        raise InputError(
            "--no-black-picture belongs to --benchmark m2kr:NAME; no other question gets one, leave it out"
        )


def _has_black_picture(task: Benchmark, args: argparse.Namespace, application: Application) -> bool:
    """Whether any question is searched with a black picture: it matters to nothing else."""
    from rag_app.evaluation.black_picture import encodes_pictures

    finder, wanted = application.pipeline.finder, task.black_picture and not args.no_black_picture
    absent = any(example.image is None for example in task.dataset.examples)
    return wanted and absent and finder is not None and encodes_pictures(finder.encoder)


def _own_knowledge(task: Benchmark, args: argparse.Namespace) -> str:
    name = task.knowledge_base
    if not name:
        raise InputError(
            "this benchmark brings no passages; give a knowledge base with --kb, such as one made with "
            "`python -m rag_app kb build --from m2kr:NAME`, or ask with --no-retrieval"
        )
    if all(one.name != name for one in list_knowledge(var_folder(args.var))):
        preset = None if args.preset == DEFAULT_PRESET else args.preset
        given = {"--folder": args.folder, "--preset": preset, "--var": args.var}
        options = [part for option, value in given.items() if value is not None for part in (option, str(value))]
        command = shlex.join(["python", "-m", "rag_app", "kb", "build", "--from", args.benchmark, *options])
        raise InputError(
            f"there is no knowledge base {name!r}; make it with `{command}`, or give another one with --kb"
        )
    return name


def _oracle_store(preset: Preset, var: Path) -> Passages:
    """The passages alone: the oracle needs neither retriever nor index."""
    knowledge = find_together(preset.knowledge_base, var)
    try:
        return join_stores({one.name: open_store(one, var) for one in knowledge})
    except OSError as error:
        raise InputError(f"{var} cannot be written ({one_line(error)}); give another folder with --var") from error


def _run_merge(args: argparse.Namespace) -> int:
    from rag_app.evaluation.merging import merge
    from rag_app.evaluation.run import prepare_output

    beside = _beside(args.beside)
    prepare_output(args.output)
    _show(merge(args.folders, args.output, beside=beside), args.output, beside)
    return 0


def _run_compare(args: argparse.Namespace) -> int:
    from rag_app.evaluation.comparing import compare, comparison_text
    from rag_app.evaluation.outcomes import read_outcomes

    reports = [read_report(folder) for folder in (args.first, args.second)]
    hashes = [report["manifest"].get("dataset_sha256") for report in reports]
    if hashes[0] != hashes[1]:
        raise InputError(f"{args.first} and {args.second} are evaluations of different datasets")
    outcomes = [read_outcomes(folder / SCORES) for folder in (args.first, args.second)]
    differences = compare(outcomes[0], outcomes[1], samples=args.samples, level=_LEVEL, seed=args.seed)
    if args.json:
        print(json.dumps({name: asdict(one) for name, one in differences.items()}, ensure_ascii=False))
    else:
        print(comparison_text(differences, level=_LEVEL))
    return 0


def _beside(folders: Sequence[Path]) -> list[tuple[str, Report]]:
    """Titles and reports of earlier evaluations; two of the same kind are told apart by their folders."""
    reports = [(folder, read_report(folder)) for folder in folders]
    titles = [str(report["manifest"].get("mode", folder.name)) for folder, report in reports]
    names = [folder.name for folder in folders]
    places = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    return [
        (title if titles.count(title) == 1 else f"{title} ({place})", report)
        for title, place, (_, report) in zip(titles, places, reports, strict=True)
    ]


def _show(report: Report, output: Path, beside: Sequence[tuple[str, Report]]) -> None:
    _show_problems([RowProblem(**problem) for problem in report["problems"]])
    print(report_text(report, beside))
    counts = report["counts"]
    absent = f" ({counts['no picture']:,} for want of their picture)" if counts["no picture"] else ""
    print(
        f"{answered_text(counts)}, {counts['reported']:,} reported{absent}; "
        f"see {output / 'report.html'} and report.json"
    )


def _show_problems(problems: Sequence[RowProblem]) -> None:
    for problem in problems[:_MOST_PROBLEMS_SHOWN]:
        name = "" if problem.question_id is None else f" (question {problem.question_id})"
        print(f"row {problem.line}{name} was not asked: {problem.problem}", file=sys.stderr)
    if len(problems) > _MOST_PROBLEMS_SHOWN:
        more = number_of(len(problems) - _MOST_PROBLEMS_SHOWN, "more such row")
        print(f"{more} in the report", file=sys.stderr)
