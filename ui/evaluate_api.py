"""Evaluations over HTTP: run, listed, and compared, in JSON."""

from __future__ import annotations

import gradio as gr

from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.evaluation.files import read_report
from rag_app.evaluation.kept import compare_kept, delete_kept, list_kept
from ui.api import Json, add_endpoint, kindly, texts
from ui.evaluate_actions import MOST_QUESTIONS, UPLOADED, both_kept, dataset_of, evaluated
from ui.queues import READING

__all__ = ["add_evaluate_api"]


def add_evaluate_api(application: Application, inputs: list[gr.components.Component]) -> None:
    """Adds the endpoints `evaluate`, `evaluations`, `compare_evaluations` and `delete_evaluation`.

    Args:
        application: what answers.
        inputs: questions, pictures, modes and how many at most, as `evaluate` takes them.
    """

    def evaluate(
        questions: str | None = None,
        pictures: str | None = None,
        modes: list[str] | None = None,
        most: int = MOST_QUESTIONS,
        split: str = "",
    ) -> Json:
        """Asks and scores the questions of a file, or those that come with a knowledge base in use.

        Args:
            questions: a JSON Lines file of question_id, image, question and answers; nothing where a split is named.
            pictures: a zip archive with the pictures that it names, or nothing.
            modes: of "with retrieval" and "without retrieval".
            most: questions that are asked, from the start; 0 for all.
            split: questions that come with a knowledge base, such as "test", in place of a file.

        Returns:
            For each mode, the report: metrics, counts, calibration, problems and what the numbers depend on.
        """
        with kindly(questions):
            if split and questions:
                raise InputError("both a file and a split were given; give one of them")
            name, dataset = dataset_of(application, split or UPLOADED, questions, pictures)
            done = evaluated(application, dataset, name, modes or [], most, lambda share, text: None)
            reports = [read_report(one.folder) for one in done]
            return {str(report["manifest"]["mode"]): report for report in reports}

    def evaluations() -> Json:
        """Names the evaluations that are kept, the latest first.

        Returns:
            evaluations, each with its name, for compare_evaluations, and a title that says what was asked and how.
        """
        return {"evaluations": [{"name": one.folder.name, "title": one.title} for one in list_kept(application.var)]}

    def compare_evaluations(first: str, second: str) -> Json:
        """Compares two evaluations of the same questions, question by question.

        Args:
            first: name of the one, as evaluations gives it.
            second: name of the other.

        Returns:
            first and second, their titles; and metrics: for each, both means, the difference (second minus first), low
            and high, the ends of its 95 % interval, and over how many questions.
        """
        with kindly(folder=application.var):
            one, other = both_kept(application.var, first, second)
            metrics = {name: vars(difference) for name, difference in compare_kept(one, other).items()}
            return {"first": one.title, "second": other.title, "metrics": metrics}

    def delete_evaluation(name: str) -> Json:
        """Deletes an evaluation that is kept.

        Args:
            name: of the evaluation, as evaluations gives it.

        Returns:
            deleted: its name.
        """
        with kindly(folder=application.var):
            return {"deleted": delete_kept(application.var, name).folder.name}

    add_endpoint("evaluate", evaluate, [*inputs, *texts("Split")])
    add_endpoint("delete_evaluation", delete_evaluation, texts("Name"))
    add_endpoint("evaluations", evaluations, [], queue=READING)
    add_endpoint("compare_evaluations", compare_evaluations, texts("First", "Second"), queue=READING)
