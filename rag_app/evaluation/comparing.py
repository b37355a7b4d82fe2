"""Compares two evaluations of the same questions: the difference of each metric, with a bootstrap interval.

The bootstrap is paired: questions are drawn with replacement, and both evaluations are averaged over the same draw; so
what makes a question easy or hard for both does not blur the difference (Efron and Tibshirani, 1993).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag_app.errors import InputError
from rag_app.evaluation.outcomes import Outcome

__all__ = ["Difference", "compare", "comparison_text"]

_DRAWS_AT_ONCE = 200


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
        InputError: they have no question, or no metric, in common.
    """
    if samples < 1 or not 0.0 < level < 1.0:
        raise InputError(f"samples must be at least 1 and the level between 0 and 1, not {samples} and {level}")
    others = {outcome.question_id: outcome.scores for outcome in second}
    common = [(one.scores, others[one.question_id]) for one in first if one.question_id in others]
    if not common:
        raise InputError("the two evaluations have no question in common; compare runs of the same dataset")
    shared = (name for scores, other in common for name in scores if name in other)
    names = list(dict.fromkeys(shared))
    if not names:
        raise InputError("the two evaluations have no metric in common")
    return {name: _difference(name, common, samples, level, seed) for name in names}


def _difference(
    name: str,
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]],
    samples: int,
    level: float,
    seed: int,
) -> Difference:
    scored = [(one[name], other[name]) for one, other in pairs if name in one and name in other]
    values = np.asarray(scored, dtype=np.float64)  # (n_questions, 2)
    gains = values[:, 1] - values[:, 0]
    generator = np.random.default_rng(seed)
    means = np.concatenate(
        [
            gains[generator.integers(len(gains), size=(min(_DRAWS_AT_ONCE, samples - start), len(gains)))].mean(axis=1)
            for start in range(0, samples, _DRAWS_AT_ONCE)
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    first, second = values.mean(axis=0)
    return Difference(
        first=float(first),
        second=float(second),
        difference=float(gains.mean()),
        low=float(low),
        high=float(high),
        questions=len(scored),
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
