"""Puts the output folders of all shards of an evaluation together, as if it had been one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_app.atomic import write_json
from rag_app.datasets import RowProblem
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.evaluation.files import CASES, DETAILS, PREDICTIONS, SCORES, SETTINGS, read_report, write_results
from rag_app.evaluation.outcomes import Outcome, read_outcomes
from rag_app.evaluation.report import make_report
from rag_app.evaluation.settings import different, on_all_devices
from rag_app.evaluation.shards import Shard, parse_shard
from rag_app.evaluation.worst import read_cases, worst
from rag_app.json_lines import read_json_lines
from rag_app.predictions import Detail, Prediction, read_details, read_predictions

__all__ = ["merge"]


@dataclass(frozen=True, kw_only=True)
class _Part:
    folder: Path
    settings: dict[str, Any]
    shard: Shard
    report: dict[str, Any]


def merge(
    folders: Sequence[Path], output: Path, *, beside: Sequence[tuple[str, dict[str, Any]]] = ()
) -> dict[str, Any]:
    """Writes and returns the report of the whole; no model and no dataset is needed.

    Args:
        folders: the output folders of every shard, in any order.
        output: an existing folder, none of these.
        beside: titles and reports of earlier evaluations, for the page.

    Raises:
        InputError: a folder is no finished shard, the shards do not belong together, or one is missing.
    """
    if output.resolve() in {folder.resolve() for folder in folders}:
        raise InputError(f"{output} is one of the shards; give another --output")
    parts = [_part(folder) for folder in folders]
    _check(parts)
    outcomes = sorted((one for part in parts for one in read_outcomes(part.folder / SCORES)), key=_place)
    known = {case.outcome.question_id: case for part in parts for case in read_cases(part.folder / CASES)}
    predictions: dict[str, Prediction] = {}
    details: dict[str, Detail] = {}
    integer_ids: set[str] = set()
    with reported_as_input("shards", kinds=(OSError,)):
        for part in parts:
            predictions |= read_predictions(part.folder / PREDICTIONS)
            details |= read_details(part.folder / DETAILS)
            integer_ids |= _integer_ids(part.folder / PREDICTIONS)
    problems = [RowProblem(**problem) for part in parts for problem in part.report["problems"]]
    settings = on_all_devices(parts[0].settings, [part.settings for part in parts[1:]])
    del settings["shard"]
    report = make_report(outcomes, problems, manifest={**settings, **_manifest(parts)})
    with reported_as_input(f"output folder {output}", kinds=(OSError,)):
        write_json(output / SETTINGS, settings)
        write_results(
            output,
            report,
            outcomes,
            [known[outcome.question_id] for outcome in worst(outcomes)],
            [predictions[outcome.question_id] for outcome in outcomes],
            [details[outcome.question_id] for outcome in outcomes],
            integer_ids,
            beside=beside,
        )
    return report


def _place(outcome: Outcome) -> tuple[int, str]:
    return outcome.line, outcome.question_id  # several questions may come from one row


def _part(folder: Path) -> _Part:
    report = read_report(folder)
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        shard = settings["shard"]
    except KeyError as error:
        raise InputError(f"{folder} holds no shard; evaluate it with --shard i/n") from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder / SETTINGS} cannot be read: {one_line(error)}") from error
    return _Part(folder=folder, settings=settings, shard=parse_shard(shard), report=report)


def _check(parts: Sequence[_Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        others = [key for key in different(part.settings, first.settings) if key != "shard"]
        if others:
            raise InputError(
                f"{part.folder} was made with other settings than {first.folder} ({', '.join(others)}); "
                "merge shards of one evaluation"
            )
        if part.shard.count != first.shard.count:
            raise InputError(f"{part.folder} is shard {part.shard}, and {first.folder} is shard {first.shard}")
    owners: dict[Shard, Path] = {}
    for part in parts:
        if part.shard in owners:
            raise InputError(f"{part.folder} and {owners[part.shard]} are both shard {part.shard}; give each once")
        owners[part.shard] = part.folder
    every = [
        Shard(index=index % first.shard.count, count=first.shard.count) for index in range(1, first.shard.count + 1)
    ]
    absent = [str(shard) for shard in every if shard not in owners]
    if absent:
        raise InputError(f"shard {', '.join(absent)} is missing; evaluate it first, or give its folder as well")


def _integer_ids(path: Path) -> set[str]:
    """The question_ids that are numbers in a predictions file."""
    ids = (row["question_id"] for row in read_json_lines(path))
    return {str(question_id) for question_id in ids if isinstance(question_id, int)}


def _manifest(parts: Sequence[_Part]) -> dict[str, Any]:
    manifests = [part.report["manifest"] for part in parts]
    return {
        "dataset": manifests[0].get("dataset"),
        "versions": manifests[0].get("versions"),
        "finished": max(str(manifest.get("finished")) for manifest in manifests),
        "seconds": round(sum(manifest.get("seconds", 0.0) for manifest in manifests), 1),
        "resumed_questions": sum(manifest.get("resumed_questions", 0) for manifest in manifests),
        "shards": len(parts),
    }
