"""Which metric tells whether an answer is right: in verdicts, calibration, abstaining and the worst questions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rag_app.counting import number_of
from rag_app.metrics.evqa import EVQA, EVQA_EXACT
from rag_app.metrics.infoseek import UNSEEN, infoseek_metric
from rag_app.metrics.okvqa import STEMMED

__all__ = ["EXACT", "VQA", "VQA_ANSWERS", "earlier_judge", "judge_of", "judges_text", "shown_judge"]

VQA, EXACT = "VQA accuracy", "Exact match"
VQA_ANSWERS = 10
"""From so many answers on, VQA accuracy decides.

The official rule sets one answer aside and wants three others that agree, out of the ten people whom VQA asks. So an
answer that all agree on scores 0 against one reference, 0.33 against two and 0.67 against three. With fewer than ten,
nothing tells people who were asked, whose answers repeat, from a list of spellings, each of which stands there once:
one of four spellings would score 0.25.
"""
_OWN = (
    STEMMED,
    "A-OKVQA direct answer",
    EVQA,
    EVQA_EXACT,
    "InfoSeek",
    *(infoseek_metric(split) for split in (*UNSEEN, None)),
)


def judge_of(scores: Collection[str], n_answers: int, *, wanted: str = "") -> str:
    """The metric that tells whether one answer is right: the benchmark's own where there is one; else VQA accuracy
    where there are as many reference answers as VQA collects; else Exact match.

    Args:
        scores: names of the metrics that the question has.
        n_answers: how many reference answers it has.
        wanted: the benchmark's choice among the general metrics; "" for none.

    Returns:
        The name; "" where no answer is known.
    """
    if own := next((name for name in _OWN if name in scores), None):
        return own
    if wanted in scores:
        return wanted
    fallback = VQA if n_answers >= VQA_ANSWERS else EXACT
    return fallback if fallback in scores else ""


def earlier_judge(scores: Collection[str]) -> str:
    """As `judge_of`, for runs that were made when VQA accuracy decided whatever the number of answers."""
    return judge_of(scores, VQA_ANSWERS)


def shown_judge(report: Mapping[str, Any]) -> str:
    """The metric of a report to show by question type: the benchmark's own, else what decided most questions."""
    judged: Mapping[str, int] = report.get("judged_by") or {}
    if not judged or any(name in _OWN for name in judged):
        return earlier_judge(report["metrics"])
    return max(judged, key=lambda name: judged[name])


def judges_text(report: Mapping[str, Any]) -> str:
    """What decided in a report, for people: "VQA accuracy (8 questions) and Exact match (2 questions)"."""
    judged: Mapping[str, int] = report.get("judged_by") or {}
    if len(judged) < 2:
        return next(iter(judged), shown_judge(report))
    return " and ".join(f"{name} ({number_of(count, 'question')})" for name, count in judged.items())
