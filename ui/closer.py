"""A closer look at an answer: why a passage, the candidates, everything as JSON."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.errors import InputError
from ui.asked import ASK_AGAIN, Asked, Section, problem
from ui.explanation import LINK_PAIRS, explanation_card, no_explanation
from ui.queues import MODELS
from ui.rendering import candidates_table, error_card, passage_name

__all__ = ["add_closer_look", "explained", "refreshed"]

_FIRST = "Ask a question first."
_CHOOSE = "Choose a passage to see what made its score."


def add_closer_look(application: Application, asked: gr.State) -> Section:
    """Adds the sections below an answer to the page under construction."""
    with gr.Accordion("Why this passage", elem_id="closer-why"):
        choice = gr.Radio([], label="Passage", info=_FIRST, elem_id="why-choice")
        why = gr.HTML(elem_id="why", js_on_load=LINK_PAIRS)
    with gr.Accordion("Candidates", open=False, elem_id="closer-candidates"):
        candidates = gr.HTML(no_explanation(_FIRST), elem_id="candidates")
    with gr.Accordion("Copy as JSON", open=False, elem_id="closer-json"):
        copy = gr.Code(language="json", label="Answer as JSON", interactive=False, elem_id="as-json")

    def show_why(remembered: Asked | None, rank: int | None) -> str:
        return explained(application, remembered, rank)

    choice.input(show_why, [asked, choice], why, api_visibility="private", show_progress="minimal", **MODELS)
    return Section(refresh=refreshed, outputs=[choice, why, candidates, copy])


def refreshed(asked: Asked | None) -> list[Any]:
    """Values of the section's outputs after a question; empty ones where there is no answer."""
    if asked is None:
        return [gr.Radio([], value=None, info=_FIRST), "", no_explanation(_FIRST), None]
    choices = [(f"{rank}. {passage_name(found)}", rank) for rank, found in enumerate(asked.answer.passages, start=1)]
    names = {"preset": asked.preset, "knowledge_base": asked.knowledge_base}
    everything = {"question": asked.text, "instruction": asked.instruction, **asked.answer.as_json(), **names}
    return [
        gr.Radio(choices, value=None, info=_CHOOSE),
        "",
        candidates_table(asked.answer),
        json.dumps(everything, indent=2, ensure_ascii=False),
    ]


def explained(application: Application, asked: Asked | None, rank: int | None) -> str:
    """Why the passage at a rank, from 1, was found, as HTML."""
    if asked is None and rank is not None:  # passages are offered, and so something was asked
        return no_explanation(ASK_AGAIN)
    if asked is None or rank is None or not 1 <= rank <= len(asked.answer.passages):
        return no_explanation(_FIRST)
    now = application.snapshot()
    if asked.preset not in ("", now.preset.name):
        return no_explanation(f"This is an answer of the preset {asked.preset}. Choose it, or ask again, to see why.")
    if asked.knowledge_base and set(asked.knowledge_base.split(",")) != set(now.knowledge_base.split(",")):
        where = asked.knowledge_base.replace(",", " and ")
        return no_explanation(f"This is an answer from {where}. Choose what it is from, or ask again, to see why.")
    found = asked.answer.passages[rank - 1]
    try:
        question = asked.open()
        explanation = now.pipeline.explain(question, found.passage)
    except InputError as error:
        return error_card(problem(error, asked.picture, folders=[application.var]))
    return explanation_card(
        explanation, question=asked.text, content=found.passage.content, score=found.score, image=question.image
    )
