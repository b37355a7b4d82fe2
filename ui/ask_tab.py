"""The tab where questions are asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import gradio as gr

from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.questions import MAX_INSTRUCTION_CHARACTERS, MAX_QUESTION_CHARACTERS
from ui.asked import Asked, problem, visual_question
from ui.closer import add_closer_look
from ui.deep_links import add_deep_links
from ui.picture_input import picture_input
from ui.rendering import answer_card, error_card, passage_cards, timing_line, waiting_card

__all__ = ["MOST_PASSAGES", "add_ask_tab"]

MOST_PASSAGES = 20  # that one question may find and read

Parts = tuple[str, str, str, Asked | None]  # answer, passages, timings as HTML; what to remember


def add_ask_tab(page: gr.Blocks, application: Application) -> None:
    """Adds the tab to the page under construction."""
    default_k = application.pipeline.k

    def ask(picture: str | None, question: str, instruction: str = "", k: int = default_k) -> Iterator[Parts]:
        """Answers a question about a picture from the knowledge base.

        Args:
            picture: path of the picture, or nothing for a question in words alone.
            question: what to find out.
            instruction: what kind of passage to look for; empty takes the default.
            k: passages to find and read, from 1 to 20.

        Returns:
            The answer, the passages that it comes from and the time taken, as HTML.
        """
        yield from _answer(application, picture, question, instruction, k)

    asked = gr.State(None, time_to_live=3600)
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
            with gr.Accordion("Options", open=False, elem_id="options"):
                k = gr.Slider(
                    1, max(MOST_PASSAGES, default_k), default_k, step=1, label="Passages to read", elem_id="passages-k"
                )
                instruction = gr.Textbox(
                    "",  # a value makes the argument optional over HTTP
                    label="Instruction (what kind of passage to look for)",
                    placeholder="The usual one for the picture and the question",
                    max_length=MAX_INSTRUCTION_CHARACTERS,
                    elem_id="instruction",
                )
        with gr.Column(scale=6, min_width=300):
            answer = gr.HTML(waiting_card(), elem_id="answer")
            passages = gr.HTML(elem_id="passages")
            timings = gr.HTML(elem_id="timings")
    closer = add_closer_look(application, asked)
    _add_examples(application, [picture, question])
    gr.on(
        [button.click, question.submit],
        ask,
        inputs=[picture, question, instruction, k],
        outputs=[answer, passages, timings, asked],
        api_name="ask",
        concurrency_id="models",
        concurrency_limit=1,
        show_progress="minimal",
    ).then(closer.refresh, asked, closer.outputs, api_visibility="private", show_progress="hidden")
    add_deep_links(page, question=question, k=k, instruction=instruction)


def _answer(application: Application, picture: str | None, text: str, instruction: str, k: int) -> Iterator[Parts]:
    try:
        started = time.perf_counter()
        question = visual_question(picture, text, instruction)
        opened = (time.perf_counter() - started) * 1000
        pipeline = application.pipeline.taking(_checked(k, application))
        for answer in pipeline.stream(question):
            timings = {"picture": opened, **answer.timings_ms} if answer.complete else {}
            remembered = Asked(picture=picture, text=question.text, instruction=question.instruction, answer=answer)
            yield (
                answer_card(answer),
                passage_cards(answer),
                timing_line(timings),
                remembered if answer.complete else None,
            )
    except InputError as error:
        yield error_card(problem(error, picture)), "", "", None


def _checked(k: float, application: Application) -> int:
    most = max(MOST_PASSAGES, application.pipeline.k)
    if not 1 <= k <= most:
        raise InputError(f"{k:g} passages were asked for; ask for 1 to {most}")
    return int(k)


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
