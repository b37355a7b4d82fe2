"""Scores of answers and of retrieval, under their exact names.

Recall@K is a hit rate, as in the published tables: 1 when any positive passage is among the first K. Pseudo-Recall@K
is 1 when any of the first K passages contains any answer as a plain substring, ignoring case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rag_app.vqa_accuracy import normalise_answer, vqa_accuracy

__all__ = ["QuestionScores", "exact_match", "mean_scores", "pseudo_recall_at_k", "recall_at_k", "score_question"]

QuestionScores = Mapping[str, float]  # metric name -> score in [0, 1]; a metric that does not apply is absent


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 when the prediction equals any answer after VQA normalisation, else 0."""
    return float(normalise_answer(prediction) in {normalise_answer(answer) for answer in answers})


def recall_at_k(passage_ids: Sequence[str], pos_passage_ids: Iterable[str], *, k: int) -> float:
    """1 when any of the first k passages is a positive one, else 0."""
    return float(not set(passage_ids[:k]).isdisjoint(pos_passage_ids))


def pseudo_recall_at_k(contents: Sequence[str], answers: Sequence[str], *, k: int) -> float:
    """1 when any of the first k passages contains any answer, else 0. As in the source, an empty answer always hits."""
    wanted = [answer.strip().lower() for answer in answers]
    return float(any(answer in content.lower() for content in contents[:k] for answer in wanted))


@dataclass(frozen=True, kw_only=True)
class _Mean:
    total: float = 0.0
    count: int = 0


def score_question(
    prediction: str,
    answers: Sequence[str],
    *,
    passage_ids: Sequence[str] | None,
    contents: Sequence[str],
    pos_passage_ids: Sequence[str],
    k: int,
) -> dict[str, float]:
    """Every metric that applies to one question.

    Args:
        prediction: the answer given.
        answers: the annotators' answers; without any, only Recall is scored.
        passage_ids: ids of the passages found, best first; None when nothing was retrieved.
        contents: their texts, in the same order.
        pos_passage_ids: ids of the passages that hold the answer; may be empty.
        k: how many passages were asked for: Recall is given at 1, 5 and 10 up to k, and at k.
    """
    scores: dict[str, float] = {}
    if answers:
        scores["VQA accuracy"] = vqa_accuracy(prediction, answers)
        scores["Exact match"] = exact_match(prediction, answers)
    if passage_ids is None:
        return scores
    for cutoff in sorted({c for c in (1, 5, 10) if c < k} | {k}):
        if pos_passage_ids:
            scores[f"Recall@{cutoff}"] = recall_at_k(passage_ids, pos_passage_ids, k=cutoff)
        if answers:
            scores[f"Pseudo-Recall@{cutoff}"] = pseudo_recall_at_k(contents, answers, k=cutoff)
    return scores


def mean_scores(scored: Iterable[QuestionScores]) -> dict[str, dict[str, float | int]]:
    """The mean of each metric over the questions that it applies to.

    Returns:
        metric name -> {"value": mean in [0, 1], "count": number of questions}, in the order of first appearance.
    """
    totals: dict[str, _Mean] = {}
    for scores in scored:
        for name, value in scores.items():
            so_far = totals.get(name, _Mean())
            totals[name] = _Mean(total=so_far.total + value, count=so_far.count + 1)
    return {name: {"value": mean.total / mean.count, "count": mean.count} for name, mean in totals.items()}
