"""Every metric that applies to a question, under its exact name, and their means over questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowledge_bases.records import VqaExample
from rag_app.metrics.judging import EXACT, VQA
from rag_app.metrics.retrieval import cutoffs, pseudo_recall_at_k, recall_at_k
from rag_app.metrics.vqa import exact_match, vqa_accuracy

__all__ = ["Afterwards", "Extra", "QuestionScores", "answer_scores", "mean_scores", "score_question"]

QuestionScores = Mapping[str, float]  # metric name -> score in [0, 1]; a metric that does not apply is absent
Extra = Callable[[VqaExample, str], dict[str, float]]
"""(example, answer) -> further scores by metric name."""
Afterwards = Callable[[Sequence[VqaExample], Sequence[str]], list[dict[str, float]]]
"""(examples, one answer each) -> further scores of each, by a model that reads many at a time."""


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
    recall_at: Sequence[int] = (),
) -> dict[str, float]:
    """Every metric that applies to one question.

    Args:
        prediction: the answer given.
        answers: the annotators' answers; without any, only Recall is scored.
        passage_ids: ids of the passages found, best first; None when nothing was retrieved.
        contents: their texts, in the same order.
        pos_passage_ids: ids of the passages that hold the answer; may be empty.
        k: how many passages were asked for.
        recall_at: at which ranks retrieval is scored; `rag_app.metrics.retrieval.cutoffs` of k when empty.
    """
    scores = answer_scores(prediction, answers)
    if passage_ids is None:
        return scores
    for cutoff in recall_at or cutoffs(k):
        if pos_passage_ids:
            scores[f"Recall@{cutoff}"] = recall_at_k(passage_ids, pos_passage_ids, k=cutoff)
        if answers:
            scores[f"Pseudo-Recall@{cutoff}"] = pseudo_recall_at_k(contents, answers, k=cutoff)
    return scores


def answer_scores(prediction: str, answers: Sequence[str]) -> dict[str, float]:
    """The general metrics of an answer; none where no answer is known."""
    return {VQA: vqa_accuracy(prediction, answers), EXACT: exact_match(prediction, answers)} if answers else {}


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
