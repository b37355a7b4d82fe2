"""The records that travel through the application: passages, questions, examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

__all__ = ["Passage", "Region", "ScoredPassage", "VisualQuestion", "VqaExample"]


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
    """A passage that was found.

    Attributes:
        passage: what was found.
        score: its late-interaction score; higher is better.
        picture_score: the part of the score that the picture's rows contribute; None without a picture.
        object_score: log odds that the question's picture shows an object of the kind that the retriever knows; None
            without a picture, where the retriever cannot tell, and for a passage that was found by a picture of its
            own, whatever that shows.
        knowledge_base: name of the one it is from, where several are asked at once; else empty.
    """

    passage: Passage
    score: float
    picture_score: float | None = None
    object_score: float | None = None
    knowledge_base: str = ""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of a picture that a detector found.

    Attributes:
        label: what it shows.
        box: (left, top, right, bottom) in the picture's pixels.
    """

    label: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class VisualQuestion:
    """What a person asks: a text, a picture, or both.

    Attributes:
        text: the question; may be empty when there is a picture.
        image: the opened picture, or None.
        instruction: the retrieval instruction put before the question; None takes the default.
        regions: parts of the picture that are encoded beside it, as the original FLMR does.
        description: what is to be seen, between the markers of the original FLMR (`<BOV>` ... `<EOC>`); only
            checkpoints that know them read it.
    """

    text: str = ""
    image: Image.Image | None = None
    instruction: str | None = None
    regions: tuple[Image.Image, ...] = ()
    description: str = ""


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
        regions: parts of the picture to encode beside it.
        description: see `VisualQuestion`.
    """

    question_id: str
    question: str
    image: Path | None = None
    answers: tuple[str, ...] = ()
    pos_passage_ids: tuple[str, ...] = field(default=())
    question_type: str = ""
    instruction: str | None = None
    regions: tuple[Region, ...] = ()
    description: str = ""
