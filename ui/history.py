"""The questions of this visit, to return to with one click."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.assembly import Application
from ui.answering import parts_of
from ui.asked import ASK_AGAIN, Asked
from ui.passage_pictures import pictures_of
from ui.rendering import error_card

__all__ = ["CLICKS", "history_strip", "remembered", "returned_to"]

MOST = 20  # questions
_EMPTY = "Your questions will be kept here while this page is open."

# A click on an entry tells the server which one it was.
CLICKS = """
element.addEventListener('click', event => {
  const entry = event.target.closest('[data-entry]');
  if (entry) trigger('click', {entry: entry.dataset.entry});
});
"""


def remembered(history: list[Asked], asked: Asked | None) -> list[Asked]:
    """The history with an answer in front; without what is oldest. An answer that was returned to stays in place."""
    if asked is None or any(one.asked_id == asked.asked_id for one in history):
        return history
    return [asked, *history][:MOST]


def history_strip(history: list[Asked], current: Asked | None) -> str:
    """Thumbnails with questions and answers, the latest first; a button each."""
    if not history:
        return f'<div class="muted">{escape(_EMPTY)}</div>'
    entries = "".join(_entry(one, current is not None and one.asked_id == current.asked_id) for one in history)
    return f'<div class="history" role="list">{entries}</div>'


def _entry(asked: Asked, current: bool) -> str:
    answer = "not sure" if asked.answer.abstained else asked.answer.text
    picture = (
        f'<img src="{escape(asked.thumbnail)}" alt="">' if asked.thumbnail else '<span class="no-picture">text</span>'
    )
    mark = ' aria-current="true"' if current else ""
    return (
        f'<div role="listitem"><button type="button" class="entry" data-entry="{escape(asked.asked_id)}"{mark}>'
        f'{picture}<span><span class="entry-question">{escape(asked.text)}</span>'
        f'<span class="entry-answer">{escape(answer)}</span></span></button></div>'
    )


def returned_to(history: list[Asked], asked_id: str, application: Application | None = None) -> list[Any]:
    """Values of picture, question, instruction, k and the parts of an answer; where it is no longer kept, says so.

    Args:
        history: the questions.
        asked_id: of one of them.
        application: has the pictures of its passages, if the same knowledge base is asked still.
    """
    asked = next((one for one in history if one.asked_id == asked_id), None)
    if asked is None:
        return [*[gr.skip()] * 4, error_card(ASK_AGAIN), *[gr.skip()] * 4]
    picture = asked.picture if asked.picture and Path(asked.picture).is_file() else None
    there = application is not None and application.knowledge_base == asked.knowledge_base
    pictures = pictures_of(application.store, asked.answer) if application is not None and there else {}
    return [picture, asked.text, asked.instruction or "", asked.k, *parts_of(asked, pictures)]
