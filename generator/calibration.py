"""How sure an answer is: a logistic model over what retrieval and reading say, kept beside the checkpoint.

`calibration.json` holds the temperature of the retrieval scores, the weights, and the confidence below which the
application abstains. All of it is fitted on a validation split and depends on both the retriever and the generator.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean

import torch

__all__ = [
    "CALIBRATION_FILE",
    "FEATURES",
    "Calibration",
    "calibration_of",
    "fit_calibration",
    "pick_threshold",
    "rescaled",
]

CALIBRATION_FILE = "calibration.json"
FEATURES = (
    "reading",  # log p(answer | question, image, passage) of the chosen candidate
    "retrieval",  # log p(passage | query) of its passage among those found
    "best_score",  # retrieval score of the first passage, before the softmax
    "agreement",  # log of the joint probability mass of all candidates with the same answer
    "no_answer",  # the smallest no-answer probability among the passages
    "lead",  # how far the joint score of the best candidate is above the second best
    "spread",  # how far the retrieval score of the first passage is above the last one's
    "object",  # log odds that the picture shows an object of the kind that the retriever knows; not always known
    "picture",  # what the picture's rows contribute to the retrieval score of the chosen passage; not always known
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What turns candidates into a confidence.

    Attributes:
        temperature: retrieval scores are divided by it before the softmax over passages.
        weights: feature -> weight of the logistic model; empty means "not calibrated": the confidence is then the
            joint probability of the answer itself.
        intercept: of the logistic model.
        means: feature -> what stands in for it where it is not known.
        threshold: a confidence below it abstains.
        without_picture: what holds for questions without a picture, whose scores have other sizes; None: all of this.
    """

    temperature: float = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)
    intercept: float = 0.0
    means: Mapping[str, float] = field(default_factory=dict)
    threshold: float = 0.0
    without_picture: Calibration | None = None

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, not {self.temperature}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold must lie in [0, 1], not {self.threshold}")
        unknown = sorted(set(self.weights) - set(FEATURES))
        if unknown:
            raise ValueError(f"unknown features {', '.join(unknown)}; known are {', '.join(FEATURES)}")

    def of(self, *, pictured: bool) -> Calibration:
        """What holds for questions with, or without, a picture."""
        return self if pictured or self.without_picture is None else self.without_picture

    def confidence(self, features: Mapping[str, float]) -> float:
        """Probability that the chosen answer is right, in [0, 1]."""
        if not self.weights:
            return min(1.0, math.exp(features["agreement"]))
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, self.logit(features)))))

    def logit(self, features: Mapping[str, float]) -> float:
        """Log odds that the chosen answer is right, under the logistic model."""
        values = {**self.means, **features}
        return self.intercept + sum(weight * values[name] for name, weight in self.weights.items())

    def save(self, checkpoint: Path) -> None:
        """Write `calibration.json` into the checkpoint folder."""
        text = json.dumps(asdict(self), indent=2)
        part = checkpoint / f"{CALIBRATION_FILE}.part"
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(checkpoint / CALIBRATION_FILE)

    @classmethod
    def load(cls, checkpoint: Path) -> Calibration:
        """Read the checkpoint's `calibration.json`; one that is not there leaves the confidence uncalibrated.

        Raises:
            ValueError: the file is no such JSON object.
        """
        path = checkpoint / CALIBRATION_FILE
        if not path.exists():
            return cls()
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            alone = values.pop("without_picture", None)
            return cls(**values, without_picture=None if alone is None else cls(**alone))
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error}); fit it again or delete it") from error


def calibration_of(generator: object) -> Calibration:
    """The calibration that a generator carries, or the neutral one."""
    found = getattr(generator, "calibration", None)
    return found if isinstance(found, Calibration) else Calibration()


def fit_calibration(
    rows: Sequence[Mapping[str, float]],
    right: Sequence[bool],
    *,
    temperature: float = 1.0,
    threshold: float = 0.0,
    features: Sequence[str] = FEATURES,
    penalty: float = 1e-3,
) -> Calibration:
    """Fit the logistic model by maximum likelihood on standardised features.

    Args:
        rows: the features of each chosen answer (`choosing.Choice.features`).
        right: whether it was right.
        temperature: the one the rows were made with; kept as it is.
        threshold: kept as it is; see `pick_threshold`.
        features: which ones to use.
        penalty: weight of the squared weights, against separable data.

    Raises:
        ValueError: the rows do not match `right`, or all answers are right, or all wrong.
    """
    if len(rows) != len(right):
        raise ValueError(f"{len(rows)} rows of features came with {len(right)} labels")
    if len(set(right)) < 2:
        raise ValueError("calibration needs right and wrong answers; these are all of one kind")
    known = {name: [row[name] for row in rows if name in row] for name in features}
    means = {name: fmean(values) if values else 0.0 for name, values in known.items()}
    values = torch.tensor([[row.get(name, means[name]) for name in features] for row in rows], dtype=torch.float64)
    labels = torch.tensor(right, dtype=torch.float64)
    mean, spread = values.mean(dim=0), values.std(dim=0).clamp_min(1e-9)
    design = (values - mean) / spread
    fitted = _logistic_regression(design, labels, penalty)
    weights = fitted[1:] / spread
    return Calibration(
        temperature=temperature,
        weights=dict(zip(features, weights.tolist(), strict=True)),
        intercept=float(fitted[0] - (weights * mean).sum()),
        means=means,
        threshold=threshold,
    )


def rescaled(calibration: Calibration, rows: Sequence[Mapping[str, float]], right: Sequence[bool]) -> Calibration:
    """The same order of confidences, moved so that they are right on average for these answers.

    Raises:
        ValueError: all answers are right, or all wrong.
    """
    if len(set(right)) < 2:
        raise ValueError("calibration needs right and wrong answers; these are all of one kind")
    logits = torch.tensor([[calibration.logit(row)] for row in rows], dtype=torch.float64)
    shift, scale = _logistic_regression(logits, torch.tensor(right, dtype=torch.float64), penalty=0.0).tolist()
    if scale <= 0:
        return calibration
    return replace(
        calibration,
        weights={name: scale * weight for name, weight in calibration.weights.items()},
        intercept=scale * calibration.intercept + shift,
    )


def _logistic_regression(design: torch.Tensor, labels: torch.Tensor, penalty: float) -> torch.Tensor:
    """Intercept, then a weight a column; the squared weights are penalised."""
    parameters = torch.zeros(design.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logits = design @ parameters[1:] + parameters[0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss = loss + penalty * parameters[1:].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return parameters.detach()


def pick_threshold(
    confidences: Sequence[float], right: Sequence[bool], answerable: Sequence[bool], *, most_lost: float
) -> float:
    """The highest threshold that withholds at most `most_lost` of the answerable questions that were answered right.

    Args:
        confidences: of the chosen answers.
        right: whether each was right.
        answerable: whether the question has an answer in the knowledge base at all.
        most_lost: share of the answerable questions.
    """
    rights = sorted(
        confidence
        for confidence, good, has_answer in zip(confidences, right, answerable, strict=True)
        if good and has_answer
    )
    allowed = int(most_lost * sum(answerable))
    return rights[min(allowed, len(rights) - 1)] if rights else 0.0
