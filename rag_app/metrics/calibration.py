"""How far confidence can be believed, and what abstaining costs and brings.

No benchmark prescribes these. The paper of the ECE leaves the number of bins open, and a confidence of 0 lies in none
of its bins; here it is ten bins, and 0 belongs to the first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Bin", "abstaining", "expected_calibration_error", "reliability"]

BINS = 10


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The questions whose confidence lies in (low, high], as the bins of arXiv:1706.04599 do.

    Attributes:
        low: the bin's lower edge; the first bin holds a confidence of 0 as well.
        high: its upper edge.
        count: how many questions.
        confidence: their mean confidence; 0 without questions.
        accuracy: their mean score; 0 without questions.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(confidences: Sequence[float], scores: Sequence[float], *, bins: int = BINS) -> list[Bin]:
    """Questions grouped by confidence in bins of equal width.

    Args:
        confidences: in [0, 1], one a question.
        scores: in [0, 1], in the same order: 0 or 1, or a graded score such as VQA accuracy.
        bins: how many.

    Raises:
        ValueError: the lengths differ, there are no bins, or a value lies outside of [0, 1].
    """
    if len(confidences) != len(scores):
        raise ValueError(f"{len(confidences)} confidences came with {len(scores)} scores")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    if not all(0.0 <= value <= 1.0 for value in (*confidences, *scores)):
        raise ValueError("confidences and scores must lie in [0, 1]")
    members: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    inner_edges = [place / bins for place in range(1, bins)]
    for confidence, score in zip(confidences, scores, strict=True):
        members[bisect_left(inner_edges, confidence)].append((confidence, score))
    return [
        Bin(
            low=place / bins,
            high=(place + 1) / bins,
            count=len(pairs),
            confidence=_mean([confidence for confidence, _ in pairs]),
            accuracy=_mean([score for _, score in pairs]),
        )
        for place, pairs in enumerate(members)
    ]


def expected_calibration_error(confidences: Sequence[float], scores: Sequence[float], *, bins: int = BINS) -> float:
    """ECE (arXiv:1706.04599): |mean score - mean confidence| of each bin, weighted by its share of the questions.

    Raises:
        ValueError: as `reliability`, or there are no questions.
    """
    if not confidences:
        raise ValueError("there are no questions to measure calibration on")
    groups = reliability(confidences, scores, bins=bins)
    return sum(group.count * abs(group.accuracy - group.confidence) for group in groups) / len(confidences)


def abstaining(scores: Sequence[float], abstained: Sequence[bool]) -> dict[str, float]:
    """Coverage, the share of questions that are answered; and the mean score of answered and of withheld answers.

    A mean over no question is left out.

    Raises:
        ValueError: the lengths differ, or there are no questions.
    """
    if len(scores) != len(abstained):
        raise ValueError(f"{len(scores)} scores came with {len(abstained)} decisions")
    if not scores:
        raise ValueError("there are no questions to measure abstaining on")
    answered = [score for score, kept_back in zip(scores, abstained, strict=True) if not kept_back]
    withheld = [score for score, kept_back in zip(scores, abstained, strict=True) if kept_back]
    means = {"Accuracy of answered": answered, "Accuracy of withheld": withheld}
    return {"Coverage": len(answered) / len(scores)} | {name: _mean(some) for name, some in means.items() if some}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
