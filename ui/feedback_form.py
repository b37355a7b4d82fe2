"""Thumbs up and down, with a reason."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from rag_app.errors import InputError
from rag_app.feedback import MOST_TEXT, Feedback, FeedbackStore, picture_bytes
from ui.asked import ASK_AGAIN, Asked, Section, problem

__all__ = ["FeedbackForm", "kept"]


class FeedbackForm:
    """Two buttons, and below them what was wrong."""

    def __init__(self, store: FeedbackStore) -> None:
        self._store = store
        self.right = gr.Button("✓ Right", size="sm", interactive=False, elem_id="right", scale=0)
        self.wrong = gr.Button("✗ Wrong", size="sm", interactive=False, elem_id="wrong", scale=0)

    def add_details(self, asked: gr.State) -> Section:
        """Adds what follows the buttons, and connects them."""
        with gr.Column(visible=False, elem_id="feedback-details") as details:
            reason = gr.Textbox("", label="What was wrong?", max_length=MOST_TEXT, elem_id="feedback-reason")
            expected = gr.Textbox(
                "", label="The right answer, if you know it", max_length=MOST_TEXT, elem_id="feedback-answer"
            )
            send = gr.Button("Send", size="sm", elem_id="feedback-send")
        told = gr.HTML(elem_id="feedback-told")

        def right(remembered: Asked | None) -> list[Any]:
            return [kept(self._store, remembered, right=True), gr.Column(visible=False)]

        def wrong(remembered: Asked | None) -> list[Any]:
            return [kept(self._store, remembered, right=False), gr.Column(visible=True)]

        def details_of(remembered: Asked | None, why: str, better: str) -> list[Any]:
            said = kept(self._store, remembered, right=False, reason=why, right_answer=better)
            return [said, gr.Column(visible=False)]

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        self.right.click(right, asked, [told, details], **quiet)
        self.wrong.click(wrong, asked, [told, details], **quiet)
        gr.on(
            [send.click, reason.submit, expected.submit],
            details_of,
            [asked, reason, expected],
            [told, details],
            **quiet,
        )

        def reset(remembered: Asked | None) -> list[Any]:
            able = gr.Button(interactive=remembered is not None)
            return [able, able, "", "", "", gr.Column(visible=False)]

        return Section(refresh=reset, outputs=[self.right, self.wrong, reason, expected, told, details])


def kept(
    store: FeedbackStore,
    asked: Asked | None,
    *,
    right: bool,
    reason: str = "",
    right_answer: str = "",
) -> str:
    """Keeps what a person thought of an answer; says so, or what went wrong, as HTML."""
    if asked is None:
        return f'<div class="muted" role="alert">{escape(ASK_AGAIN)}</div>'
    try:
        chosen = next((one for one in asked.answer.candidates if one.chosen), None)
        store.keep(
            Feedback(
                feedback_id=asked.asked_id,
                given=Feedback.now(),
                right=right,
                question=asked.text,
                instruction=asked.instruction or "",
                answer=asked.answer.text,
                reason=reason.strip(),
                right_answer=right_answer.strip(),
                passage_id=(chosen.passage_id or "") if chosen is not None else "",
                knowledge_base=asked.knowledge_base,
                preset=asked.preset,
                picture=picture_bytes(asked.open().image),
            )
        )
    except InputError as error:
        return f'<div class="muted" role="alert">{escape(problem(error, asked.picture))}</div>'
    said = "Kept as right. Thank you." if right else "Kept as wrong. Thank you."
    return f'<div class="muted" role="status">{said}</div>'
