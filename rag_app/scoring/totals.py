"""Scores every question of two files, and makes the numbers that are reported of the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from rag_app.counting import number_of
from rag_app.errors import InputError, reported_as_input
from rag_app.metrics.calibration import abstaining, expected_calibration_error
from rag_app.metrics.infoseek import UNSEEN, infoseek_metric, infoseek_total
from rag_app.metrics.questions import mean_scores
from rag_app.scoring.columns import confidence_of, is_null
from rag_app.scoring.rows import Pair
from rag_app.scoring.scorers import SCORERS, Context, answer_keys, scored_names

__all__ = ["MISSING", "Scored", "score_pairs", "totals"]

MISSING = ("error", "zero", "skip")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One question with its scores, by metric name."""

    pair: Pair
    scores: Mapping[str, float]


def score_pairs(
    metric: str, pairs: Sequence[Pair], context: Context, *, missing: str = "error", surplus: int = 0
) -> list[Scored]:
    """The scores of every question that the metric's official scorer counts.

    Args:
        metric: a name of `SCORERS`.
        pairs: the questions.
        context: what scorers need beside them.
        missing: what becomes of a question without prediction: `error`, `zero`, or `skip`. One whose answer is null
            has none.
        surplus: how many predictions belong to no question, for the error's message.

    Raises:
        InputError: a row lacks what the metric needs, or a prediction is missing and must not be.
    """
    unanswered = [pair for pair in pairs if pair.prediction is None] if missing == "error" else []
    if absent := [pair.question_id for pair in unanswered if _is_counted(metric, pair, context)]:
        others = f", and no question for {number_of(surplus, 'prediction')}" if surplus else ""
        raise InputError(
            f"no prediction for {len(absent):,} of {number_of(len(pairs), 'question')}, the first is {absent[0]!r}"
            f"{others}; add them, or give --missing zero or --missing skip"
        )
    scored = []
    for given in pairs:
        pair = given if missing == "error" else _without_null(metric, given)
        if pair.prediction is None and missing == "skip":
            continue
        with _naming(pair):
            scores = _scores(metric, pair, context)
        if scores:
            scored.append(Scored(pair=pair, scores=scores))
    if not scored:
        raise InputError(f"no question is left that the metric {metric} counts")
    return scored


def _without_null(metric: str, pair: Pair) -> Pair:
    is_missing = pair.prediction is not None and is_null(pair.prediction, answer_keys(metric))
    return replace(pair, prediction=None) if is_missing else pair


def _naming(pair: Pair) -> AbstractContextManager[None]:
    return reported_as_input(f"question {pair.question_id!r}", kinds=(ValueError, TypeError))


def _is_counted(metric: str, pair: Pair, context: Context) -> bool:
    with _naming(pair):
        return bool(scored_names(metric, pair.reference, replace(context, bem=None)))


def _scores(metric: str, pair: Pair, context: Context) -> Mapping[str, float] | None:
    if pair.prediction is None:
        return dict.fromkeys(scored_names(metric, pair.reference, context), 0.0)
    return SCORERS[metric](pair.reference, pair.prediction, context)


def totals(metric: str, scored: Sequence[Scored]) -> dict[str, Any]:
    """The means under their exact names.

    Returns:
        {"metrics": {name: value in [0, 1]}, "counts": {"questions": ..., name: ...}}
    """
    if metric == "infoseek":
        return _infoseek_totals(scored)
    means = mean_scores(one.scores for one in scored)
    values = {name: mean["value"] for name, mean in means.items()}
    counts = {name: int(mean["count"]) for name, mean in means.items()}
    if metric == "calibration":
        measured = {"ECE": _ece(scored)} | _abstaining(scored)
        values |= measured
        counts |= dict.fromkeys(measured, len(scored))
    return {"metrics": values, "counts": {"questions": len(scored), **counts}}


def _ece(scored: Sequence[Scored]) -> float:
    confidences = []
    for one in scored:
        with _naming(one.pair):
            confidences.append(confidence_of(one.pair.prediction or {"confidence": 0.0}))
    return expected_calibration_error(confidences, _only_scores(scored))


def _abstaining(scored: Sequence[Scored]) -> dict[str, float]:
    """What abstaining costs and brings, where the predictions say that they abstain."""
    decisions = [(one.pair.prediction or {}).get("abstained") for one in scored]
    if not all(isinstance(decision, bool) for decision in decisions):
        return {}
    return abstaining(_only_scores(scored), [bool(decision) for decision in decisions])


def _only_scores(scored: Sequence[Scored]) -> list[float]:
    return [next(iter(one.scores.values())) for one in scored]


def _infoseek_totals(scored: Sequence[Scored]) -> dict[str, Any]:
    """Per split the mean and the means by question type, and their total; a split without questions counts as 0."""
    splits: dict[str, list[Scored]] = {}
    for one in scored:
        name = one.pair.reference.get("data_split")
        unseen = "unseen question" if str(name).endswith("unseen_question") else "unseen entity"
        splits.setdefault("" if name is None else unseen, []).append(one)
    values: dict[str, Any] = {}
    counts: dict[str, int] = {"questions": len(scored)}
    for split, members in sorted(splits.items(), reverse=True):
        title = f"InfoSeek {split}".strip()
        groups = {f"{title} accuracy": [next(iter(one.scores.values())) for one in members]}
        for one in members:
            for name, score in one.scores.items():
                groups.setdefault(f"{title}, {name.removeprefix('InfoSeek ')}", []).append(score)
        values |= {name: sum(group) / len(group) for name, group in groups.items()}
        counts |= {name: len(group) for name, group in groups.items()}
    if "" not in splits:
        total = infoseek_total(dict.fromkeys(map(infoseek_metric, UNSEEN), 0.0) | values)
        values = {"InfoSeek": total, **values}
        counts["InfoSeek"] = len(scored)
    return {"metrics": values, "counts": counts}
