"""InfoSeek's accuracy as the official scorer computes it (edchengg/infoseek_eval, infoseek_eval.py).

Questions of type String and Time ask for an exact match with any alias; those of type Numerical for a number within a
range. A split's score is the mean over its questions; "All" is the harmonic mean of the two splits.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

__all__ = [
    "INFOSEEK",
    "UNSEEN",
    "harmonic_mean",
    "infoseek_match",
    "infoseek_metric",
    "infoseek_numerical_match",
    "infoseek_total",
    "parse_numbers",
]

Number = float | tuple[float, float]

INFOSEEK = "InfoSeek"  # the total of a data set that has both splits
UNSEEN = ("unseen question", "unseen entity")  # the two splits of the validation and test questions

_DELETED = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"[-+]?[.]?\d+(?:,\d\d\d)*[.]?\d*(?:[eE][-+]?\d+)?")
_TOLERANCE = 0.1
_LEAST_OVERLAP = 0.5
_SLACK = 1e-12  # keeps a range of no length from dividing by zero, as in the scorer


def infoseek_match(prediction: str, aliases: Sequence[str]) -> float:
    """For String and Time questions: 1 when the prediction equals any alias after normalisation, else 0.

    Raises:
        ValueError: there is no alias.
    """
    if not aliases:
        raise ValueError("there are no answers to score against")
    return float(_normalise(prediction) in {_normalise(alias) for alias in aliases})


def infoseek_numerical_match(prediction: str, reference: Sequence[float] | float) -> float:
    """For Numerical questions: 1 when the number or range in the prediction fits the reference, else 0.

    Args:
        prediction: a text; its first two numbers count, and a text without any counts as the range [0, 0].
        reference: (lowest, highest), whatever follows them; or a single number, which stands for itself plus and
            minus 10 %.

    Raises:
        ValueError: the reference is a sequence of fewer than two numbers.
    """
    low, high = _range(reference)
    predicted = parse_numbers(prediction)
    if not isinstance(predicted, tuple):
        return float(low <= predicted <= high)
    if low <= predicted[0] <= high and low <= predicted[1] <= high:
        return 1.0
    return float(_overlap(predicted, (low, high)) >= _LEAST_OVERLAP - _SLACK)


def parse_numbers(text: str) -> Number:
    """The number or the range that a text states.

    A hyphen after a digit separates ("9-10"); elsewhere it is a minus sign. Of more than two numbers the first two
    count. Two numbers that fall are no range: the first one counts. Without a number it is the range (0, 0).
    """
    numbers = [_value(found) for found in _NUMBER.findall(_spaced_hyphens(text))][:2]
    if not numbers:
        return 0.0, 0.0
    if len(numbers) == 2 and numbers[0] <= numbers[1]:
        return numbers[0], numbers[1]
    return numbers[0]


def infoseek_metric(split: object) -> str:
    """The name of the accuracy of a `data_split` such as `val_unseen_question`; a name without split for others."""
    known = str(split).replace("_", " ")
    return " ".join(["InfoSeek", *(name for name in UNSEEN if known.endswith(name)), "accuracy"])


def infoseek_total(means: Mapping[str, float]) -> float | None:
    """ "All": the harmonic mean of the two splits in percent, each rounded to two digits first, as the scorer does.

    Args:
        means: accuracies in [0, 1] by the names of `infoseek_metric`.

    Returns:
        In [0, 1]; None where a split is absent.
    """
    names = [infoseek_metric(split) for split in UNSEEN]
    if any(name not in means for name in names):
        return None
    return round(harmonic_mean([round(100 * means[name], 2) for name in names]), 2) / 100


def harmonic_mean(scores: Sequence[float]) -> float:
    """The harmonic mean, a score of 0 counting as 1e-12.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError("there are no scores to average")
    return len(scores) / sum(1.0 / (score if score != 0 else _SLACK) for score in scores)


def _normalise(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DELETED)).split())


def _range(reference: Sequence[float] | float) -> tuple[float, float]:
    if isinstance(reference, int | float):
        return reference * (1 - _TOLERANCE), reference * (1 + _TOLERANCE)
    if len(reference) < 2:
        raise ValueError(f"a numerical reference is one number or a range of two, not a list of {len(reference)}")
    return reference[0], reference[1]


def _spaced_hyphens(text: str) -> str:
    return "".join(
        " - " if character == "-" and place > 0 and text[place - 1].isdigit() else character
        for place, character in enumerate(text)
    )


def _value(found: str) -> float:
    """The scorer's reading of one number: a leading full stop is lost (".5" is 5), a second one ends it."""
    number = found.replace(",", "").strip(".")
    if number.count(".") > 1:
        number = number.split(".")[0]
    return float(number) if number.strip("+-") else 0.0


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union of two ranges; either may be given the wrong way round."""
    overlap = max(0.0, min(max(one), max(other)) - max(min(one), min(other)))
    lengths = ((max(one) - min(one)) + _SLACK) + ((max(other) - min(other)) + _SLACK)
    union = lengths - overlap
    return overlap / union if union != 0 else 0.0
