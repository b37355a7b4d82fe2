"""Plots of reports, for the web page and for `report.html` alike; each is "" where a report has nothing to show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rag_app.evaluation.svg import bars, curves
from rag_app.metrics.judging import shown_judge

__all__ = ["judged_by_type", "recall_curves"]

Report = Mapping[str, Any]

_AT_K = re.compile(r"(Recall|Pseudo-Recall)@(\d+)")
_ALL, _NO_TYPE = "all questions", "(no type)"


def recall_curves(report: Report) -> str:
    """Recall@K and Pseudo-Recall@K over K, as SVG."""
    series: dict[str, list[tuple[int, float]]] = {}
    for name, value in report["metrics"].items():
        if found := _AT_K.fullmatch(name):
            series.setdefault(f"{found[1]}@K", []).append((int(found[2]), value))
    return curves({name: sorted(points) for name, points in series.items()}) if series else ""


def judged_by_type(runs: Sequence[tuple[str, Report]], *, most: int) -> str:
    """What counts as right in the first evaluation, by question type, as SVG.

    Args:
        runs: titles and reports.
        most: types that are shown, those with most questions first.
    """
    metric = shown_judge(runs[0][1])
    types = runs[0][1]["by_question_type"]
    wanted = sorted(types, key=lambda name: -types[name]["counts"]["questions"])[:most]
    groups: dict[str, dict[str, float]] = {_ALL: {}, **{name or _NO_TYPE: {} for name in wanted}}
    for title, report in runs:
        parts = {_ALL: report, **{name or _NO_TYPE: part for name, part in report["by_question_type"].items()}}
        for name, part in parts.items():
            if name in groups and metric in part["metrics"]:
                groups[name][title] = part["metrics"][metric]
    groups = {name: values for name, values in groups.items() if values}
    return bars(groups, list(dict.fromkeys(title for title, _ in runs))) if groups else ""
