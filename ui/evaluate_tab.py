"""The tab where a dataset is asked and scored, with and without retrieval."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.evaluation.files import CASES, read_report
from rag_app.evaluation.kept import (
    compare_kept,
    delete_kept,
    list_kept,
    pack,
    split_names,
    why_no_pictures,
)
from rag_app.evaluation.worst import read_cases
from ui.asked import problem
from ui.evaluate_actions import (
    MODES,
    MOST_QUESTIONS,
    UPLOADED,
    both_kept,
    dataset_of,
    evaluated,
    names_in_use,
    preselected,
    why_nothing_alone,
)
from ui.evaluate_api import add_evaluate_api
from ui.evaluation_view import comparison_table, failure_gallery, results, said
from ui.queues import MODELS
from ui.stopping import Stopped, Stops

__all__ = ["add_evaluate_tab", "compared", "offered"]

_NOTHING_YET = "Nothing is evaluated yet. Choose the questions and press Evaluate."
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def compared(var: Path, first: str | None, second: str | None) -> str:
    """Two evaluations side by side, as HTML; or why not."""
    try:
        one, other = both_kept(var, first, second)
    except InputError as error:
        return said(problem(error))
    try:
        differences = compare_kept(one, other)
    except InputError as error:
        return said(problem(error), alert=True)
    reports = [(label, read_report(kept.folder)) for label, kept in (("A", one), ("B", other))]
    return comparison_table(differences, (one.title, other.title)) + results(reports)


def offered(application: Application, chosen: str | None = None) -> tuple[list[tuple[str, str]], str]:
    """The questions that there are to ask: those of the knowledge bases that are asked now, and one's own.

    Args:
        application: what answers.
        chosen: what was chosen so far.

    Returns:
        pairs of a text and a value, and the value to choose: what was chosen, or else the first that can be asked.
    """
    splits = split_names(names_in_use(application))
    ready = [split for split in splits if not why_no_pictures(split)]
    texts = [split if split in ready else f"{split} (its pictures are not rendered)" for split in splits]
    choices = [*zip(texts, splits, strict=True), (UPLOADED, UPLOADED)]
    return choices, chosen if chosen in (*splits, UPLOADED) else [*ready, UPLOADED][0]


@dataclass(frozen=True, kw_only=True)
class _Form:
    """What is filled in to evaluate."""

    source: gr.Radio
    missing: gr.HTML
    upload: gr.Group
    questions: gr.File
    pictures: gr.File
    modes: gr.CheckboxGroup
    alone: gr.HTML
    most: gr.Number
    start: gr.Button
    stop: gr.Button


@dataclass(frozen=True, kw_only=True)
class _Results:
    """Where an evaluation is shown."""

    shown: gr.HTML
    everything: gr.DownloadButton
    failures: gr.HTML


@dataclass(frozen=True, kw_only=True)
class _Earlier:
    """What can be done with evaluations that are kept."""

    first: gr.Dropdown
    second: gr.Dropdown
    comparison: gr.HTML
    unwanted: gr.Dropdown
    delete: gr.Button
    deleted: gr.HTML

    @property
    def lists(self) -> list[gr.Dropdown]:
        """The fields that list them."""
        return [self.first, self.second, self.unwanted]


def add_evaluate_tab(application: Application, tab: gr.Tab) -> None:
    """Adds the tab to the page under construction. Which questions are offered follows the knowledge bases in use."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=280):
            form = _add_form(application)
        with gr.Column(scale=8, min_width=300):
            shown = gr.HTML(said(_NOTHING_YET), elem_id="evaluation")
            everything = gr.DownloadButton("Download everything (.zip)", interactive=False, elem_id="evaluate-download")
    with gr.Accordion("Failures", open=False, elem_id="evaluate-failures"):
        failures = gr.HTML(said(_NOTHING_YET), elem_id="failures")
    earlier = _add_earlier(application)
    _connect_choices(application, tab, form)
    _connect_run(application, form, _Results(shown=shown, everything=everything, failures=failures), earlier)
    _connect_earlier(application, earlier)
    add_evaluate_api(application, [form.questions, form.pictures, form.modes, form.most])


def _add_form(application: Application) -> _Form:
    splits, first_choice = offered(application)
    source = gr.Radio(splits, value=first_choice, label="Questions", elem_id="evaluate-source")
    missing = gr.HTML(_missing(first_choice), elem_id="evaluate-missing")
    with gr.Group(visible=first_choice == UPLOADED) as upload:
        questions = gr.File(label="Questions (.jsonl)", file_types=[".jsonl"], height=180, elem_id="evaluate-questions")
        pictures = gr.File(label="Pictures (.zip)", file_types=[".zip"], height=180, elem_id="evaluate-pictures")
    modes = gr.CheckboxGroup(list(MODES), value=preselected(application), label="Answer", elem_id="evaluate-modes")
    alone = gr.HTML(elem_id="evaluate-alone")
    most = gr.Number(
        MOST_QUESTIONS, minimum=0, precision=0, label="Questions at most (0: all of them)", elem_id="evaluate-most"
    )
    with gr.Row():
        start = gr.Button("Evaluate", variant="primary", min_width=100, elem_id="evaluate")
        stop = gr.Button("Stop", min_width=100, elem_id="evaluate-stop")
    gr.HTML(
        '<div class="muted">Questions on the Ask tab wait while this runs. What was answered is kept: '
        "start again to go on.</div>"
    )
    return _Form(
        source=source,
        missing=missing,
        upload=upload,
        questions=questions,
        pictures=pictures,
        modes=modes,
        alone=alone,
        most=most,
        start=start,
        stop=stop,
    )


