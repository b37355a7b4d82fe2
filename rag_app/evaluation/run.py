"""Runs an evaluation: asks what is not answered yet, then scores and reports everything."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from knowledge_bases.records import Passage, VqaExample
from rag_app.datasets import Dataset, RowProblem
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.evaluation.asking import Asker, Prepared
from rag_app.evaluation.files import write_results
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.outcomes import Outcome, outcome_of
from rag_app.evaluation.record import Record
from rag_app.evaluation.report import make_report
from rag_app.evaluation.shards import WHOLE, Shard, batches
from rag_app.evaluation.worst import Case, case_of, worst
from rag_app.locking import folder_lock
from rag_app.metrics.judging import judge_of
from rag_app.metrics.questions import Afterwards, Extra, answer_scores
from rag_app.pipeline import RagPipeline
from rag_app.predictions import Prediction
from rag_app.stores import JoinedStore, Passages

__all__ = ["Run", "evaluate", "prepare_output"]

Progress = Callable[[int, int, str], None]
Report = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What an evaluation is made of.

    Attributes:
        pipeline: what answers.
        dataset: what is asked.
        mode: where the passages come from.
        store: the passages; None where none are used.
        settings: everything that the answers depend on, as JSON values; kept beside the predictions so that predictions
            of different settings are never mixed.
        versions: versions of the packages, for the manifest.
        batch_size: questions at a time.
        shard: which part of the dataset is asked.
        recall_at: at which ranks retrieval is scored; the usual ones up to the pipeline's k when empty.
        extra: further scores of an answer.
        afterwards: further scores that are made when all is asked, a batch at a time.
        judge: the metric that tells whether an answer is right, where the benchmark chooses one.
        black_picture: whether a question without a picture is searched with a black one.
    """

    pipeline: RagPipeline
    dataset: Dataset
    mode: Mode
    store: Passages | None
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    batch_size: int
    shard: Shard = WHOLE
    recall_at: tuple[int, ...] = ()
    extra: Extra | None = None
    afterwards: Afterwards | None = None
    judge: str = ""
    black_picture: bool = False


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
    run: Run,
    output: Path,
    *,
    beside: Sequence[tuple[str, Report]] = (),
    progress: Progress | None = None,
    scoring: Progress | None = None,
) -> Report:
    """Answers every question, then writes and returns the report.

    Questions that `output` already has predictions for are not asked again. Every question gets the pipeline's best
    answer, also where the application would abstain: VQA accuracy is defined on forced answers.

    Args:
        run: what is asked of what.
        output: an existing folder for the files of `rag_app.evaluation.files`.
        beside: titles and reports of earlier evaluations, for the page.
        progress: told (questions done, questions in all, the score so far).
        scoring: told (answers scored afterwards, answers in all, "").

    Raises:
        InputError: `output` holds predictions of other settings, or a file cannot be written.
    """
    with reported_as_input(f"output folder {output}", kinds=(OSError,)), folder_lock(output):
        run = replace(run, dataset=_positives_in(run.dataset, run.store))
        return _Evaluation(run, output, progress, scoring).finish(beside)


def _positives_in(dataset: Dataset, store: Passages | None) -> Dataset:
    """The right passages as they are called where several knowledge bases are asked together."""
    if not isinstance(store, JoinedStore):
        return dataset
    examples = tuple(
        replace(one, pos_passage_ids=tuple(full for own in one.pos_passage_ids for full in store.full_ids(own)))
        for one in dataset.examples
    )
    return replace(dataset, examples=examples)


