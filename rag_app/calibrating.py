"""Fits a reader's calibration on a validation split: retrieval temperature, confidence, threshold of abstaining."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from generator.calibration import Calibration, fit_calibration, pick_threshold, rescaled
from generator.choosing import Choice, choose
from generator.protocol import Candidate
from knowledge_bases.records import VisualQuestion
from rag_app.datasets import Dataset
from rag_app.errors import InputError
from rag_app.metrics import vqa_accuracy
from rag_app.pictures import open_picture
from rag_app.pipeline import RagPipeline

__all__ = ["Read", "fit", "read_dataset", "read_questions"]

Progress = Callable[[int, int], None]
TEMPERATURES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
TOLERANCE = 0.002  # of VQA accuracy: a softer temperature tells sure from unsure better
BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Read:
    """One question read: what was proposed, from passages of which scores, and what, if anything, is right."""

    candidates: tuple[Candidate, ...]
    scores: tuple[float, ...]
    picture_scores: tuple[float | None, ...]
    answers: tuple[str, ...]
    object_scores: tuple[float | None, ...] = ()
    pictured: bool = True

    def choose(self, calibration: Calibration) -> tuple[Choice, float]:
        """The choice under a calibration, and its VQA accuracy."""
        choice = choose(
            self.candidates,
            self.scores,
            picture_scores=self.picture_scores,
            object_scores=self.object_scores,
            pictured=self.pictured,
            calibration=calibration,
        )
        return choice, vqa_accuracy(choice.answer, self.answers) if self.answers else 0.0


def read_dataset(pipeline: RagPipeline, dataset: Dataset, *, progress: Progress | None = None) -> list[Read]:
    """Finds and reads the passages of every question.

    Raises:
        InputError: the pipeline does not retrieve, or a picture cannot be opened.
    """
    questions = (
        VisualQuestion(
            text=example.question,
            image=None if (path := dataset.picture_of(example)) is None else open_picture(path),
            instruction=example.instruction,
        )
        for example in dataset.examples
    )
    answers = [example.answers for example in dataset.examples]
    return read_questions(pipeline, questions, answers, progress=progress)


def read_questions(
    pipeline: RagPipeline,
    questions: Iterable[VisualQuestion],
    answers: Sequence[tuple[str, ...]],
    *,
    progress: Progress | None = None,
) -> list[Read]:
    """Finds and reads the passages of questions with these accepted answers; no answer means that none is right.

    Raises:
        InputError: the pipeline does not retrieve.
    """
    if pipeline.finder is None:
        raise InputError("calibration needs retrieval; open the application with a retriever")
    reads: list[Read] = []
    coming = iter(questions)
    while batch := list(islice(coming, BATCH)):
        found = pipeline.finder.find(batch, k=pipeline.k)
        proposed = pipeline.generator.propose_batch(batch, [[one.passage for one in few] for few in found])
        for question, passages, candidates in zip(batch, found, proposed, strict=True):
            reads.append(
                Read(
                    candidates=tuple(candidates),
                    scores=tuple(passage.score for passage in passages),
                    picture_scores=tuple(passage.picture_score for passage in passages),
                    answers=answers[len(reads)],
                    object_scores=tuple(passage.object_score for passage in passages),
                    pictured=question.image is not None,
                )
            )
        if progress is not None:
            progress(len(reads), len(answers))
    return reads


def fit(reads: Sequence[Read], *, most_lost: float = 0.02) -> tuple[Calibration, dict[str, float]]:
    """The highest temperature with all but the best VQA accuracy, then the confidence, then the threshold.

    Questions that nothing answers teach the confidence what speaks against an answer; how high it is on the whole is
    then set by the answerable ones alone, since people mostly ask what can be answered. Questions without a picture, if
    there are any, get a calibration of their own.

    Args:
        reads: of a validation split, and of questions that nothing answers.
        most_lost: share of the answerable questions that abstaining may lose.

    Returns:
        The calibration, and VQA accuracy by temperature, of questions with a picture.

    Raises:
        InputError: all answers are right, or all are wrong.
    """
    alone = [read for read in reads if not read.pictured]
    pictured = [read for read in reads if read.pictured]
    calibration, accuracy = _fit_one_kind(pictured, most_lost)
    without_picture = _fit_one_kind(alone, most_lost)[0] if alone else None
    return replace(calibration, without_picture=without_picture), accuracy


def _fit_one_kind(reads: Sequence[Read], most_lost: float) -> tuple[Calibration, dict[str, float]]:
    answerable = [bool(read.answers) for read in reads]
    accuracy = {
        temperature: sum(read.choose(Calibration(temperature=temperature))[1] for read in reads)
        / max(1, sum(answerable))
        for temperature in TEMPERATURES
    }
    enough = max(accuracy.values()) - TOLERANCE
    best = max(temperature for temperature in TEMPERATURES if accuracy[temperature] >= enough)
    chosen = [read.choose(Calibration(temperature=best)) for read in reads]
    right = [score >= 0.5 for _, score in chosen]
    try:
        calibration = fit_calibration([choice.features for choice, _ in chosen], right, temperature=best)
        kept = [place for place, has_answer in enumerate(answerable) if has_answer]
        calibration = rescaled(calibration, [chosen[at][0].features for at in kept], [right[at] for at in kept])
    except ValueError as error:
        raise InputError(str(error)) from error
    confidences = [read.choose(calibration)[0].confidence for read in reads]
    threshold = pick_threshold(confidences, right, answerable, most_lost=most_lost)
    return replace(calibration, threshold=threshold), {str(key): value for key, value in accuracy.items()}
