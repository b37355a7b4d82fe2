"""The stages of PreFLMR's training (arXiv:2402.08327), at the size of PreFLMR-mini: what learns in each, from what.

0 the text encoder learns late interaction; 1 the mapping structure learns to speak its language, everything else
frozen; 2 knowledge questions about pictures; 3 all tasks together. The vision encoder stays frozen, as published. What
follows is ours: 4, the text stands still again, so the rows of passages can be kept, and the vision encoder's upper
layers and the mapping structure tell an entity from many others at once, which a batch with freshly encoded passages
has no room for; 5 and 6 do so again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from retriever.processing import IMAGE_AND_QUESTION, IMAGE_ONLY, QUESTION_ONLY
from retriever.training.data import TaskMix

__all__ = ["GPU_STAGES", "INSTRUCTIONS", "STAGES", "StageSettings"]

# For pictures with a question, pictures alone, questions alone; the first of each is what the processor puts by itself.
INSTRUCTIONS = (
    (
        IMAGE_AND_QUESTION,
        "Retrieve documents that provide an answer to the question alongside the image:",
        "Extract documents linked to the question provided in conjunction with the image:",
        "Utilizing the given image, obtain documents that respond to the following question:",
        "Using the given image, access documents that provide insights into the following question:",
        "Obtain documents that correspond to the inquiry alongside the provided image:",
        "With the provided image, gather documents that offer a solution to the question:",
    ),
    (
        IMAGE_ONLY,
        "Provide information about the document linked to this image.:",
        "What is the document that this image is related to?:",
        "What document is represented by this image?:",
    ),
    (QUESTION_ONLY, "Find passages that hold the answer:"),
)

_MAPPING = ("query_vision_projection.", "transformer_mapping_")
# The lower layers stand still, since the region head reads the patches after them (`retriever/region.py`): it can be
# trained beside this stage.
_VISION = "query_vision_encoder.vision_model.vision_model.encoder"
_UPPER_VISION = tuple(f"{_VISION}.layers.{layer}." for layer in range(3, 12))
_UPPER_TEXT = (
    *(f"query_text_encoder.bert_model.encoder.layer.{layer}." for layer in range(2, 6)),
    "query_text_encoder_linear.",
)


_TEXT = ("query_text_encoder.bert_model.encoder.layer.", "query_text_encoder_linear.")


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One stage.

    Attributes:
        name: names its folder.
        steps: batches.
        trained: prefixes of the parameters that learn.
        learning_rate: peak of the schedule.
        entities, relations, extra: a knowledge batch, see `KnowledgeSampler.draw`.
        mix: tasks of the knowledge batches.
        passage_share: part of the batches that are sentences of passages instead.
        passage_batch: queries of such a batch.
        asked_share: part of them that are questions made of a sentence, which stays in the passage.
        passage_questions: how many more such questions each passage of the batch has.
        shown_share: part of the entities whose passages come with a picture of their own.
        disguised_share: part of the entities that an invented picture is shown for, beside their passages as well.
        blank: queries of a knowledge batch whose picture shows no entity: no passage shall stand out for them.
        averaged: keep the mean of the weights before and after (arXiv:2203.05482).
    """

    name: str
    steps: int
    trained: tuple[str, ...]
    learning_rate: float
    entities: int = 6
    relations: int = 5
    extra: int = 0
    mix: TaskMix = field(default_factory=TaskMix)
    passage_share: float = 0.0
    passage_batch: int = 24
    asked_share: float = 0.6
    passage_questions: int = 0
    shown_share: float = 0.0
    disguised_share: float = 0.0
    blank: int = 0
    weight_decay: float = 0.01
    warmup: int = 30
    save_every: int = 100
    log_every: int = 10
    averaged: bool = False
    seed: int = 1

    @property
    def sees_pictures(self) -> bool:
        """Whether its queries have pictures."""
        return self.mix.picture_and_question > 0 or self.mix.picture > 0


_STAGES = (
    StageSettings(
        name="0-text",
        steps=480,
        trained=_TEXT,
        learning_rate=1.5e-4,
        mix=TaskMix(picture_and_question=0, name_and_question=1, question=1),
        passage_share=0.8,
        passage_batch=64,
        passage_questions=2,
    ),
    StageSettings(
        name="1-mapping",
        steps=350,
        trained=_MAPPING,
        learning_rate=1e-3,
        entities=12,
        relations=4,
        extra=80,
        mix=TaskMix(picture_and_question=2, picture=1),
    ),
    StageSettings(
        name="2-knowledge",
        steps=100,
        trained=_MAPPING + _UPPER_TEXT,
        learning_rate=1e-4,
        mix=TaskMix(picture_and_question=1),
    ),
    StageSettings(
        name="3-all",
        steps=160,
        trained=_MAPPING + _UPPER_TEXT,
        learning_rate=1e-4,
        mix=TaskMix(picture_and_question=4, picture=1, name_and_question=1, question=1),
        passage_share=0.5,
        passage_batch=64,
        passage_questions=1,
        shown_share=0.2,
    ),
    StageSettings(
        name="4-entities",
        steps=1200,
        trained=_MAPPING + _UPPER_VISION,
        learning_rate=1e-3,
        entities=22,
        relations=2,
        extra=260,
        mix=TaskMix(picture_and_question=4, picture=1),
        shown_share=0.2,
        disguised_share=0.2,
        blank=4,
    ),
)
_MORE_ON_GPU: dict[str, dict[str, Any]] = {
    "0-text": {"steps": 2000, "entities": 16, "passage_share": 0.75, "passage_batch": 192},
    "1-mapping": {"entities": 24, "extra": 200},
    "2-knowledge": {"entities": 24},
    "3-all": {"trained": _MAPPING + _TEXT, "entities": 24, "passage_share": 0.5, "passage_batch": 192},
    "4-entities": {"entities": 48, "extra": 600, "blank": 8},
}


def _with_repetitions(stages: tuple[StageSettings, ...]) -> tuple[StageSettings, ...]:
    """The last stage twice more from where it ended, at half its rate; the mean of both ends is better than either."""
    again = replace(stages[-1], steps=600, learning_rate=5e-4, averaged=True)
    return (*stages, replace(again, name="5-again", seed=5), replace(again, name="6-again", seed=6))


STAGES = _with_repetitions(_STAGES)
GPU_STAGES = _with_repetitions(
    tuple(replace(stage, warmup=100, **_MORE_ON_GPU[stage.name]) for stage in _STAGES),
)
