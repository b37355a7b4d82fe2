"""The numbers of an evaluation, as `report.json` holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rag_app.counting import number_of
from rag_app.datasets import RowProblem
from rag_app.evaluation.outcomes import Outcome, Verdict
from rag_app.metrics.calibration import abstaining, expected_calibration_error, reliability
from rag_app.metrics.infoseek import INFOSEEK, UNSEEN, infoseek_metric, infoseek_total
from rag_app.metrics.questions import mean_scores

__all__ = ["answered_text", "make_report", "numbers", "percent", "report_text"]

_UNSCORED = "no reference answer"


def make_report(
    outcomes: Sequence[Outcome], problems: Sequence[RowProblem], *, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Every metric with its exact name, those in `manifest["headline"]` first; the counts; what the numbers depend on.

    The number of questions answered (`counts.questions`) and the number of rows that could not be asked
    (`counts.reported`) add up to the number of rows given (`counts.given`). `counts["no reference answer"]` of those
    answered have no answer to be scored against; `counts["no picture"]` of those reported lack nothing but their
    picture. `judged_by` names the metrics that told whether answers are right, for verdicts,
    calibration and abstaining, each with its number of questions.
    """
    by_type: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_type.setdefault(outcome.question_type, []).append(outcome)
    whole = _values_and_counts(outcomes)
    headline = [name for name in manifest.get("headline", ()) if name in whole["metrics"]]
    whole["metrics"] = {name: whole["metrics"][name] for name in dict.fromkeys([*headline, *whole["metrics"]])}
    whole["counts"] |= {"given": len(outcomes) + len(problems), "reported": len(problems)}
    whole["counts"][_UNSCORED] = sum(outcome.verdict == Verdict.UNSCORED for outcome in outcomes)
    whole["counts"]["no picture"] = sum(problem.no_picture for problem in problems)
    return {
        **whole,
        "by_question_type": {
            name: _values_and_counts(members) for name, members in sorted(by_type.items()) if set(by_type) != {""}
        },
        "judged_by": dict(Counter(outcome.judge for outcome in outcomes if outcome.judge).most_common()),
        "calibration": _calibration(outcomes),
        "abstaining": _abstaining(outcomes),
        "verdicts": dict(Counter(outcome.verdict for outcome in outcomes).most_common()),
        "problems": [asdict(problem) for problem in sorted(problems, key=_place)],
        "manifest": dict(manifest),
    }


def _place(problem: RowProblem) -> tuple[int, str]:
    return problem.line, problem.question_id or ""  # several questions may come from one row


def _values_and_counts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    means = mean_scores(outcome.scores for outcome in outcomes)
    values = {name: round(mean["value"], 6) for name, mean in means.items()}
    counts = {"questions": len(outcomes), **{name: int(mean["count"]) for name, mean in means.items()}}
    total = infoseek_total({name: mean["value"] for name, mean in means.items()})
    if total is not None:  # of two means, so no mean over questions itself
        values[INFOSEEK] = round(total, 6)
        counts[INFOSEEK] = sum(int(means[infoseek_metric(split)]["count"]) for split in UNSEEN)
    return {"metrics": values, "counts": counts}


def _scored(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, float]]:
    return [(outcome, outcome.judged) for outcome in outcomes if outcome.judged is not None]


def _calibration(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """ECE of the answers' scores, and the bins that it is computed from."""
    scored = _scored(outcomes)
    if not scored:
        return {}
    confidences, scores = [outcome.confidence for outcome, _ in scored], [score for _, score in scored]
    bins = [
        {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(one).items()}
        for one in reliability(confidences, scores)
    ]
    return {"ECE": round(expected_calibration_error(confidences, scores), 6), "bins": bins}


def _abstaining(outcomes: Sequence[Outcome]) -> dict[str, float]:
    scored = _scored(outcomes)
    if not scored:
        return {}
    measured = abstaining([score for _, score in scored], [outcome.abstained for outcome, _ in scored])
    return {name: round(value, 6) for name, value in measured.items()}


def answered_text(counts: Mapping[str, int]) -> str:
    """What became of a report's rows that were asked: "8 of 10 rows scored", where each has a reference answer; else
    "8 of 10 rows answered, 3 of them without a reference answer". Early reports lack some counts.
    """
    rows = f"{counts['questions']:,} of {number_of(counts.get('given', counts['questions']), 'row')}"
    if not (unscored := counts.get(_UNSCORED, 0)):
        return f"{rows} scored"
    return f"{rows} answered, {unscored:,} of them without a reference answer"


def report_text(report: Mapping[str, Any], beside: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> str:
    """A table of metrics in percent; earlier evaluations, each with what to call it, in further columns."""
    columns = [numbers(report), *(numbers(earlier) for _, earlier in beside)]
    titles = ["this", *(f"beside: {title}" for title, _ in beside)]
    names = list(dict.fromkeys(name for column in columns for name in column))
    width = max((len(name) for name in names), default=len("metric"))
    wide = [max(8, len(title)) for title in titles]
    rows = [_row("metric", titles, width, wide)]
    rows += [_row(name, [percent(column.get(name)) for column in columns], width, wide) for name in names]
    return "\n".join(rows)


def numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """The metrics, and the numbers of calibration and abstaining; an early report may lack the latter."""
    more = {"ECE": report.get("calibration", {}).get("ECE"), **report.get("abstaining", {})}
    return {**report["metrics"], **{name: value for name, value in more.items() if value is not None}}


def _row(name: str, cells: Sequence[str], width: int, wide: Sequence[int]) -> str:
    return f"{name:<{width}}" + "".join(f"  {cell:>{size}}" for cell, size in zip(cells, wide, strict=True))


def percent(value: float | None) -> str:
    """For people; a dash where there is no value."""
    return "-" if value is None else f"{100 * value:.2f} %"
