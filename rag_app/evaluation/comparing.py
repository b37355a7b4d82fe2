"""Compares two evaluations of the same questions: the difference of each metric, with a bootstrap interval.

The bootstrap is paired: questions are drawn with replacement, and both evaluations are averaged over the same draw; so
what makes a question easy or hard for both does not blur the difference (Efron and Tibshirani, 1993). InfoSeek's total,
which is no mean over questions, is made anew in each draw, from as many questions of each split as there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_app.errors import InputError
from rag_app.evaluation.outcomes import Outcome
from rag_app.metrics.infoseek import INFOSEEK, UNSEEN, infoseek_metric, infoseek_total

__all__ = ["Difference", "compare", "comparison_text"]

_DRAWS_AT_ONCE = 200
_SPLITS = [infoseek_metric(split) for split in UNSEEN]

Scores = NDArray[np.float64]
"""(n_questions, 2): of the first evaluation and of the second."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of two evaluations, over the questions that both scored.

    Attributes:
        first: mean of the first evaluation.
        second: mean of the second.
        difference: second minus first.
        low: lower end of the interval of the difference.
        high: its upper end.
        questions: how many there are.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    questions: int


def compare(
    first: Sequence[Outcome],
    second: Sequence[Outcome],
    *,
    samples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference]:
    """The difference of every metric that both evaluations have.

    Args:
        first: outcomes of the one evaluation.
        second: of the other.
        samples: draws of the bootstrap.
        level: share of the draws that the interval holds.
        seed: of the draws.

    Raises:
        InputError: they have no question, or no metric, in common, or a number makes no sense.
    """
    if samples < 1 or not 0.0 < level < 1.0:
        raise InputError(f"samples must be at least 1 and the level between 0 and 1, not {samples} and {level}")
    if seed < 0:
        raise InputError(f"the seed must be at least 0, not {seed}")
    others = {outcome.question_id: outcome.scores for outcome in second}
    common = [(one.scores, others[one.question_id]) for one in first if one.question_id in others]
    if not common:
        raise InputError("the two evaluations have no question in common; compare runs of the same dataset")
    shared = (name for scores, other in common for name in scores if name in other)
    names = list(dict.fromkeys(shared))
    if not names:
        raise InputError("the two evaluations have no metric in common")
    bootstrap = _Bootstrap(samples=samples, level=level, seed=seed)
    scores = {name: _scores_of(name, common) for name in names}
    total = {INFOSEEK: bootstrap.total([scores[name] for name in _SPLITS])} if set(_SPLITS) <= set(names) else {}
    return total | {name: bootstrap.mean(values) for name, values in scores.items()}


def _scores_of(name: str, pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> Scores:
    scored = [(one[name], other[name]) for one, other in pairs if name in one and name in other]
    return np.asarray(scored, dtype=np.float64)


def _totals(means: Sequence[Scores]) -> list[float]:
    """InfoSeek's total of each evaluation, from the means of its splits, (2,) each."""
    of_each = (dict(zip(_SPLITS, map(float, column), strict=True)) for column in zip(*means, strict=True))
    return [total for total in map(infoseek_total, of_each) if total is not None]


@dataclass(frozen=True, kw_only=True)
class _Bootstrap:
    samples: int
    level: float
    seed: int

    def mean(self, scores: Scores) -> Difference:
        """Of a metric that is a mean over questions."""
        gains = scores[:, 1] - scores[:, 0]
        generator = np.random.default_rng(self.seed)
        drawn = np.concatenate(list(self._means(gains, generator)))
        first, second = scores.mean(axis=0)
        return self._difference(first, second, gains.mean(), drawn, len(scores))

    def total(self, splits: Sequence[Scores]) -> Difference:
        """Of InfoSeek's total over its two splits."""
        generator = np.random.default_rng(self.seed)
        drawn = [np.concatenate(list(self._means(split, generator))) for split in splits]  # each (n_draws, 2)
        totals = np.asarray([_totals(means) for means in zip(*drawn, strict=True)])
        first, second = _totals([split.mean(axis=0) for split in splits])
        return self._difference(first, second, second - first, totals[:, 1] - totals[:, 0], sum(map(len, splits)))

    def _means(self, values: Scores, generator: np.random.Generator) -> Iterator[Scores]:
        """Means over questions drawn with replacement: (n_draws, ...) of values (n_questions, ...)."""
        for start in range(0, self.samples, _DRAWS_AT_ONCE):
            size = min(_DRAWS_AT_ONCE, self.samples - start), len(values)
            yield values[generator.integers(len(values), size=size)].mean(axis=1)

    def _difference(self, first: float, second: float, difference: float, drawn: Scores, questions: int) -> Difference:
        low, high = np.quantile(drawn, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Difference(
            first=float(first),
            second=float(second),
            difference=float(difference),
            low=float(low),
            high=float(high),
            questions=questions,
        )


def comparison_text(differences: Mapping[str, Difference], *, level: float) -> str:
    """A table in percent."""
    width = max(map(len, differences))
    interval = f"{100 * level:g} % interval"
    lines = [f"{'metric':<{width}}  {'A':>8}  {'B':>8}  {'B - A':>8}  {interval:>18}  questions"]
    for name, one in differences.items():
        between = f"{100 * one.low:+.2f} to {100 * one.high:+.2f}"
        lines.append(
            f"{name:<{width}}  {100 * one.first:8.2f}  {100 * one.second:8.2f}  {100 * one.difference:+8.2f}  "
            f"{between:>18}  {one.questions:,}"
        )
    return "\n".join(lines)
