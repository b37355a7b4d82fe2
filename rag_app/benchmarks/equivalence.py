"""The official score of Encyclopedic-VQA, of many answers at a time: BEM is asked wherever exact match fails."""

from __future__ import annotations

from collections.abc import Sequence

from knowledge_bases.records import VqaExample
from rag_app.metrics.bem import Bem, Compared
from rag_app.metrics.evqa import EVQA, EVQA_EXACT, MULTI_ANSWER, split_references
from rag_app.metrics.questions import Afterwards, Extra

__all__ = ["with_bem"]


def with_bem(exact: Extra, bem: Bem) -> Afterwards:
    """Scores "E-VQA" as `score --bem` does.

    Args:
        exact: gives "E-VQA exact match" of one answer; none where the official scorer refuses the question, which then
            has no "E-VQA" either.
        bem: the model of answer equivalence.
    """

    def score(examples: Sequence[VqaExample], answers: Sequence[str]) -> list[dict[str, float]]:
        found = [exact(one, answer).get(EVQA_EXACT) for one, answer in zip(examples, answers, strict=True)]
        failed = [place for place, value in enumerate(found) if value == 0.0]
        for place, value in zip(
            failed, bem.matches([_compared(examples[place], answers[place]) for place in failed]), strict=True
        ):
            found[place] = value
        return [{} if value is None else {EVQA: value} for value in found]

    return score


def _compared(example: VqaExample, answer: str) -> Compared:
    return Compared(
        question=example.question,
        references=[part for text in example.answers for part in split_references(text)],
        candidate=answer,
        lists=example.question_type == MULTI_ANSWER,
    )
