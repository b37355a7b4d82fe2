"""The tab where questions are asked: the form, the answer, and what hangs on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from rag_app.assembly import Application
from rag_app.feedback import FeedbackStore
from rag_app.questions import MAX_INSTRUCTION_CHARACTERS, MAX_QUESTION_CHARACTERS
from ui.alone import AnswerAlone
from ui.answering import MOST_PASSAGES, Parts, answered
from ui.api import add_ask_api
from ui.api_call import api_call, page_address
from ui.asked import Asked, Section
from ui.closer import add_closer_look
from ui.correcting import Correction
from ui.deep_links import add_deep_links
from ui.feedback_form import FeedbackForm, add_feedback_export
from ui.history import CLICKS, history_strip, remembered, returned_to
from ui.picture_input import picture_input
from ui.queues import MODELS
from ui.rendering import error_card, recognised_line, waiting_card
from ui.what_answers import WhatAnswers, unlike_shown
from ui.whole_numbers import only_whole_numbers

__all__ = ["add_ask_tab", "not_asked"]

_ASKING: dict[str, Any] = {**MODELS, "api_visibility": "private", "show_progress": "minimal"}


@dataclass(frozen=True, kw_only=True)
class _Form:
    """What is filled in to ask."""

    picture: gr.Image
    question: gr.Textbox
    instruction: gr.Textbox
    k: gr.Slider
    button: gr.Button

    @property
    def fields(self) -> list[gr.components.Component]:
        return [self.picture, self.question, self.instruction, self.k]


def add_ask_tab(
    page: gr.Blocks,
    application: Application,
    *,
    answers: WhatAnswers | None = None,
    feedback: FeedbackStore | None = None,
) -> None:
    """Adds the tab to the page under construction.

    Args:
        page: the page.
        application: what answers.
        answers: the fields that say what answers; None where that cannot be changed.
        feedback: where thumbs up and down are kept; without it nobody is asked for them.
    """
    # Kept while the page is open; `max_sessions` bounds them. A time to live would count from the last question.
    asked, history = gr.State(None), gr.State([])
    with gr.Row(equal_height=False, elem_id="ask-grid"):
        with gr.Column(elem_id="ask-form"):
            form = _add_form(application)
        with gr.Column(elem_id="ask-more"):
            _add_examples(application, [form.picture, form.question])
            with gr.Accordion("Your questions", elem_id="asked-before"):
                strip = gr.HTML(history_strip([], None), elem_id="history", js_on_load=CLICKS)
        with gr.Column(elem_id="ask-answer"):
            alone = AnswerAlone(application)
            with gr.Row(equal_height=False, elem_id="answers"):
                answer = gr.HTML(waiting_card(), elem_id="answer")
                alone.add_place()
            with gr.Row(elem_id="below-answer", equal_height=True):
                entity = gr.HTML(recognised_line(""), elem_id="recognised")
                correction = Correction(application)
                alone.add_button()
                thumbs = FeedbackForm(feedback) if feedback is not None else None
            correction.add_choice()
            sections = [correction.section, alone.section]
            if thumbs is not None:
                sections.append(thumbs.add_details(asked))
            passages = gr.HTML(elem_id="passages")
            timings = gr.HTML(elem_id="timings")
    alone.connect(asked, _ASKING, [form.button.click, form.question.submit])
    sections.append(add_closer_look(application, asked))
    with gr.Accordion("Copy as API call", open=False, elem_id="closer-call"):
        call = gr.Code(language="python", label="From Python", interactive=False, elem_id="as-call")
    if feedback is not None:
        add_feedback_export(feedback)

    def show_answer(
        picture: str | None,
        question: str,
        instruction: str,
        k: float,
        *shown: Any,  # noqa: ANN401 - the fields that say what answers
    ) -> Iterator[Parts | list[Any]]:
        yield [waiting_card("Looking for passages …"), recognised_line(""), gr.skip(), "", None]
        for card, entity, found, taken, now in answered(application, picture, question, instruction, k):
            yield [f"{card}{unlike_shown(now, *shown) if shown else ''}", entity, found, taken, now]

    def back(past: list[Asked], event: gr.EventData) -> list[Any]:
        return returned_to(past, str(event.entry), application)

    def refresh(now: Asked | None, past: list[Asked], request: gr.Request) -> list[Any]:
        past = remembered(past, now)
        values = [value for section in sections for value in section.refresh(now)]
        shown = history_strip(past, now) if past else gr.skip()  # its entries may still be asked again by hand
        return [past, shown, api_call(now, page_address(request)), *values]

    parts: list[gr.components.Component] = [answer, entity, passages, timings, asked]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    given = [*form.fields, *(answers.fields if answers is not None else [])]
    asking = [
        gr.on([form.button.click, form.question.submit], show_answer, given, parts, **_ASKING),
        correction.connect(asked, parts, _ASKING),
        strip.click(back, history, [*form.fields, *parts], **quiet),
    ]
    for event in [*asking, *(answers.changes if answers is not None else [])]:
        event.then(refresh, [asked, history], [history, strip, call, *_outputs(sections)], **quiet)
    # After a refusal, or a fault, an old answer would stand beside the new question.
    unasked = asking[0].failure(not_asked, None, parts, queue=False, **quiet)
    unasked.then(refresh, [asked, history], [history, strip, call, *_outputs(sections)], **quiet)
    if answers is not None:
        for event in asking:
            answers.follow_after(event)
    add_deep_links(page, question=form.question, k=form.k, instruction=form.instruction)
    add_ask_api(application, form.fields, feedback)


def not_asked() -> list[Any]:
    """Parts of an answer when the question was turned away, by a limit or by a fault; a notice has said why."""
    return [
        error_card("This question was not answered. Wait a little, and ask again."),
        recognised_line(""),
        "",
        "",
        None,
    ]


def _outputs(sections: Sequence[Section]) -> list[Block]:
    return [output for section in sections for output in section.outputs]


def _add_form(application: Application) -> _Form:
    default_k = application.pipeline.k
    picture = picture_input()
    with gr.Row(elem_id="ask-line"):
        question = gr.Textbox(
            label="Question",
            placeholder="What is the capital of this country?",
            lines=1,
            max_lines=6,
            max_length=MAX_QUESTION_CHARACTERS,
            submit_btn=False,
            elem_id="question",
        )
        button = gr.Button("Ask", variant="primary", scale=0, min_width=96, elem_id="ask")
    with gr.Accordion("Options", open=False, elem_id="options"):
        k = gr.Slider(
            1, max(MOST_PASSAGES, default_k), default_k, step=1, label="Passages to read", elem_id="passages-k"
        )
        only_whole_numbers(k)
        instruction = gr.Textbox(
            "",  # a value makes the argument optional over HTTP
            label="Instruction (what kind of passage to look for)",
            placeholder="The usual one for the picture and the question",
            max_length=MAX_INSTRUCTION_CHARACTERS,
            elem_id="instruction",
        )
    return _Form(picture=picture, question=question, instruction=instruction, k=k, button=button)


def _add_examples(application: Application, inputs: Sequence[gr.components.Component]) -> None:
    rows = [[str(image), question] for image, question in application.examples]
    if rows:
        gr.Examples(
            rows,
            inputs=list(inputs),
            label="Try one of these",
            examples_per_page=6,
            cache_examples=False,
            api_visibility="private",
        )
