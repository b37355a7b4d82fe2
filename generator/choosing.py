"""Choosing among the candidates of several passages, as RA-VQA does (arXiv:2210.03809).

The answer that wins maximises log p(passage | query) + log p(answer | question, image, passage), where
p(passage | query) is the softmax of the retrieval scores over the passages found. Of a generator that spells its
answers token by token the second is the mean over the tokens, as in RA-VQA's code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generator.calibration import Calibration
from generator.protocol import Candidate

__all__ = ["Choice", "choose", "joint_scores"]

_SURE_OF_ABSENCE = 0.5
_SURE_OF_OBJECT = 6.0  # log odds; beyond them an object is no more there, or not there


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The outcome of `choose`.

    Attributes:
        index: which candidate won.
        answer: its text.
        confidence: probability that it is right, in [0, 1]; below the threshold where every passage lacks the answer.
        abstained: whether the evidence is too weak to answer.
        scores: the joint score of each candidate, log p(passage | query) + `Candidate.compared`.
        features: what the confidence was computed from; see `generator.calibration.FEATURES`.
    """

    index: int
    answer: str
    confidence: float
    abstained: bool
    scores: tuple[float, ...]
    features: Mapping[str, float]


def joint_scores(
    candidates: Sequence[Candidate], retrieval_scores: Sequence[float], *, temperature: float, exact: bool = False
) -> list[float]:
    """log_softmax(retrieval scores / temperature) + `Candidate.compared` of each candidate.

    A candidate made without a passage keeps its own.

    Args:
        candidates: of one question.
        retrieval_scores: of the passages.
        temperature: that retrieval scores are divided by.
        exact: takes `Candidate.log_likelihood` instead: the sum is then log p(passage, answer | query).
    """
    logits = [score / temperature for score in retrieval_scores]
    top = max(logits, default=0.0)
    normaliser = top + math.log(sum(math.exp(logit - top) for logit in logits)) if logits else 0.0
    return [
        (candidate.log_likelihood if exact else candidate.compared)
        + (0.0 if candidate.passage_index is None else logits[candidate.passage_index] - normaliser)
        for candidate in candidates
    ]


def choose(
    candidates: Sequence[Candidate],
    retrieval_scores: Sequence[float],
    *,
    picture_scores: Sequence[float | None] = (),
    object_scores: Sequence[float | None] = (),
    pictured: bool = True,
    calibration: Calibration | None = None,
    merge_equal: bool = False,
) -> Choice:
    """Choose the answer; an empty one wins only where all are empty.

    Args:
        candidates: of one question; one a passage, or a single one made without knowledge.
        retrieval_scores: of the passages, in the order of `Candidate.passage_index`; empty without retrieval.
        picture_scores: the part of each retrieval score that is the picture's; None or empty where it is not known.
        object_scores: for each passage, log odds that the picture shows an object of the kind that the retriever
            knows; None or empty where that is not known or does not matter.
        pictured: whether the question has a picture.
        calibration: of the confidence; None leaves it uncalibrated and never abstains by threshold.
        merge_equal: add up the probabilities of equal answers before comparing (the reference does not).

    Raises:
        ValueError: there is no candidate, or one names a passage that has no score.
    """
    if not candidates:
        raise ValueError("there is no candidate to choose from")
    if any(c.passage_index is not None and c.passage_index >= len(retrieval_scores) for c in candidates):
        raise ValueError(f"a candidate names a passage beyond the {len(retrieval_scores)} retrieval scores")
    calibration = (calibration or Calibration()).of(pictured=pictured)
    scores = joint_scores(candidates, retrieval_scores, temperature=calibration.temperature)
    exact = joint_scores(candidates, retrieval_scores, temperature=calibration.temperature, exact=True)
    merged = [_mass(candidates, exact, candidate.answer) for candidate in candidates]
    ranking = merged if merge_equal else scores
    index = max(range(len(candidates)), key=lambda i: (bool(candidates[i].answer), ranking[i], scores[i]))
    features = _features(candidates, retrieval_scores, scores, index, merged[index])
    place = candidates[index].passage_index
    if (picture := _known(picture_scores, place)) is not None:
        features["picture"] = picture
    if (seen := _known(object_scores, place)) is not None:
        features["object"] = max(-_SURE_OF_OBJECT, min(_SURE_OF_OBJECT, seen))
    confidence = 0.0 if not candidates[index].answer else calibration.confidence(features)
    lacking = all(candidate.no_answer_probability > _SURE_OF_ABSENCE for candidate in candidates)
    if lacking and calibration.threshold:  # what is reported says the same as the abstaining
        confidence = min(confidence, calibration.threshold) * (1.0 - features["no_answer"])
    return Choice(
        index=index,
        answer=candidates[index].answer,
        confidence=confidence,
        abstained=lacking or not candidates[index].answer or confidence < calibration.threshold,
        scores=tuple(scores),
        features=features,
    )


def _known(scores: Sequence[float | None], place: int | None) -> float | None:
    return scores[place] if place is not None and place < len(scores) else None


def _key(answer: str) -> str:
    """Answers with the same key count as equal."""
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", answer.lower()).split()).strip(" .,;:\"'")


def _mass(candidates: Sequence[Candidate], scores: Sequence[float], answer: str) -> float:
    """Log of the summed joint probability of all candidates with this answer."""
    equal = [s for c, s in zip(candidates, scores, strict=True) if _key(c.answer) == _key(answer)]
    top = max(equal)
    return top if math.isinf(top) else min(0.0, top + math.log(sum(math.exp(score - top) for score in equal)))


def _features(
    candidates: Sequence[Candidate],
    retrieval_scores: Sequence[float],
    scores: Sequence[float],
    index: int,
    mass: float,
) -> dict[str, float]:
    chosen = candidates[index]
    floor = -30.0  # keeps a hopeless candidate from leaving the range where the logistic model was fitted
    best, *others = sorted(scores, reverse=True)
    return {
        "reading": max(floor, chosen.log_likelihood),
        "retrieval": max(floor, scores[index] - chosen.compared),
        "best_score": max(retrieval_scores, default=0.0),
        "agreement": max(floor, mass),
        "no_answer": min(candidate.no_answer_probability for candidate in candidates),
        "lead": min(-floor, best - others[0]) if others else -floor,
        "spread": max(retrieval_scores, default=0.0) - min(retrieval_scores, default=0.0),
    }
