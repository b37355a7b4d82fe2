"""The files in the output folder of an evaluation.

| file | what it holds | when it is written |
|---|---|---|
| `predictions.jsonl`, `details.jsonl` | a row a question; see `rag_app.predictions` | as it goes |
| `settings.json` | what the answers depend on | at the start |
| `scores.jsonl`, `worst.jsonl` | what became of each question, and all of the worst | at the end |
| `report.json`, `report.html` | the numbers, for programs and for people | at the end |
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_app.atomic import write_json, write_text
from rag_app.errors import InputError, one_line
from rag_app.evaluation.outcomes import Outcome, write_outcomes
from rag_app.evaluation.page import render_page
from rag_app.evaluation.worst import Case, write_cases
from rag_app.predictions import Detail, Prediction, write_details, write_predictions

__all__ = ["CASES", "DETAILS", "PAGE", "PREDICTIONS", "REPORT", "SCORES", "SETTINGS", "read_report", "write_results"]

PREDICTIONS, DETAILS, SETTINGS = "predictions.jsonl", "details.jsonl", "settings.json"
SCORES, CASES, REPORT, PAGE = "scores.jsonl", "worst.jsonl", "report.json", "report.html"


def write_results(
    output: Path,
    report: Mapping[str, Any],
    outcomes: Sequence[Outcome],
    cases: Sequence[Case],
    predictions: Sequence[Prediction],
    details: Sequence[Detail],
    integer_ids: Container[str],
    *,
    beside: Sequence[tuple[str, Mapping[str, Any]]],
) -> None:
    """Writes what stands at the end, each file in one step; the report, which tells that all is done, last.

    Raises:
        OSError: a file cannot be written.
    """
    write_predictions(output / PREDICTIONS, predictions, integer_ids=integer_ids)
    write_details(output / DETAILS, details, integer_ids=integer_ids)
    write_outcomes(output / SCORES, outcomes)
    write_cases(output / CASES, cases)
    write_text(output / PAGE, render_page(report, cases, beside=beside))
    write_json(output / REPORT, report)


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a finished evaluation.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = folder / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(report["metrics"], dict) or not isinstance(report["manifest"], dict):
            raise TypeError("it has no metrics")
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}; give the output folder of an evaluation that has ended") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no report of an evaluation: {one_line(error)}") from error
    return dict(report)
