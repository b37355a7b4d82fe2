"""What the picture was recognised as, and the way to say that it is something else."""

from __future__ import annotations

from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.errors import InputError
from ui.answering import Parts, corrected, other_entities
from ui.asked import ASK_AGAIN, Asked, Section, problem
from ui.rendering import error_card

__all__ = ["Correction", "offered"]


class Correction:
    """The button, and the names to choose among: laid out first, connected when the answer's outputs exist."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.button = gr.Button("It is something else …", size="sm", interactive=False, elem_id="correct", scale=0)

    def add_choice(self) -> None:
        """Adds the names to choose among; hidden until they are asked for."""
        self._choice = gr.Radio([], label="What is it?", visible=False, elem_id="correct-choice")

    @property
    def section(self) -> Section:
        """What a new answer resets."""
        return Section(refresh=_reset, outputs=[self.button, self._choice])

    def connect(
        self, asked: gr.State, parts: list[gr.components.Component], models: dict[str, Any]
    ) -> gr.events.Dependency:
        """Connects the events.

        Args:
            asked: what was asked.
            parts: what an answer fills.
            models: how events run that make the models work.

        Returns:
            The event after which the rest of the page is to be filled anew.
        """

        def offer(remembered: Asked | None) -> Any:  # noqa: ANN401 - an update of a component
            return offered(self._application, remembered)

        def read_again(remembered: Asked | None, entity: str | None) -> Parts | list[Any]:
            if remembered is None:
                return [error_card(ASK_AGAIN), *[gr.skip()] * (len(parts) - 1)]
            if not entity:
                return [gr.skip()] * len(parts)
            return corrected(self._application, remembered, entity)

        self.button.click(offer, asked, self._choice, **models)
        return self._choice.input(read_again, [asked, self._choice], parts, **models)


def offered(application: Application, asked: Asked | None) -> gr.Radio:
    """The names to choose among, or why there are none."""
    if asked is None:
        return gr.Radio([], visible=True, info=ASK_AGAIN)
    try:
        names = other_entities(application, asked)
    except InputError as error:
        return gr.Radio([], visible=True, info=problem(error, asked.picture, folders=[application.var]))
    told = "The answer is then read from its passages." if names else "Nothing else was found."
    return gr.Radio(names, value=None, visible=True, info=told)


def _reset(asked: Asked | None) -> list[Any]:
    can = asked is not None and bool(asked.answer.passages)
    return [gr.Button(interactive=can), gr.Radio([], value=None, visible=False)]
