"""The answers of an evaluation so far, on disk and in memory: kept batch by batch, and found again after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from knowledge_bases.records import VqaExample
from rag_app.answers import Answer
from rag_app.atomic import discard_parts, write_json
from rag_app.datasets import Dataset
from rag_app.errors import InputError
from rag_app.evaluation.files import DETAILS, PREDICTIONS, REPORT, SETTINGS
from rag_app.evaluation.settings import BEM, different, on_all_devices
from rag_app.predictions import (
    Detail,
    Prediction,
    append_details,
    append_predictions,
    read_details,
    read_predictions,
    write_details,
    write_predictions,
)

__all__ = ["Record"]


class Record:
    """What is answered.

    Attributes:
        settings: what the answers depend on, with every kind of device that took part.
        predictions: by question_id.
        details: of the same questions.
        resumed: how many of them were there already.
    """

    def __init__(self, output: Path, dataset: Dataset, settings: Mapping[str, Any]) -> None:
        """Takes up what an output folder holds; no other process may be writing there.

        Raises:
            InputError: it holds predictions of other settings or of other questions, or a damaged file.
            OSError: it cannot be read or written.
        """
        self._output, self._dataset = output, dataset
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        discard_parts(output)
        self.predictions, self.details = self._read()
        self.resumed = len(self.predictions)
        write_json(output / SETTINGS, self.settings)

    def keep(self, answered: Sequence[tuple[VqaExample, Answer]]) -> None:
        """Has a batch on disk before it returns; the details first, so that every prediction has its own."""
        predictions = [_prediction(example, answer) for example, answer in answered]
        details = [_detail(example, answer) for example, answer in answered]
        ids = self._dataset.integer_ids
        append_details(self._output / DETAILS, details, integer_ids=ids)
        append_predictions(self._output / PREDICTIONS, predictions, integer_ids=ids)
        self.predictions.update((one.question_id, one) for one in predictions)
        self.details.update((one.question_id, one) for one in details)

    def _read(self) -> tuple[dict[str, Prediction], dict[str, Detail]]:
        """The predictions made so far with the same settings, and their details."""
        output, dataset = self._output, self._dataset
        predictions, details = read_predictions(output / PREDICTIONS), read_details(output / DETAILS)
        if predictions:
            earlier = self._earlier_settings()
            self.settings = on_all_devices(self.settings, [earlier])
            if self.settings.get(BEM) != earlier.get(BEM):  # scored anew: what stands there is finished no more
                (output / REPORT).unlink(missing_ok=True)
        known = {example.question_id for example in dataset.examples}
        unknown = predictions.keys() - known
        if unknown:
            raise InputError(
                f"{output / PREDICTIONS} has questions that are not in {dataset.path}, such as {min(unknown)!r}; "
                "give another --output"
            )
        whole = [question_id for question_id in predictions if question_id in details]
        if not len(whole) == len(predictions) == len(details):  # stopped between the two files
            predictions = {question_id: predictions[question_id] for question_id in whole}
            details = {question_id: details[question_id] for question_id in whole}
            write_predictions(output / PREDICTIONS, predictions.values(), integer_ids=dataset.integer_ids)
            write_details(output / DETAILS, details.values(), integer_ids=dataset.integer_ids)
        return predictions, details

    def _earlier_settings(self) -> dict[str, Any]:
        """Those that the predictions were made with; an InputError where the answers depend on a difference.

        BEM may join them later, since every answer is scored at the end; it may not leave or become another one.
        """
        try:
            earlier = json.loads((self._output / SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            earlier = None
        earlier = earlier if isinstance(earlier, dict) else {}
        joined = {} if earlier.get(BEM) else {BEM: self.settings.get(BEM)}
        if others := different(self.settings, {**earlier, **joined}):
            raise InputError(
                f"{self._output} holds predictions made with other settings ({', '.join(others)}); "
                "give another --output, or delete that folder to start again"
            )
        return earlier


def _prediction(example: VqaExample, answer: Answer) -> Prediction:
    return Prediction(
        question_id=example.question_id,
        answer=answer.text,
        confidence=round(answer.confidence, 4),
        passage_ids=tuple(found.passage.passage_id for found in answer.passages),
    )


def _detail(example: VqaExample, answer: Answer) -> Detail:
    return Detail(
        question_id=example.question_id,
        abstained=answer.abstained,
        passage_scores=tuple(round(found.score, 4) for found in answer.passages),
    )
