"""The tab where questions are asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import gradio as gr

from knowledge_bases.records import VisualQuestion
from rag_app.assembly import Application
from rag_app.errors import InputError, one_line
from rag_app.pictures import open_picture
from rag_app.questions import MAX_QUESTION_CHARACTERS, check_question
from ui.picture_input import picture_input
from ui.rendering import answer_card, error_card, passage_cards, timing_line, waiting_card

__all__ = ["add_ask_tab"]

Parts = tuple[str, str, str]  # answer, passages, timings as HTML


def add_ask_tab(application: Application) -> None:
    """Adds the tab to the page under construction."""

    def ask(picture: str | None, question: str) -> Iterator[Parts]:
        """Answers a question about a picture from the knowledge base.

        Args:
            picture: path of the picture, or nothing for a question in words alone.
            question: what to find out.

        Returns:
            The answer, the passages that it comes from and the time taken, as HTML.
        """
        yield from _answer(application, picture, question)

    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300):
            picture = picture_input()
            question = gr.Textbox(
                label="Question",
                placeholder="What is the capital of this country?",
                lines=1,
                max_lines=6,
                max_length=MAX_QUESTION_CHARACTERS,
                submit_btn=False,
                elem_id="question",
            )
            button = gr.Button("Ask", variant="primary", elem_id="ask")
        with gr.Column(scale=6, min_width=300):
            answer = gr.HTML(waiting_card(), elem_id="answer")
            passages = gr.HTML(elem_id="passages")
            timings = gr.HTML(elem_id="timings")
    outputs = [answer, passages, timings]
    gr.on(
        [button.click, question.submit],
        ask,
        inputs=[picture, question],
        outputs=outputs,
        api_name="ask",
        concurrency_id="models",
        concurrency_limit=1,
        show_progress="minimal",
    )
    _add_examples(application, [picture, question])


def _answer(application: Application, picture: str | None, question: str) -> Iterator[Parts]:
    try:
        started = time.perf_counter()
        text = check_question(question or "")
        image = open_picture(picture) if picture else None
        opened = (time.perf_counter() - started) * 1000
        for answer in application.pipeline.stream(VisualQuestion(text=text, image=image)):
            timings = {"picture": opened, **answer.timings_ms} if answer.complete else {}
            yield answer_card(answer), passage_cards(answer), timing_line(timings)
    except InputError as error:
        message = one_line(error)
        if picture:
            message = message.replace(str(picture), "the file")
        yield error_card(f"{message[:1].upper()}{message[1:]}."), "", ""


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
