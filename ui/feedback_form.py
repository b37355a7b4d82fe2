"""Thumbs up and down, with a reason; and what was said so far, as a file."""

from __future__ import annotations

import secrets
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.errors import InputError
from rag_app.feedback import MOST_TEXT, Feedback, FeedbackStore, packed, picture_bytes
from ui.asked import ASK_AGAIN, Asked, Section, problem
from ui.queues import FEEDBACK

__all__ = ["FeedbackForm", "add_feedback_export", "export_feedback", "kept"]

_WRONG, _RIGHT = "What was wrong?", "Why is it right, if you like?"


class FeedbackForm:
    """Two buttons, and below them what was wrong, or right."""

    def __init__(self, store: FeedbackStore) -> None:
        self._store = store
        self.right = gr.Button("✓ Right", size="sm", interactive=False, elem_id="right", scale=0)
        self.wrong = gr.Button("✗ Wrong", size="sm", interactive=False, elem_id="wrong", scale=0)

    def add_details(self, asked: gr.State) -> Section:
        """Adds what follows the buttons, and connects them."""
        with gr.Column(visible=False, elem_id="feedback-details") as details:
            reason = gr.Textbox("", label=_WRONG, max_length=MOST_TEXT, elem_id="feedback-reason")
            expected = gr.Textbox(
                "", label="The right answer, if you know it", max_length=MOST_TEXT, elem_id="feedback-answer"
            )
            send = gr.Button("Send", size="sm", elem_id="feedback-send")
        was_right = gr.State(False)
        told = gr.HTML(elem_id="feedback-told")

        def said(remembered: Asked | None, is_right: bool) -> list[Any]:
            told_now = kept(self._store, remembered, right=is_right)
            shown, label = gr.Column(visible=remembered is not None), _RIGHT if is_right else _WRONG
            return [told_now, shown, gr.Textbox(label=label), gr.Textbox(visible=not is_right), is_right]

        def right(remembered: Asked | None) -> list[Any]:
            return said(remembered, True)

        def wrong(remembered: Asked | None) -> list[Any]:
            return said(remembered, False)

        def details_of(remembered: Asked | None, why: str, better: str, is_right: bool) -> list[Any]:
            better = "" if is_right else better
            told_now = kept(self._store, remembered, right=is_right, reason=why, right_answer=better)
            return [told_now, gr.Column(visible=False)]

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        thumbs = [told, details, reason, expected, was_right]
        self.right.click(right, asked, thumbs, **quiet)
        self.wrong.click(wrong, asked, thumbs, **quiet)
        gr.on(
            [send.click, reason.submit, expected.submit],
            details_of,
            [asked, reason, expected, was_right],
            [told, details],
            **quiet,
        )

        def reset(remembered: Asked | None) -> list[Any]:
            able = gr.Button(interactive=remembered is not None)
            return [able, able, "", "", "", gr.Column(visible=False)]

        return Section(refresh=reset, outputs=[self.right, self.wrong, reason, expected, told, details])


def add_feedback_export(store: FeedbackStore) -> None:
    """Adds a button to the page under construction that gives all feedback as a file."""
    with gr.Accordion("Feedback so far", open=False, elem_id="closer-feedback"):
        write = gr.Button("Make a file of all feedback (.zip)", size="sm", elem_id="feedback-export")
        said = gr.HTML(elem_id="feedback-export-said")
        file = gr.File(label="Feedback", interactive=False, visible=False, elem_id="feedback-exported")

    def export_it() -> list[Any]:
        try:
            return [gr.File(value=str(export_feedback(store, Path(file.GRADIO_CACHE))), visible=True), ""]
        except InputError as error:
            told = problem(error, folders=[store.path.parent])
            return [gr.File(visible=False), f'<div class="muted" role="alert">{escape(told)}</div>']

    write.click(export_it, None, [file, said], api_visibility="private", **FEEDBACK)


def export_feedback(store: FeedbackStore, cache: Path) -> Path:
    """All feedback as a zip of questions and pictures, in a new folder below one that the page may hand out.

    Raises:
        InputError: there is none yet.
    """
    folder = cache / secrets.token_hex(8)
    folder.mkdir(parents=True)
    return packed(store, folder)


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
