"""A finished evaluation as HTML: numbers, plots, comparison and failures. All text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rag_app.counting import number_of
from rag_app.evaluation.comparing import Difference
from rag_app.evaluation.figures import judged_by_type, recall_curves
from rag_app.evaluation.report import answered_text, numbers, percent
from rag_app.evaluation.svg import reliability_diagram
from rag_app.evaluation.worst import Case
from rag_app.metrics.judging import judges_text, shown_judge
from ui.rendering import percent_sure

__all__ = ["comparison_table", "failure_gallery", "results", "said"]

Report = Mapping[str, Any]

_MOST_TYPES = 20


def said(text: str, *, alert: bool = False) -> str:
    """A note in place of results."""
    return f'<div class="card muted" role="{"alert" if alert else "status"}">{escape(text)}</div>'


def results(runs: Sequence[tuple[str, Report]]) -> str:
    """Metrics and plots of evaluations side by side.

    Args:
        runs: titles and reports; the plots of retrieval and calibration show the first one.
    """
    first = runs[0][1]
    counts = first["counts"]
    line = f"{answered_text(counts)}, {counts['reported']:,} could not be asked."
    if judge := judges_text(first):
        line += f" What counts as right: {judge} of at least 50 %."
    plots = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption>{plot}</figure>"
        for caption, plot in (
            (f"{shown_judge(first)} by question type", judged_by_type(runs, most=_MOST_TYPES)),
            ("Retrieval", recall_curves(first)),
            ("How often answers of a confidence are right", _reliability(first)),
        )
        if plot
    )
    return (
        f'<div class="card"><p class="muted">{escape(line)}</p>{_metrics(runs)}{_problems(first)}</div>'
        f'<div class="plots">{plots}</div>'
    )


def _metrics(runs: Sequence[tuple[str, Report]]) -> str:
    columns = [numbers(report) for _, report in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    head = "".join(f"<th>{escape(title)}</th>" for title, _ in runs)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{percent(column.get(name))}</td>' for column in columns)}</tr>"
        for name in names
    )
    return f'<div class="scroll"><table class="metrics"><tr><th>metric</th>{head}</tr>{rows}</table></div>'


def _reliability(report: Report) -> str:
    bins = report.get("calibration", {}).get("bins")
    return reliability_diagram(bins) if bins else ""


def _problems(report: Report) -> str:
    problems = report.get("problems", [])
    if not problems:
        return ""
    shown = "".join(f"<li>row {one['line']:,}: {escape(one['problem'])}</li>" for one in problems[:20])
    return f"<details><summary>{number_of(len(problems), 'row')} could not be asked</summary><ul>{shown}</ul></details>"


def failure_gallery(cases: Sequence[Case]) -> str:
    """The questions that went most wrong, with their pictures."""
    if not cases:
        return said("No answer was wrong.")
    return f'<div class="failures">{"".join(map(_failure, cases))}</div>'


def _failure(case: Case) -> str:
    outcome = case.outcome
    picture = f'<img src="{escape(case.thumbnail)}" alt="" loading="lazy">' if case.thumbnail else ""
    passages = "".join(
        f"<li>{escape(one.title or one.passage_id)}{' ✓' if one.right or one.holds_answer else ''}</li>"
        for one in case.passages
    )
    found = ""
    if passages:
        head = number_of(len(case.passages), "passage")
        found = f"<details><summary>{head}</summary><ol>{passages}</ol></details>"
    return (
        f'<article class="card">{picture}<p><b>{escape(case.question)}</b></p>'
        f"<p>answered <b>{escape(outcome.answer) or 'nothing'}</b>, {percent_sure(outcome.confidence)} % sure</p>"
        f"<p>expected {escape(', '.join(case.expected))}</p>"
        f'<p class="muted">{escape(outcome.verdict)}</p>{found}</article>'
    )


def comparison_table(differences: Mapping[str, Difference], titles: tuple[str, str]) -> str:
    """Two evaluations and the difference of each metric, with a 95 % interval."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{percent(one.first)}</td><td>{percent(one.second)}</td>"
        f"<td>{100 * one.difference:+.2f}</td><td>{100 * one.low:+.2f} to {100 * one.high:+.2f}</td>"
        f"<td>{one.questions:,}</td></tr>"
        for name, one in differences.items()
    )
    return (
        f'<div class="card"><p class="muted">A: {escape(titles[0])}<br>B: {escape(titles[1])}</p><div class="scroll">'
        '<table class="metrics"><tr><th>metric</th><th>A</th><th>B</th><th>B - A</th><th>95 % interval</th>'
        f"<th>questions</th></tr>{rows}</table></div></div>"
    )
