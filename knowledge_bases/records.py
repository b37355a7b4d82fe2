"""The records that travel through the application: passages, questions, examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

__all__ = ["Passage", "ScoredPassage", "VisualQuestion", "VqaExample"]


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One piece of text that may hold an answer.

    Attributes:
        passage_id: stable id, unique in its knowledge base.
        title: what the passage is about; may be empty.
        text: the passage itself.
        source: where it came from (a file, an address); may be empty.
    """

    passage_id: str
    title: str = ""
    text: str
    source: str = ""

    @property
    def content(self) -> str:
        """What is encoded and read: the title, if there is one, and the text."""
        return f"{self.title}. {self.text}" if self.title else self.text


@dataclass(frozen=True, kw_only=True)
class ScoredPassage:
    """A passage that was found, with its late-interaction score (higher is better)."""

    passage: Passage
    score: float


@dataclass(frozen=True, kw_only=True)
class VisualQuestion:
    """What a person asks: a text, a picture, or both.

    Attributes:
        text: the question; may be empty when there is a picture.
        image: the opened picture, or None.
        instruction: the retrieval instruction put before the question; None takes the default.
    """

    text: str = ""
    image: Image.Image | None = None
    instruction: str | None = None


@dataclass(frozen=True, kw_only=True)
class VqaExample:
    """One row of a VQA dataset.

    Attributes:
        question_id: unique id.
        question: the question's text.
        image: path of the picture relative to the dataset's picture folder, or None.
        answers: the annotators' answers (ten in the VQA format).
        pos_passage_ids: ids of the passages that hold the answer.
        question_type: a group to report by, or "".
        instruction: the retrieval instruction, or None for the default.
    """

    question_id: str
    question: str
    image: Path | None = None
    answers: tuple[str, ...] = ()
    pos_passage_ids: tuple[str, ...] = field(default=())
    question_type: str = ""
    instruction: str | None = None