def _add_earlier(application: Application) -> _Earlier:
    choices = _choices(application)
    with gr.Accordion("Compare two evaluations", open=False, elem_id="evaluate-compare"):
        with gr.Row():
            first = gr.Dropdown(choices, value=None, label="A", elem_id="compare-first")
            second = gr.Dropdown(choices, value=None, label="B", elem_id="compare-second")
        comparison = gr.HTML(said("Choose two evaluations of the same questions."), elem_id="comparison")
    with gr.Accordion("Delete an evaluation", open=False, elem_id="evaluate-delete"):
        with gr.Row():
            unwanted = gr.Dropdown(choices, value=None, label="Evaluation", elem_id="delete-evaluation", scale=4)
            delete = gr.Button("Delete", variant="stop", elem_id="delete", scale=1)
        deleted = gr.HTML(elem_id="deleted")
    return _Earlier(
        first=first, second=second, comparison=comparison, unwanted=unwanted, delete=delete, deleted=deleted
    )


def _connect_choices(application: Application, tab: gr.Tab, form: _Form) -> None:
    """What is offered and proposed, until somebody chooses by hand."""
    by_hand = gr.State(False)

    def choose_modes(chosen: list[str]) -> list[Any]:
        return [_why_nothing(application, chosen), True]

    def propose_modes(chosen: list[str], by_hand: bool) -> list[Any]:
        """Another preset may answer than when this page was opened."""
        now = chosen if by_hand else preselected(application)
        return [now, _why_nothing(application, now)]

    def choose_source(chosen: str) -> list[Any]:
        return [_missing(chosen), gr.Group(visible=chosen == UPLOADED)]

    def opened(chosen: str) -> list[Any]:
        choices, value = offered(application, chosen)
        return [gr.Radio(choices, value=value), *choose_source(value)]

    form.source.input(choose_source, form.source, [form.missing, form.upload], **_QUIET)
    tab.select(opened, form.source, [form.source, form.missing, form.upload], queue=False, **_QUIET).then(
        propose_modes, [form.modes, by_hand], [form.modes, form.alone], queue=False, **_QUIET
    )
    form.modes.input(choose_modes, form.modes, [form.alone, by_hand], queue=False, **_QUIET)


def _connect_run(application: Application, form: _Form, into: _Results, earlier: _Earlier) -> None:
    stops, begun = Stops(), gr.State(0)

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
            name, dataset = dataset_of(application, split, file, archive)
            done = evaluated(application, dataset, name, answer, int(at_most or 0), tell)
        except Stopped:
            return [said("Stopped. What was answered is kept; press Evaluate to go on."), *[gr.skip()] * 5]
        except InputError as error:
            return [said(problem(error, file, archive), alert=True), *[gr.skip()] * 5]
        reports = [(str(report["manifest"]["mode"]), report) for report in (read_report(one.folder) for one in done)]
        packed = str(pack(done[0], Path(into.everything.GRADIO_CACHE) / secrets.token_hex(8), *done[1:]))
        listed = gr.Dropdown(_choices(application))
        why = why_nothing_alone(application, answer)
        return [
            f"{said(why) if why else ''}{results(reports)}",
            failure_gallery(read_cases(done[0].folder / CASES)),
            gr.DownloadButton(value=packed, interactive=True),
            *[listed] * 3,
        ]

    def begin(request: gr.Request) -> int:
        return stops.begin(str(request.session_hash))

    def request_stop(request: gr.Request) -> None:
        stops.ask(str(request.session_hash))

    form.start.click(begin, None, begun, queue=False, **_QUIET).then(
        run_evaluation,
        [form.source, form.questions, form.pictures, form.modes, form.most, begun],
        [into.shown, into.failures, into.everything, *earlier.lists],
        api_visibility="private",
        **MODELS,
        show_progress="full",
        show_progress_on=into.shown,
    )
    form.stop.click(request_stop, None, None, queue=False, **_QUIET)


def _connect_earlier(application: Application, earlier: _Earlier) -> None:
    def show_comparison(one: str | None, other: str | None) -> str:
        return compared(application.var, one, other)

    def delete_one(name: str | None) -> list[Any]:
        try:
            told = said(f"Deleted: {delete_kept(application.var, name).title}.")
        except InputError as error:
            told = said(problem(error, folders=[application.var]), alert=True)
        left = _choices(application)
        return [told, *[gr.Dropdown(left, value=None)] * 3]

    gr.on(
        [earlier.first.input, earlier.second.input],
        show_comparison,
        [earlier.first, earlier.second],
        earlier.comparison,
        **_QUIET,
    )
    earlier.delete.click(delete_one, earlier.unwanted, [earlier.deleted, *earlier.lists], **MODELS, **_QUIET)


def _missing(source: str) -> str:
    reason = why_no_pictures(source) if source != UPLOADED else ""
    return said(f"{reason[:1].upper()}{reason[1:]}.") if reason else ""


def _why_nothing(application: Application, modes: list[str]) -> str:
    why = why_nothing_alone(application, modes)
    return said(why) if why else ""


def _choices(application: Application) -> list[tuple[str, str]]:
    return [(one.title, one.folder.name) for one in list_kept(application.var)]