class _Evaluation:
    def __init__(self, run: Run, output: Path, progress: Progress | None, scoring: Progress | None) -> None:
        self._run = run
        self._output = output
        self._progress = progress or _quietly
        self._scoring = scoring or _quietly
        self._started = time.monotonic()
        depth = max(run.recall_at, default=0)
        self._asker = Asker(
            run.pipeline,
            run.dataset,
            mode=run.mode,
            store=run.store,
            depth=depth,
            black_picture=run.black_picture,
        )
        self._plan = batches(run.dataset.examples, run.batch_size, run.shard)
        self._n_planned = sum(len(batch) for batch in self._plan)
        self._problems: list[RowProblem] = []  # of rows that are asked; those of the file are added at the end
        settings = {**run.settings, "dataset_sha256": run.dataset.sha256, **_shard_setting(run.shard)}
        self._record = Record(output, run.dataset, settings)
        self._running: dict[str, tuple[str, float]] = {}  # what decides, and its score, by question

    def finish(self, beside: Sequence[tuple[str, Report]]) -> Report:
        self._ask_all()
        outcomes, cases = self._score()
        of_the_file = [one for place, one in enumerate(self._run.dataset.problems) if self._run.shard.holds(place)]
        report = make_report(outcomes, [*of_the_file, *self._problems], manifest=self._manifest())
        predictions = [self._record.predictions[outcome.question_id] for outcome in outcomes]
        details = [self._record.details[outcome.question_id] for outcome in outcomes]
        write_results(
            self._output, report, outcomes, cases, predictions, details, self._run.dataset.integer_ids, beside=beside
        )
        return report

    def _ask_all(self) -> None:
        for example in (example for batch in self._plan for example in batch):
            if example.question_id in self._record.predictions:
                self._follow(example)
        if len(self._record.predictions) < self._n_planned:
            self._report_progress()
        for prepared in self._prepared():
            self._problems += prepared.problems
            if prepared.examples:
                asked = self._asker.ask(prepared)
                self._problems += [one for one in asked.problems if one.question_id not in self._record.predictions]
                answered = [pair for pair in asked.answered if pair[0].question_id not in self._record.predictions]
                self._record.keep(answered)
                for example, _ in answered:
                    self._follow(example)
                self._report_progress()

    def _prepared(self) -> Iterator[Prepared]:
        """The batches in turn; while one is asked, the pictures of the next are opened."""
        with ThreadPoolExecutor(max_workers=1) as opener:
            ahead: deque[Future[Prepared]] = deque()
            for batch in self._plan:
                ahead.append(opener.submit(self._asker.prepare, batch, self._record.predictions.keys()))
                if len(ahead) > 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _follow(self, example: VqaExample) -> None:
        if example.answers:
            answer = self._record.predictions[example.question_id].answer
            scores = answer_scores(answer, example.answers) | self._extra(example, answer)
            judge = judge_of(scores, len(example.answers), wanted=self._run.judge)
            self._running[example.question_id] = judge, scores[judge]

    def _report_progress(self) -> None:
        scores = [score for _, score in self._running.values()]
        judges = " or ".join(dict.fromkeys(judge for judge, _ in self._running.values()))
        note = f"{judges} {100 * sum(scores) / len(scores):.1f} %" if scores else ""
        self._progress(len(self._record.predictions) + len(self._problems), self._n_planned, note)

    def _score(self) -> tuple[list[Outcome], list[Case]]:
        """Every question that was answered, in the dataset's order, and the worst of them."""
        examples = {example.question_id: example for example in self._run.dataset.examples}
        afterwards = self._scored_afterwards()
        outcomes = []
        for example in self._run.dataset.examples:
            if example.question_id not in self._record.predictions:
                continue
            prediction = self._record.predictions[example.question_id]
            outcomes.append(
                outcome_of(
                    example,
                    prediction,
                    self._record.details[example.question_id],
                    line=self._run.dataset.lines[example.question_id],
                    mode=self._run.mode,
                    passages=self._passages(prediction),
                    k=self._run.pipeline.k,
                    recall_at=self._run.recall_at,
                    extra=self._extra(example, prediction.answer) | afterwards.get(example.question_id, {}),
                    judge=self._run.judge,
                )
            )
        return outcomes, [self._case(outcome, examples[outcome.question_id]) for outcome in worst(outcomes)]

    def _extra(self, example: VqaExample, answer: str) -> dict[str, float]:
        return self._run.extra(example, answer) if self._run.extra is not None else {}

    def _scored_afterwards(self) -> dict[str, dict[str, float]]:
        """By question; in the batches that are asked, which are the same after an interruption and in every shard."""
        found: dict[str, dict[str, float]] = {}
        if self._run.afterwards is None:
            return found
        predictions, done = self._record.predictions, 0
        for batch in self._plan:
            answered = [example for example in batch if example.question_id in predictions]
            answers = [predictions[example.question_id].answer for example in answered]
            scored = self._run.afterwards(answered, answers)
            found |= {example.question_id: scores for example, scores in zip(answered, scored, strict=True)}
            done += len(answered)
            self._scoring(done, len(predictions), "")
        return found

    def _passages(self, prediction: Prediction) -> list[Passage]:
        return self._run.store.get(prediction.passage_ids) if self._run.store is not None else []

    def _case(self, outcome: Outcome, example: VqaExample) -> Case:
        k = self._run.pipeline.k
        return case_of(
            outcome,
            example,
            self._passages(self._record.predictions[outcome.question_id])[:k],
            self._record.details[outcome.question_id].passage_scores[:k],
            lambda: self._asker.question_of(example).image,
        )

    def _manifest(self) -> dict[str, Any]:
        return {
            **self._record.settings,
            "dataset": str(self._run.dataset.path),
            "versions": dict(self._run.versions),
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._started, 1),
            "resumed_questions": self._record.resumed,
        }


def _quietly(done: int, total: int, note: str) -> None:
    pass


def _shard_setting(shard: Shard) -> dict[str, str]:
    return {} if shard == WHOLE else {"shard": str(shard)}
