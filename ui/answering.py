"""Asks the pipeline for the page, part by part, and says kindly what cannot be asked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from knowledge_bases.records import VisualQuestion
from rag_app.answers import Answer
from rag_app.assembly import Application
from rag_app.entities import answer_about, entities_found, recognised
from rag_app.errors import InputError
from rag_app.thumbnails import data_uri
from ui.asked import Asked, problem, visual_question
from ui.passage_pictures import pictures_of
from ui.rendering import answer_card, error_card, passage_cards, recognised_line, timing_line

__all__ = [
    "MOST_PASSAGES",
    "Parts",
    "answered",
    "answered_about",
    "checked_k",
    "corrected",
    "other_entities",
    "parts_of",
]

MOST_PASSAGES = 20  # that one question may find and read
_MOST_ENTITIES = 10  # to choose among
_THUMBNAIL_SIDE = 96

Parts = tuple[str, str, str, str, Asked | None]
"""Answer, what was recognised, passages and timings as HTML; what to remember."""


def answered(application: Application, picture: str | None, text: str, instruction: str, k: float) -> Iterator[Parts]:
    """The passages as soon as they are found, then the answer; a kind word where there is none."""
    try:
        started = time.perf_counter()
        question = visual_question(picture, text, instruction)
        opened = (time.perf_counter() - started) * 1000
        now = application.snapshot()  # another preset or knowledge base may come while this is answered
        pipeline = now.pipeline.taking(checked_k(k, now))
        pictures: dict[str, str] | None = None
        for answer in pipeline.stream(question):
            if pictures is None:
                pictures = pictures_of(now.store, answer)
            timed = replace(answer, timings_ms={"picture": opened, **answer.timings_ms} if answer.complete else {})
            yield parts_of(
                Asked(
                    picture=picture,
                    text=question.text,
                    instruction=question.instruction,
                    k=pipeline.k,
                    answer=timed,
                    entity=recognised(answer, now.knowledge_base),
                    thumbnail=_thumbnail(question),
                    knowledge_base=now.knowledge_base,
                    preset=now.preset.name,
                ),
                pictures,
            )
    except InputError as error:
        yield _refused(error, picture, application.var)


def checked_k(k: float, application: Application) -> int:
    """How many passages are read.

    Raises:
        InputError: too many, none, or no whole number.
    """
    most = max(MOST_PASSAGES, application.pipeline.k)
    if not 1 <= k <= most or k != int(k):
        raise InputError(f"{k:g} passages were asked for; ask for 1 to {most}")
    return int(k)


def parts_of(asked: Asked, pictures: Mapping[str, str] = MappingProxyType({})) -> Parts:
    """An answer as the page shows it; remembered once it is complete.

    Args:
        asked: with the answer.
        pictures: of its passages, by their ids, as data addresses.
    """
    return (
        answer_card(asked.answer),
        recognised_line(_named(asked), corrected=asked.corrected, pictured=bool(asked.picture)),
        passage_cards(asked.answer, pictures),
        timing_line(asked.answer.timings_ms),
        asked if asked.answer.complete else None,
    )


def _named(asked: Asked) -> str:
    """What is shown as recognised: nothing where no picture was given and no answer, since nothing then tells."""
    return asked.entity if asked.picture or asked.corrected or not asked.answer.abstained else ""


def other_entities(application: Application, asked: Asked) -> list[str]:
    """What else the picture could show, the likeliest first.

    Raises:
        InputError: the picture is no longer there.
    """
    now = application.snapshot()
    found = entities_found(now.pipeline, asked.open(), now.knowledge_base)
    return [entity for entity in found if entity != asked.entity][:_MOST_ENTITIES]


def corrected(application: Application, asked: Asked, entity: str) -> Parts:
    """The answer from the passages about what a person said that it is."""
    try:
        question, now = asked.open(), application.snapshot()
        answer = answered_about(now, question, entity, asked.k)
    except InputError as error:
        return _refused(error, asked.picture, application.var)
    again = Asked(
        picture=asked.picture,
        text=asked.text,
        instruction=asked.instruction,
        k=asked.k,
        answer=answer,
        entity=entity,
        corrected=True,
        thumbnail=asked.thumbnail,
        knowledge_base=now.knowledge_base,
        preset=now.preset.name,
    )
    return parts_of(again, pictures_of(now.store, answer))


def answered_about(application: Application, question: VisualQuestion, entity: str, k: int) -> Answer:
    """The answer from the k best passages about an entity.

    Raises:
        InputError: nothing that is found is about it.
    """
    passages = entities_found(application.pipeline, question, application.knowledge_base).get(entity, ())
    if not passages:
        raise InputError(f"no passage found here is about {entity!r}; choose one of the names offered")
    return answer_about(application.pipeline.taking(k), question, passages)


def _refused(error: InputError, picture: str | None, var: Path) -> Parts:
    return error_card(problem(error, picture, folders=[var])), recognised_line(""), "", "", None


def _thumbnail(question: VisualQuestion) -> str:
    return data_uri(question.image, _THUMBNAIL_SIDE) if question.image is not None else ""
