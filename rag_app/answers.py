"""What the pipeline gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from knowledge_bases.records import ScoredPassage

__all__ = ["Answer", "AnswerCandidate"]


@dataclass(frozen=True, kw_only=True)
class AnswerCandidate:
    """One answer that was considered.

    Attributes:
        passage_id: the passage it was read from, or None when it was made without one.
        answer: its text.
        passage_probability: p(passage | question) among the passages found; 1 when it was made without one.
        answer_probability: p(answer | question, picture, passage).
        chosen: whether it is the one that won.
    """

    passage_id: str | None
    answer: str
    passage_probability: float
    answer_probability: float
    chosen: bool = False

    @property
    def score(self) -> float:
        """The product of the two probabilities, in [0, 1].

        The highest wins among those that are not empty, but for a generator that spells its answers: there the choice
        takes the mean over an answer's tokens (`generator.protocol.Candidate.compared`).
        """
        return self.passage_probability * self.answer_probability


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one question, with its evidence.

    Attributes:
        text: the best answer; it is only a guess when `abstained` is true.
        confidence: probability that the text is right, in [0, 1], calibrated where the generator's checkpoint says how.
        passages: what was found, best first.
        candidates: the answers considered, in the order of the passages that they came from; while it is not complete
            those that there are, in the order in which they came.
        timings_ms: milliseconds by stage, and `total`.
        abstained: whether the evidence is too weak to stand by the text.
        threshold: the confidence from which an answer is given; 0 where nothing says so.
        complete: False in the first parts of a stream: the passages, then what is written so far of the first guess,
            then the best of the candidates so far.
    """

    text: str
    confidence: float
    passages: tuple[ScoredPassage, ...] = ()
    candidates: tuple[AnswerCandidate, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    abstained: bool = False
    threshold: float = 0.0
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        """The answer as plain values; `answer` is empty where the pipeline abstained (the guesses are candidates)."""
        return {
            "answer": "" if self.abstained else self.text,
            "confidence": round(self.confidence, 4),
            "abstained": self.abstained,
            "passages": [
                {
                    "passage_id": found.passage.passage_id,
                    "title": found.passage.title,
                    "text": found.passage.text,
                    "score": round(found.score, 4),
                    **({"knowledge_base": found.knowledge_base} if found.knowledge_base else {}),
                }
                for found in self.passages
            ],
            "candidates": [
                {
                    "passage_id": one.passage_id,
                    "answer": one.answer,
                    "score": round(one.score, 4),
                    "passage_probability": float(f"{one.passage_probability:.6g}"),  # may be very small
                    "answer_probability": float(f"{one.answer_probability:.6g}"),
                    "chosen": one.chosen,
                }
                for one in self.candidates
            ],
            "timings_ms": {stage: round(taken, 1) for stage, taken in self.timings_ms.items()},
        }
