"""What every generator offers: one answer proposed for each passage, with its likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["Candidate", "Generator", "SingleQuestions"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One proposed answer.

    Attributes:
        answer: the text; empty when nothing is proposed.
        log_likelihood: log p(answer | question, image, passage), natural logarithm, at most 0: the sum of the answer's
            tokens' log-probabilities.
        passage_index: which of the given passages it was read from; None when it was made without any.
        no_answer_probability: how sure the generator is that the passage does not hold the answer, in [0, 1];
            0 for generators that cannot tell.
        mean_log_likelihood: of a generator that spells its answers, the mean over their tokens; None for others.
    """

    answer: str
    log_likelihood: float
    passage_index: int | None
    no_answer_probability: float = 0.0
    mean_log_likelihood: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.no_answer_probability <= 1.0:
            raise ValueError(f"no_answer_probability must lie in [0, 1], not {self.no_answer_probability}")

    @property
    def compared(self) -> float:
        """What is compared between passages: the mean where there is one, as RA-VQA's code does (the score of its beam
        search), so that a long answer is not the worse for its length; else the log-likelihood."""
        return self.log_likelihood if self.mean_log_likelihood is None else self.mean_log_likelihood


@runtime_checkable
class Generator(Protocol):
    """Proposes answers to a question about a picture, one from each passage."""

    def propose(self, question: VisualQuestion, passages: Sequence[Passage]) -> list[Candidate]:
        """One candidate a passage, in the same order; without passages, one candidate made without knowledge."""
        ...

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """`propose` for several questions at once.

        Raises:
            ValueError: the two sequences differ in length.
        """
        ...


class _Batches(Protocol):
    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """See `Generator.propose_batch`."""
        ...


class SingleQuestions:
    """For generators that answer a single question as a batch of one."""

    def propose(self: _Batches, question: VisualQuestion, passages: Sequence[Passage]) -> list[Candidate]:
        """One candidate a passage, in the same order; without passages, one candidate made without knowledge."""
        return self.propose_batch([question], [passages])[0]
