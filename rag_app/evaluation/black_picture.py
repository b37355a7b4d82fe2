"""A black picture for questions without one: PreFLMR's published example encodes M2KR's so.

It takes part in the search alone: the answer is read, and its confidence judged, as without a picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from PIL import Image

from knowledge_bases.records import ScoredPassage, VisualQuestion
from retriever.encoder import Encoder

__all__ = ["SIDE", "as_without_picture", "encodes_pictures", "with_black_picture"]

SIDE = 336  # pixels, as in `example_use_preflmr.py`


def encodes_pictures(encoder: Encoder) -> bool:
    """Whether a checkpoint makes anything of a question's picture."""
    takes_any = encoder.processor.image_processor is not None
    return takes_any and encoder.picture_rows(with_black_picture(VisualQuestion())) > 0


def with_black_picture(question: VisualQuestion) -> VisualQuestion:
    """The question as it is searched; one that has a picture keeps it."""
    return question if question.image is not None else replace(question, image=Image.new("RGB", (SIDE, SIDE)))


def as_without_picture(found: Iterable[ScoredPassage]) -> tuple[ScoredPassage, ...]:
    """What was found with a black picture, without what is said of pictures: there was none to be sure of."""
    return tuple(replace(one, picture_score=None, object_score=None) for one in found)
