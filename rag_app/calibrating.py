"""Fits a reader's calibration on a validation split: retrieval temperature, confidence, threshold of abstaining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from generator.calibration import Calibration, fit_calibration, pick_threshold
from generator.choosing import Choice, choose
from generator.protocol import Candidate
from knowledge_bases.records import VisualQuestion
from rag_app.datasets import Dataset
from rag_app.errors import InputError
from rag_app.metrics import vqa_accuracy
from rag_app.pictures import open_picture
from rag_app.pipeline import RagPipeline

__all__ = ["Read", "fit", "read_dataset"]

TEMPERATURES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Read:
    """One question read: what was proposed, from passages of which scores, and what would have been right."""

    candidates: tuple[Candidate, ...]
    scores: tuple[float, ...]
    answers: tuple[str, ...]

    def choose(self, calibration: Calibration) -> tuple[Choice, float]:
        """The choice under a calibration, and its VQA accuracy."""
        choice = choose(self.candidates, self.scores, calibration=calibration)
        return choice, vqa_accuracy(choice.answer, self.answers)


def read_dataset(
    pipeline: RagPipeline, dataset: Dataset, *, progress: Callable[[int, int], None] | None = None
) -> list[Read]:
    """Finds and reads the passages of every question.

    Raises:
        InputError: the pipeline does not retrieve, or a picture cannot be opened.
    """
    if pipeline.finder is None:
        raise InputError("calibration needs retrieval; open the application with a retriever")
    reads: list[Read] = []
    for start in range(0, len(dataset.examples), BATCH):
        examples = dataset.examples[start : start + BATCH]
        pictures = [dataset.picture_of(example) for example in examples]
        questions = [
            VisualQuestion(
                text=example.question,
                image=None if path is None else open_picture(path),
                instruction=example.instruction,
            )
            for example, path in zip(examples, pictures, strict=True)
        ]
        found = pipeline.finder.find(questions, k=pipeline.k)
        proposed = pipeline.generator.propose_batch(questions, [[one.passage for one in few] for few in found])
        for example, passages, candidates in zip(examples, found, proposed, strict=True):
            scores = tuple(passage.score for passage in passages)
            reads.append(Read(candidates=tuple(candidates), scores=scores, answers=example.answers))
        if progress is not None:
            progress(len(reads), len(dataset.examples))
    return reads


def fit(reads: Sequence[Read], *, most_lost: float = 0.03) -> tuple[Calibration, dict[str, float]]:
    """The temperature with the best VQA accuracy, then the confidence, then the threshold.

    Args:
        reads: of a validation split.
        most_lost: share of right answers that abstaining may cost.

    Returns:
        The calibration, and VQA accuracy by temperature.

    Raises:
        InputError: all answers are right, or all are wrong.
    """
    accuracy = {
        temperature: sum(read.choose(Calibration(temperature=temperature))[1] for read in reads) / len(reads)
        for temperature in TEMPERATURES
    }
    best = max(TEMPERATURES, key=lambda temperature: accuracy[temperature])
    chosen = [read.choose(Calibration(temperature=best)) for read in reads]
    right = [score >= 0.5 for _, score in chosen]
    try:
        calibration = fit_calibration([choice.features for choice, _ in chosen], right, temperature=best)
    except ValueError as error:
        raise InputError(str(error)) from error
    confidences = [read.choose(calibration)[0].confidence for read in reads]
    threshold = pick_threshold(confidences, right, [True] * len(reads), most_lost=most_lost)
    return replace(calibration, threshold=threshold), {str(key): value for key, value in accuracy.items()}
