"""What a picture was recognised as: the thing that the passages found are about.

Nothing names it in a pipeline that goes from a picture straight to passages; it is read from the passages. In most
knowledge bases (Wikipedia's, M2KR's) a passage's title is its entity; World Flags has several titles a country.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from knowledge_bases.records import Passage, ScoredPassage, VisualQuestion
from knowledge_bases.world_flags.entities import country_of
from rag_app.answers import Answer
from rag_app.errors import InputError
from rag_app.joining import own_id
from rag_app.pipeline import RagPipeline

__all__ = ["answer_about", "entities_found", "entity_of", "recognised"]

DEPTH = 200  # passages in which other entities are looked for
_RULES: Mapping[str, Callable[[str], str]] = MappingProxyType({"world_flags": country_of})


def entity_of(passage: Passage, knowledge_base: str) -> str:
    """What a passage is about; empty where nothing tells."""
    rule = _RULES.get(knowledge_base)
    return (rule(passage.passage_id) if rule else "") or passage.title


def recognised(answer: Answer, knowledge_base: str) -> str:
    """What the passage that gave the answer is about, or else the best passage; empty without passages."""
    chosen = {one.passage_id for one in answer.candidates if one.chosen}
    passages = answer.passages
    best = next((one for one in passages if one.passage.passage_id in chosen), passages[0] if passages else None)
    return _entity(best, knowledge_base) if best is not None else ""


def entities_found(
    pipeline: RagPipeline, question: VisualQuestion, knowledge_base: str
) -> dict[str, tuple[ScoredPassage, ...]]:
    """The passages found by what they are about, the best entity first; looks `DEPTH` passages deep.

    Raises:
        InputError: this pipeline finds no passages.
    """
    if pipeline.finder is None:
        raise InputError("nothing is retrieved here, so there is nothing to choose among")
    groups: dict[str, list[ScoredPassage]] = {}
    for found in pipeline.finder.find([question], k=DEPTH)[0]:
        groups.setdefault(_entity(found, knowledge_base), []).append(found)
    groups.pop("", None)
    return {entity: tuple(passages) for entity, passages in groups.items()}


def _entity(found: ScoredPassage, knowledge_base: str) -> str:
    """What a passage is about, wherever it is from."""
    passage = replace(found.passage, passage_id=own_id(found))
    return entity_of(passage, found.knowledge_base or knowledge_base)


def answer_about(pipeline: RagPipeline, question: VisualQuestion, passages: Sequence[ScoredPassage]) -> Answer:
    """The answer from passages about one entity, of which the pipeline's k best are read.

    Raises:
        InputError: the generator's server fails.
    """
    return pipeline.read([question], [tuple(passages[: pipeline.k])])[0]
