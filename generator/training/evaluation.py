"""Measures a reader: right answers, recognised absences, by kind of question."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.protocol import Generator
from knowledge_bases.records import Passage, VisualQuestion
from knowledge_bases.world_flags.country import CountryFacts
from knowledge_bases.world_flags.invent import edit_country
from knowledge_bases.world_flags.passages import write_passages
from knowledge_bases.world_flags.questions import questions_about
from knowledge_bases.world_flags.relations import find_answer

__all__ = ["ReadingCase", "ReadingScore", "colloquial_cases", "flag_cases", "normalised", "score_reader"]


@dataclass(frozen=True, kw_only=True)
class ReadingCase:
    """A question about one passage with its accepted answers; none means that the passage does not hold it."""

    question: str
    passage: Passage
    answers: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadingScore:
    """What `score_reader` found.

    Attributes:
        right: share of answerable questions whose best span is an accepted answer.
        detected: share of unanswerable questions with a no-answer probability over one half.
        withheld: share of answerable questions with a no-answer probability over one half.
        by_kind: kind -> (number right, number asked).
        wrong: (question, proposed, accepted, no-answer probability) of what went wrong.
    """

    right: float
    detected: float
    withheld: float
    by_kind: dict[str, tuple[int, int]]
    wrong: tuple[tuple[str, str, tuple[str, ...], float], ...]


def normalised(text: str) -> str:
    """Lower-case, without articles, edge punctuation and spare blanks."""
    text = re.sub(r"\b(a|an|the)\b", " ", text.lower())
    return " ".join(text.split()).strip(" .,;:\"'()")


def colloquial_cases() -> list[ReadingCase]:
    """The hand-written questions of `colloquial.txt`."""
    cases: list[ReadingCase] = []
    passage: Passage | None = None
    for line in (Path(__file__).parent / "colloquial.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            title, _, text = line[2:].partition(" | ")
            passage = Passage(passage_id=title, title=title, text=text)
        elif line.startswith("? ") and passage is not None:
            question, _, right = line[2:].partition("->")
            answers = tuple(part.strip() for part in right.split("|") if part.strip())
            cases.append(
                ReadingCase(question=question.strip(), passage=passage, answers=answers, kind=passage.passage_id)
            )
    return cases


def flag_cases(countries: dict[str, CountryFacts], split: str, *, edited_seed: int | None = None) -> list[ReadingCase]:
    """Every question of every country once, in phrasings of the split, with the passage that holds the answer.

    After each comes the same question with a passage of the same country that does not hold it.

    Args:
        countries: the real ones.
        split: whose phrasings: "train", "validation" or "test".
        edited_seed: exchange about half of the facts for invented ones before the passages are written.
    """
    rng = random.Random(f"{split}/{edited_seed}")
    cases: list[ReadingCase] = []
    for real in countries.values():
        facts = real if edited_seed is None else edit_country(real, rng)
        passages = {passage.passage_id: passage for passage in write_passages(facts)}
        asked = questions_about(facts, rng, split=split)
        for question in rng.sample(asked, min(4, len(asked))):
            passage = passages[question.positive_ids[0]]
            cases.append(
                ReadingCase(question=question.text, passage=passage, answers=question.variants, kind=question.relation)
            )
            lacking = [
                other
                for key, other in passages.items()
                if key not in question.positive_ids
                and not any(find_answer(other.content, v) for v in question.variants)
            ]
            if lacking:
                cases.append(
                    ReadingCase(question=question.text, passage=rng.choice(lacking), answers=(), kind="no answer")
                )
    return cases


def score_reader(reader: Generator, cases: Sequence[ReadingCase]) -> ReadingScore:
    """Ask every question of its one passage.

    Raises:
        ValueError: no case is answerable.
    """
    found = reader.propose_batch(
        [VisualQuestion(text=case.question) for case in cases], [[case.passage] for case in cases]
    )
    by_kind: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    wrong: list[tuple[str, str, tuple[str, ...], float]] = []
    n_answerable = n_right = n_withheld = n_absent = n_detected = 0
    for case, (candidate,) in zip(cases, found, strict=True):
        absent = candidate.no_answer_probability > 0.5
        if case.answers:
            right = normalised(candidate.answer) in {normalised(answer) for answer in case.answers}
            n_answerable += 1
            n_right += right
            n_withheld += absent
        else:
            right = absent
            n_absent += 1
            n_detected += right
        by_kind[case.kind][0] += right
        by_kind[case.kind][1] += 1
        if not right:
            wrong.append((case.question, candidate.answer, case.answers, candidate.no_answer_probability))
    if not n_answerable:
        raise ValueError("none of the cases has an answer")
    return ReadingScore(
        right=n_right / n_answerable,
        detected=n_detected / n_absent if n_absent else 1.0,
        withheld=n_withheld / n_answerable,
        by_kind={kind: (right, asked) for kind, (right, asked) in sorted(by_kind.items())},
        wrong=tuple(wrong),
    )
