"""The tab where a dataset is asked and scored, with and without retrieval."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.datasets import Dataset
from rag_app.errors import InputError
from rag_app.evaluation.files import CASES, read_report
from rag_app.evaluation.kept import (
    Kept,
    compare_kept,
    evaluate_kept,
    list_kept,
    open_split,
    open_uploaded,
    pack,
    split_names,
    why_no_pictures,
)
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.worst import read_cases
from ui.api import Json, add_endpoint, kindly
from ui.asked import problem
from ui.evaluation_view import comparison_table, failure_gallery, results, said
from ui.stopping import Stopped, Stops, Tell

__all__ = ["UPLOADED", "add_evaluate_tab", "compared", "evaluated", "offered"]

UPLOADED = "my own file"
_MODES = {"without retrieval": Mode.NOTHING, "with retrieval": Mode.RETRIEVAL}  # in the order they are run
_MOST = 50  # questions, unless somebody asks for more
_NOTHING_YET = "Nothing is evaluated yet. Choose the questions and press Evaluate."


def evaluated(
    application: Application, dataset: Dataset, name: str, modes: list[str], most: int, tell: Tell
) -> list[Kept]:
    """Runs the evaluations of some modes one after the other.

    Args:
        application: what answers.
        dataset: what is asked.
        name: of the dataset.
        modes: of `with retrieval` and `without retrieval`.
        most: questions that are asked; 0 for all.
        tell: told how far all is, in [0, 1], and where; what it raises stops the evaluation.

    Raises:
        InputError: nothing is to be run, or an answer cannot be had.
    """
    wanted = [mode for title, mode in _MODES.items() if title in modes]
    if not wanted:
        raise InputError("choose with retrieval, without retrieval, or both")
    done: list[Kept] = []
    for place, mode in enumerate(wanted):

        def progress(answered: int, given: int, note: str, place: int = place, mode: Mode = mode) -> None:
            share = (place + answered / max(1, given)) / len(wanted)
            tell(share, f"{mode.value}: {answered:,} of {given:,} questions{', ' if note else ''}{note}")

        progress(0, 1, "")
        done.append(
            evaluate_kept(application, dataset, mode, name=name, most=most, beside=tuple(done), progress=progress)
        )
    return done[::-1]


def compared(var: Path, first: str | None, second: str | None) -> str:
    """Two evaluations side by side, as HTML; or why not."""
    kept = {one.folder.name: one for one in list_kept(var)}
    if first not in kept or second not in kept:
        return said("Choose two evaluations of the same questions.")
    try:
        differences = compare_kept(kept[first], kept[second])
    except InputError as error:
        return said(problem(error), alert=True)
    both = [(label, read_report(kept[one].folder)) for label, one in (("A", first), ("B", second))]
    return comparison_table(differences, (kept[first].title, kept[second].title)) + results(both)


def offered(application: Application, chosen: str | None = None) -> tuple[list[tuple[str, str]], str]:
    """The questions that there are to ask: those of the knowledge bases that are asked now, and one's own.

    Args:
        application: what answers.
        chosen: what was chosen so far.

    Returns:
        pairs of a text and a value, and the value to choose: what was chosen, or else the first that can be asked.
    """
    splits = split_names(_names(application))
    ready = [split for split in splits if not why_no_pictures(split)]
    texts = [split if split in ready else f"{split} (its pictures are not rendered)" for split in splits]
    choices = [*zip(texts, splits, strict=True), (UPLOADED, UPLOADED)]
    return choices, chosen if chosen in (*splits, UPLOADED) else [*ready, UPLOADED][0]


def _names(application: Application) -> list[str]:
    return [one.name for one in application.knowledge]


def add_evaluate_tab(application: Application, tab: gr.Tab) -> None:
    """Adds the tab to the page under construction. Which questions are offered follows the knowledge bases in use."""
    stops, begun = Stops(), gr.State(0)
    splits, first_choice = offered(application)
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            source = gr.Radio(splits, value=first_choice, label="Questions", elem_id="evaluate-source")
            missing = gr.HTML(_missing(first_choice), elem_id="evaluate-missing")
            with gr.Group(visible=first_choice == UPLOADED) as upload:
                questions = gr.File(label="Questions (.jsonl)", file_types=[".jsonl"], elem_id="evaluate-questions")
                pictures = gr.File(label="Pictures (.zip)", file_types=[".zip"], elem_id="evaluate-pictures")
            modes = gr.CheckboxGroup(list(_MODES), value=list(_MODES), label="Answer", elem_id="evaluate-modes")
            most = gr.Number(
                _MOST, minimum=0, precision=0, label="Questions at most (0: all of them)", elem_id="evaluate-most"
            )
            with gr.Row():
                start = gr.Button("Evaluate", variant="primary", elem_id="evaluate")
                stop = gr.Button("Stop", elem_id="evaluate-stop")
            gr.HTML(
                '<div class="muted">Questions on the Ask tab wait while this runs. What was answered is kept: '
                "start again to go on.</div>"
            )
        with gr.Column(scale=8, min_width=300):
            shown = gr.HTML(said(_NOTHING_YET), elem_id="evaluation", min_height=120)
            everything = gr.DownloadButton("Download everything (.zip)", interactive=False, elem_id="evaluate-download")
    with gr.Accordion("Failures", open=False, elem_id="evaluate-failures"):
        failures = gr.HTML(said(_NOTHING_YET), elem_id="failures")
    with gr.Accordion("Compare two evaluations", open=False, elem_id="evaluate-compare"):
        choices = _choices(application)
        with gr.Row():
            first = gr.Dropdown(choices, value=None, label="A", elem_id="compare-first")
            second = gr.Dropdown(choices, value=None, label="B", elem_id="compare-second")
        comparison = gr.HTML(said("Choose two evaluations of the same questions."), elem_id="comparison")

    def run_evaluation(
        split: str,
        file: str | None,
        archive: str | None,
        answer: list[str],
        at_most: float,
        since: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio hands it over
    ) -> list[Any]:
        tell = stops.telling(str(request.session_hash), since, lambda share, text: progress(share, desc=text))
        try:
            tell(0.0, "opening the questions")
            name, dataset = _dataset(application, split, file, archive)
            done = evaluated(application, dataset, name, answer, int(at_most or 0), tell)
        except Stopped:
            return [said("Stopped. What was answered is kept; press Evaluate to go on."), *[gr.skip()] * 4]
        except InputError as error:
            return [said(problem(error, file, archive), alert=True), *[gr.skip()] * 4]
        reports = [(str(report["manifest"]["mode"]), report) for report in (read_report(one.folder) for one in done)]
        packed = str(pack(done[0], Path(everything.GRADIO_CACHE) / secrets.token_hex(8)))
        listed = gr.Dropdown(_choices(application))
        return [
            results(reports),
            failure_gallery(read_cases(done[0].folder / CASES)),
            gr.DownloadButton(value=packed, interactive=True),
            listed,
            listed,
        ]

    def begin(request: gr.Request) -> int:
        return stops.begin(str(request.session_hash))

    def request_stop(request: gr.Request) -> None:
        stops.ask(str(request.session_hash))

    def show_comparison(one: str | None, other: str | None) -> str:
        return compared(application.var, one, other)

    def choose_source(chosen: str) -> list[Any]:
        return [_missing(chosen), gr.Group(visible=chosen == UPLOADED)]

    def opened(chosen: str) -> list[Any]:
        choices, value = offered(application, chosen)
        return [gr.Radio(choices, value=value), *choose_source(value)]

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    source.input(choose_source, source, [missing, upload], **quiet)
    tab.select(opened, source, [source, missing, upload], queue=False, **quiet)
    start.click(begin, None, begun, queue=False, **quiet).then(
        run_evaluation,
        [source, questions, pictures, modes, most, begun],
        [shown, failures, everything, first, second],
        api_visibility="private",
        concurrency_id="models",
        concurrency_limit=1,
        show_progress="full",
        show_progress_on=shown,
    )
    stop.click(request_stop, None, None, queue=False, **quiet)
    gr.on([first.input, second.input], show_comparison, [first, second], comparison, **quiet)
    _add_api(application, [questions, pictures, modes, most])


def _add_api(application: Application, inputs: list[gr.components.Component]) -> None:
    def evaluate(
        questions: str, pictures: str | None = None, modes: list[str] | None = None, most: int = _MOST
    ) -> Json:
        """Asks and scores the questions of a file.

        Args:
            questions: a JSON Lines file of question_id, image, question and answers.
            pictures: a zip archive with the pictures that it names, or nothing.
            modes: of "with retrieval" and "without retrieval".
            most: questions that are asked, from the start; 0 for all.

        Returns:
            For each mode, the report: metrics, counts, calibration, problems and what the numbers depend on.
        """
        with kindly(questions):
            name, dataset = _dataset(application, UPLOADED, questions, pictures)
            done = evaluated(application, dataset, name, modes or [], most, lambda share, text: None)
            reports = [read_report(one.folder) for one in done]
            return {str(report["manifest"]["mode"]): report for report in reports}

    add_endpoint("evaluate", evaluate, inputs)


def _dataset(application: Application, split: str, file: str | None, archive: str | None) -> tuple[str, Dataset]:
    if split != UPLOADED:
        return split, open_split(_names(application), split)
    if not file:
        raise InputError("there is no file of questions; upload one, with a question a line")
    return Path(file).stem, open_uploaded(Path(file), Path(archive) if archive else None, application.var)


def _missing(source: str) -> str:
    reason = why_no_pictures(source) if source != UPLOADED else ""
    return said(f"{reason[:1].upper()}{reason[1:]}.") if reason else ""


def _choices(application: Application) -> list[tuple[str, str]]:
    return [(one.title, one.folder.name) for one in list_kept(application.var)]
