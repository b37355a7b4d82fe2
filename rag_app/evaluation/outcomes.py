"""What became of each question: its scores, and where a wrong answer was lost. `scores.jsonl` holds one a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from knowledge_bases.records import Passage, VqaExample
from rag_app.atomic import write_text
from rag_app.errors import InputError, one_line
from rag_app.evaluation.modes import Mode
from rag_app.json_lines import read_json_lines
from rag_app.metrics.judging import earlier_judge, judge_of
from rag_app.metrics.questions import score_question
from rag_app.predictions import Detail, Prediction

__all__ = ["Outcome", "Verdict", "holds_answer", "outcome_from_row", "outcome_of", "read_outcomes", "write_outcomes"]

_RIGHT = 0.5  # of the metric that decides


class Verdict:
    """Where a question was lost.

    RETRIEVAL: no passage found is a right one, or contains an answer. READING: one is or does, and the answer is wrong
    all the same. NO_PASSAGES: wrong, and nothing was to be read. UNSCORED: the dataset has no answer to it.
    """

    RIGHT = "right"
    RETRIEVAL = "retrieval miss"
    READING = "reading miss"
    NO_PASSAGES = "wrong without passages"
    UNSCORED = "no reference answer"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One question scored.

    Attributes:
        line: its line in the dataset.
        question_id: its id.
        question_type: its group, or "".
        answer: what was answered.
        confidence: in [0, 1].
        abstained: whether the application would have withheld the answer.
        verdict: a value of `Verdict`.
        judge: the metric that tells whether the answer is right (`rag_app.metrics.judging`); "" where none does.
        scores: by metric name.
    """

    line: int
    question_id: str
    question_type: str
    answer: str
    confidence: float
    abstained: bool
    verdict: str
    judge: str
    scores: Mapping[str, float]

    @property
    def judged(self) -> float | None:
        """The score that tells whether the answer is right; None where no answer is known."""
        return self.scores.get(self.judge)


def outcome_of(
    example: VqaExample,
    prediction: Prediction,
    detail: Detail,
    *,
    line: int,
    mode: Mode,
    passages: Sequence[Passage],
    k: int,
    recall_at: Sequence[int] = (),
    extra: Mapping[str, float] | None = None,
    judge: str = "",
) -> Outcome:
    """Scores one question.

    Args:
        example: what was asked, with the right answers.
        prediction: what was answered.
        detail: what else is known of the answer.
        line: of the example in its dataset.
        mode: where the passages came from; Recall is scored only of retrieval.
        passages: those of the prediction, in its order.
        k: how many passages were read.
        recall_at: at which ranks retrieval is scored; see `rag_app.metrics.questions.score_question`.
        extra: further scores.
        judge: the benchmark's choice of what decides; see `rag_app.metrics.judging.judge_of`.
    """
    scores = score_question(
        prediction.answer,
        example.answers,
        passage_ids=prediction.passage_ids if mode is Mode.RETRIEVAL else None,
        contents=[passage.content for passage in passages],
        pos_passage_ids=example.pos_passage_ids,
        k=k,
        recall_at=recall_at,
    ) | dict(extra or {})
    decides = judge_of(scores, len(example.answers), wanted=judge)
    return Outcome(
        line=line,
        question_id=example.question_id,
        question_type=example.question_type,
        answer=prediction.answer,
        confidence=prediction.confidence,
        abstained=detail.abstained,
        verdict=_verdict(example, scores.get(decides), passages[:k]),
        judge=decides,
        scores=scores,
    )


def _verdict(example: VqaExample, score: float | None, passages: Sequence[Passage]) -> str:
    if score is None:
        return Verdict.UNSCORED
    if score >= _RIGHT:
        return Verdict.RIGHT
    if not passages:
        return Verdict.NO_PASSAGES
    positives = set(example.pos_passage_ids)
    found = any(passage.passage_id in positives or holds_answer(passage, example.answers) for passage in passages)
    return Verdict.READING if found else Verdict.RETRIEVAL


def holds_answer(passage: Passage, answers: Iterable[str]) -> bool:
    """Whether a passage contains any answer that is not empty, as Pseudo-Recall looks for it.

    Where an answer is written as in Encyclopedic-VQA, one of the alternatives between `|` is enough, and of a list
    (`&&`) all parts have to be there.
    """
    content = passage.content.lower()
    lists = (one.lower().split("&&") for answer in answers for one in answer.split("|") if one.strip(" &"))
    return any(all(part.strip() in content for part in parts) for parts in lists)


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Replaces the file in one step."""
    write_text(path, "".join(json.dumps(asdict(outcome), ensure_ascii=False) + "\n" for outcome in outcomes))


def read_outcomes(path: Path) -> list[Outcome]:
    """The rows of a finished evaluation.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return [outcome_from_row(row) for row in read_json_lines(path)]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({one_line(error)}); give the output folder of a finished evaluation"
        ) from error


def outcome_from_row(row: Any) -> Outcome:  # noqa: ANN401 - any JSON value
    """An outcome as it was written; early ones do not say what decided.

    Raises:
        TypeError: it is no such row.
    """
    return Outcome(**{"judge": earlier_judge(row.get("scores", ())), **row} if isinstance(row, dict) else row)
