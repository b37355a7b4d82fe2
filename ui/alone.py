"""The answer without passages, beside the one with them: what the generator says from picture and question alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from rag_app.assembly import Application
from rag_app.errors import InputError
from ui.asked import ASK_AGAIN, Asked, Section, problem
from ui.rendering import answer_card, error_card, waiting_card

__all__ = ["AnswerAlone", "alone_beside"]

_WRITING = "Answering from the picture and the question alone …"


class AnswerAlone:
    """The place beside the answer, and the button that asks for it: laid out first, connected when there is a state."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def add_place(self) -> None:
        """Adds the place, hidden until it is asked for."""
        self._place = gr.HTML(visible=False, elem_id="alone")

    def add_button(self) -> None:
        """Adds the button."""
        self._button = gr.Button("Without passages", size="sm", interactive=False, elem_id="ask-alone", scale=0)

    @property
    def section(self) -> Section:
        """What a new answer resets."""
        return Section(refresh=_reset, outputs=[self._button, self._place])

    def connect(self, asked: gr.State, models: dict[str, Any], asking: Sequence[Callable[..., Dependency]]) -> None:
        """Connects the events.

        Args:
            asked: what was asked.
            models: how events run that make the models work.
            asking: events by which something new is asked; what stands beside the old answer goes.
        """

        def ask_alone(remembered: Asked | None) -> gr.HTML:
            return gr.HTML(alone_beside(self._application, remembered), visible=True)

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
        begun = self._button.click(_waiting, None, self._place, **quiet)
        begun.then(ask_alone, asked, self._place, **models).failure(_not_answered, None, self._place, **quiet)
        gr.on(list(asking), _nothing, None, self._place, **quiet)


def _waiting() -> gr.HTML:
    return gr.HTML(_beside(waiting_card(_WRITING)), visible=True)


def _not_answered() -> gr.HTML:
    """When it was turned away, by a limit or by a fault; a notice has said why."""
    return gr.HTML(_beside(error_card("This was not answered. Wait a little, and ask again.")), visible=True)


def _nothing() -> gr.HTML:
    return gr.HTML("", visible=False)


def alone_beside(application: Application, asked: Asked | None) -> str:
    """The answer without passages as HTML, or why there is none."""
    if asked is None:
        return _beside(error_card(ASK_AGAIN))
    now = application.snapshot()
    if now.pipeline.needs_passages:
        return _beside(error_card(_reads_only(now.preset.name)))
    try:
        return _beside(answer_card(now.pipeline.without_retrieval().invoke(asked.open())), f", by {now.preset.name}")
    except InputError as error:
        return _beside(error_card(problem(error, asked.picture, folders=[application.var])))


def _reads_only(preset: str) -> str:
    return (
        f"The reader of the preset {preset} takes every answer from a passage and has none of its own. "
        "Presets with a generator, such as preflmr-b-blip2, can answer without passages."
    )


def _beside(card: str, more: str = "") -> str:
    return f'<div class="alone"><div class="alone-head">Without passages{escape(more)}</div>{card}</div>'


def _reset(asked: Asked | None) -> list[Any]:
    return [gr.Button(interactive=asked is not None), _nothing()]
