"""Answers a dataset's questions in batches and scores the answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from knowledge_bases.records import VisualQuestion, VqaExample
from rag_app.atomic import write_json
from rag_app.datasets import Dataset
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.metrics.questions import QuestionScores, mean_scores, score_question
from rag_app.pictures import open_picture
from rag_app.pipeline import RagPipeline
from rag_app.predictions import Prediction, append_predictions, read_predictions
from rag_app.stores import SharedStore

__all__ = ["evaluate", "prepare_output"]

PREDICTIONS, SETTINGS, REPORT = "predictions.jsonl", "settings.json", "report.json"
Progress = Callable[[int, int], None]


def prepare_output(folder: Path) -> None:
    """Makes the output folder and checks that it can be written: before any model is loaded.

    Raises:
        InputError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"the output folder {folder} cannot be written: {one_line(error)}") from error


def evaluate(
    pipeline: RagPipeline,
    dataset: Dataset,
    output: Path,
    *,
    store: SharedStore | None,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    batch_size: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Answers every question, then writes and returns the report.

    Questions that `output` already has predictions for are not asked again. Every question gets the pipeline's best
    answer, also where the application would abstain: VQA accuracy is defined on forced answers.

    Args:
        pipeline: what answers.
        dataset: what is asked.
        output: an existing folder for `predictions.jsonl`, `settings.json` and `report.json`.
        store: the passages, for Pseudo-Recall; None when nothing is retrieved.
        settings: everything that the answers depend on, as JSON values; kept beside the predictions so that predictions
            of different settings are never mixed.
        versions: versions of the packages, for the manifest.
        batch_size: questions at a time.
        progress: told (questions done, questions in all).

    Raises:
        InputError: `output` holds predictions of other settings, a picture is damaged, or a file cannot be written.
    """
    started = time.monotonic()
    with reported_as_input(f"output folder {output}", kinds=(OSError,)):
        done = _resume(output, {**settings, "dataset_sha256": dataset.sha256}, dataset)
    resumed = len(done)
    if progress and resumed < len(dataset.examples):
        progress(resumed, len(dataset.examples))
    remaining = iter([example for example in dataset.examples if example.question_id not in done])
    while chunk := list(islice(remaining, batch_size)):
        predictions = _answer(pipeline, dataset, chunk)
        with reported_as_input(f"output folder {output}", kinds=(OSError,)):
            append_predictions(output / PREDICTIONS, predictions, integer_ids=dataset.integer_ids)
        done.update((prediction.question_id, prediction) for prediction in predictions)
        if progress:
            progress(len(done), len(dataset.examples))
    report = _report(dataset, done, store, k=pipeline.k if store is not None else None)
    report["manifest"] = {
        **settings,
        "dataset": str(dataset.path),
        "dataset_sha256": dataset.sha256,
        "versions": dict(versions),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
        "resumed_questions": resumed,
    }
    with reported_as_input(f"output folder {output}", kinds=(OSError,)):
        write_json(output / REPORT, report)
    return report


def _resume(output: Path, settings: Mapping[str, Any], dataset: Dataset) -> dict[str, Prediction]:
    """The predictions made so far with the same settings."""
    predictions = read_predictions(output / PREDICTIONS)
    settings_path = output / SETTINGS
    normal = json.loads(json.dumps(settings))
    if predictions:
        try:
            earlier = json.loads(settings_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            earlier = {}
        different = sorted(key for key in normal.keys() | earlier.keys() if normal.get(key) != earlier.get(key))
        if different:
            raise InputError(
                f"{output} holds predictions made with other settings ({', '.join(different)}); "
                "give another --output, or delete that folder to start again"
            )
    unknown = predictions.keys() - {example.question_id for example in dataset.examples}
    if unknown:
        raise InputError(
            f"{output / PREDICTIONS} has questions that are not in {dataset.path}, such as {min(unknown)!r}; "
            "give another --output"
        )
    write_json(settings_path, normal)
    return predictions


def _answer(pipeline: RagPipeline, dataset: Dataset, examples: Sequence[VqaExample]) -> list[Prediction]:
    questions = []
    for example in examples:
        path = dataset.picture_of(example)
        try:
            image = None if path is None else open_picture(path)
        except InputError as error:
            raise InputError(f"question {example.question_id}: {error}") from error
        questions.append(VisualQuestion(text=example.question, image=image, instruction=example.instruction))
    answers = pipeline.batch(questions)
    return [
        Prediction(
            question_id=example.question_id,
            answer=answer.text,
            confidence=round(answer.confidence, 4),
            passage_ids=tuple(found.passage.passage_id for found in answer.passages),
        )
        for example, answer in zip(examples, answers, strict=True)
    ]


def _report(
    dataset: Dataset, predictions: Mapping[str, Prediction], store: SharedStore | None, *, k: int | None
) -> dict[str, Any]:
    """Scores every question of the dataset."""
    scored: list[QuestionScores] = []
    by_type: dict[str, list[QuestionScores]] = {}
    for example in dataset.examples:
        prediction = predictions[example.question_id]
        contents = [passage.content for passage in store.get(prediction.passage_ids)] if store is not None else []
        scores = score_question(
            prediction.answer,
            example.answers,
            passage_ids=prediction.passage_ids if store is not None else None,
            contents=contents,
            pos_passage_ids=example.pos_passage_ids,
            k=k or 1,
        )
        scored.append(scores)
        by_type.setdefault(example.question_type, []).append(scores)
    return {
        **_values_and_counts(scored),
        "by_question_type": {
            name: _values_and_counts(scores) for name, scores in sorted(by_type.items()) if set(by_type) != {""}
        },
    }


def _values_and_counts(scored: Sequence[QuestionScores]) -> dict[str, Any]:
    means = mean_scores(scored)
    return {
        "metrics": {name: round(mean["value"], 6) for name, mean in means.items()},
        "counts": {"questions": len(scored), **{name: mean["count"] for name, mean in means.items()}},
    }
