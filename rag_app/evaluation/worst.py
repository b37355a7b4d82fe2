"""The questions that went most wrong, with all that is needed to look at them: `worst.jsonl` holds one a row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from knowledge_bases.records import Passage, VqaExample
from rag_app.atomic import write_text
from rag_app.errors import InputError, one_line
from rag_app.evaluation.outcomes import Outcome, Verdict, holds_answer, outcome_from_row
from rag_app.json_lines import read_json_lines
from rag_app.thumbnails import data_uri

__all__ = ["MOST", "Case", "CasePassage", "case_of", "read_cases", "worst", "write_cases"]

MOST = 50
_LONGEST_TEXT = 600
_THUMBNAIL_SIDE = 176  # pixels; the page shows it as wide


@dataclass(frozen=True, kw_only=True)
class CasePassage:
    """A passage that was read; `right` tells that the dataset names it, `holds_answer` that an answer stands in it."""

    passage_id: str
    title: str
    text: str
    score: float
    right: bool
    holds_answer: bool


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question that went wrong.

    Attributes:
        outcome: what became of it.
        question: what was asked.
        expected: the right answers, the commonest first.
        passages: what was read, best first.
        thumbnail: the picture as a data address of a small JPEG; empty without one.
    """

    outcome: Outcome
    question: str
    expected: tuple[str, ...]
    passages: tuple[CasePassage, ...]
    thumbnail: str


def worst(outcomes: Iterable[Outcome], *, most: int = MOST) -> list[Outcome]:
    """The wrong answers, those given with the greatest confidence first among equally wrong ones."""
    wrong = [one for one in outcomes if one.verdict not in (Verdict.RIGHT, Verdict.UNSCORED)]
    return sorted(wrong, key=lambda one: (one.judged or 0.0, -one.confidence, one.line))[:most]


def case_of(
    outcome: Outcome,
    example: VqaExample,
    passages: Sequence[Passage],
    passage_scores: Sequence[float],
    open_image: Callable[[], Image.Image | None],
) -> Case:
    """All that is shown of one question.

    Args:
        outcome: what became of it.
        example: what was asked.
        passages: what was read, best first.
        passage_scores: their scores, in the same order.
        open_image: opens the question's picture.
    """
    positives = set(example.pos_passage_ids)
    return Case(
        outcome=outcome,
        question=example.question,
        expected=tuple(answer for answer, _ in Counter(example.answers).most_common(5)),
        passages=tuple(
            CasePassage(
                passage_id=passage.passage_id,
                title=passage.title,
                text=_cut(passage.text),
                score=round(score, 4),
                right=passage.passage_id in positives,
                holds_answer=holds_answer(passage, example.answers),
            )
            for passage, score in zip(passages, passage_scores, strict=True)
        ),
        thumbnail=_thumbnail(open_image),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT].rsplit(" ", 1)[0] + " ..."


def _thumbnail(open_image: Callable[[], Image.Image | None]) -> str:
    try:
        image = open_image()
    except InputError:
        return ""
    return "" if image is None else data_uri(image, _THUMBNAIL_SIDE)


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Replaces the file in one step."""
    write_text(path, "".join(json.dumps(asdict(case), ensure_ascii=False) + "\n" for case in cases))


def read_cases(path: Path) -> list[Case]:
    """The rows of a finished evaluation.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return [
            Case(
                outcome=outcome_from_row(row["outcome"]),
                question=row["question"],
                expected=tuple(row["expected"]),
                passages=tuple(CasePassage(**passage) for passage in row["passages"]),
                thumbnail=row["thumbnail"],
            )
            for row in read_json_lines(path)
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read ({one_line(error)}); give the output folder of a finished evaluation"
        ) from error
