"""What the page remembers of a question: kept on the server, one a visitor."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio.blocks import Block
from gradio.utils import get_upload_folder

from knowledge_bases.records import VisualQuestion
from rag_app.answers import Answer
from rag_app.errors import InputError, one_line
from rag_app.feedback import Feedback
from rag_app.pictures import open_picture
from rag_app.questions import check_instruction, check_question

__all__ = ["ASK_AGAIN", "Asked", "Section", "problem", "visual_question"]

ASK_AGAIN = "Ask again first: the page no longer keeps what was asked."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question that was answered.

    Attributes:
        picture: path of the uploaded picture; it is opened again when it is needed, so that memory stays small.
        text: the question.
        instruction: of the retrieval; None is the default.
        k: passages that were asked for.
        answer: to it.
        entity: what the picture was recognised as; empty where nothing tells.
        corrected: whether a person said so.
        thumbnail: the picture, small, as a data address; empty without one.
        knowledge_base: that was asked.
        preset: that answered.
        asked_id: of this answer.
    """

    picture: str | None
    text: str
    instruction: str | None
    k: int
    answer: Answer
    entity: str = ""
    corrected: bool = False
    thumbnail: str = ""
    knowledge_base: str = ""
    preset: str = ""
    asked_id: str = field(default_factory=Feedback.new_id)

    def open(self) -> VisualQuestion:
        """The question as it was asked.

        Raises:
            InputError: the picture is no longer there.
        """
        image = open_picture(self.picture) if self.picture else None
        return VisualQuestion(text=self.text, image=image, instruction=self.instruction)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page that is filled anew after each question.

    Attributes:
        refresh: takes what was asked, or None after an error; returns the values of the outputs.
        outputs: components.
    """

    refresh: Callable[[Asked | None], list[Any]]
    outputs: list[Block]


def visual_question(picture: str | None, text: str | None, instruction: str | None) -> VisualQuestion:
    """Checks what was typed and opens the picture.

    Raises:
        InputError: one of them cannot be used.
    """
    text, instruction = check_question(text or ""), check_instruction(instruction or "")
    return VisualQuestion(text=text, image=open_picture(picture) if picture else None, instruction=instruction)


def problem(error: InputError, *paths: str | None, folders: Sequence[Path] = ()) -> str:
    """What is wrong, as a sentence without paths of the server.

    Args:
        error: what is wrong.
        paths: which become "the file".
        folders: of whose files only the names are left, as of uploads.
    """
    message = one_line(error)
    for path in paths:
        message = message.replace(path, "the file") if path else message
    message = f"{_begun_large(message)}."
    for folder in (get_upload_folder(), *map(str, folders)):
        message = re.sub(rf"{re.escape(folder)}(/[^/\s]+)*/", "", message)
    return message


def _begun_large(message: str) -> str:
    """The message with a capital in front, unless it begins with a file's name."""
    names_a_file = re.match(r"[^,:;/]*\.\w+(, line [\d,]+)?: ", message)
    begins_with_a_word = re.match(r"[a-z'-]+[,:;]?( |$)", message)
    return f"{message[:1].upper()}{message[1:]}" if begins_with_a_word and not names_a_file else message
