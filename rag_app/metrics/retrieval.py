"""Scores of retrieval, as the published tables have them (FLMR, example_use_preflmr.py).

Recall@K is a hit rate, not a share of the positives. Pseudo-Recall@K looks for an answer as a plain substring: no word
boundary, no punctuation or article handling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["cutoffs", "pseudo_recall_at_k", "recall_at_k"]

_USUAL = (1, 5, 10)


def cutoffs(k: int) -> list[int]:
    """The K of a report in which k passages were found: the usual ones below k, and k."""
    return [cutoff for cutoff in _USUAL if cutoff < k] + [k]


def recall_at_k(passage_ids: Sequence[str], pos_passage_ids: Iterable[str], *, k: int) -> float:
    """1 when any of the first k passages is a positive one, else 0."""
    return float(not set(passage_ids[:k]).isdisjoint(pos_passage_ids))


def pseudo_recall_at_k(contents: Sequence[str], answers: Sequence[str], *, k: int) -> float:
    """1 when any of the first k passages contains any answer, else 0. As in the source, an empty answer always hits."""
    wanted = [answer.strip().lower() for answer in answers]
    return float(any(answer in content.lower() for content in contents[:k] for answer in wanted))
