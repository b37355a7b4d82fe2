"""Questions like those to come, made of a knowledge base's passages: a compressed index is built with them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from torch import Tensor

from knowledge_bases.importing.splitting import sentences
from knowledge_bases.records import VisualQuestion
from knowledge_bases.store import StoreError
from rag_app.stores import SharedStore, passage_picture
from retriever.encoder import Encoder
from retriever.training.cloze import question_about

__all__ = ["N_SAMPLES", "sample_questions"]

N_SAMPLES = 40  # of each kind


def sample_questions(
    store: SharedStore, passage_ids: Sequence[str], encoder: Encoder, *, seed: int = 0
) -> list[Tensor]:
    """Encoded questions about passages: texts alone, and where passages have pictures, texts with pictures.

    To an index it matters what the rows of questions have in common, such as padding; that they share with what people
    will ask. Their words are taken from the passages (`retriever/training/cloze.py`).

    Args:
        store: the passages.
        passage_ids: those to draw from.
        encoder: of the questions.
        seed: of what is drawn.

    Returns:
        (n_rows, dim) float32 unit rows each; none where a passage has been taken out of the store meanwhile.
    """
    rng = random.Random(seed)
    try:
        return encoder.encode_queries(_questions(store, passage_ids, encoder, rng))
    except StoreError:
        return []


def _questions(
    store: SharedStore, passage_ids: Sequence[str], encoder: Encoder, rng: random.Random
) -> list[VisualQuestion]:
    passages = store.get(rng.sample(passage_ids, min(N_SAMPLES, len(passage_ids))))
    questions = [VisualQuestion(text=_question(one.text, rng)) for one in passages]
    if encoder.processor.image_processor is None:
        return questions
    shown = sorted(store.picture_digests().keys() & set(passage_ids))
    for one in store.get(rng.sample(shown, min(N_SAMPLES, len(shown)))):
        image = passage_picture(store, one.passage_id)
        if image is not None:
            questions.append(VisualQuestion(text=_question(one.text, rng), image=image))
    return questions


def _question(text: str, rng: random.Random) -> str:
    return question_about(rng.choice(sentences(text) or [text]), rng)
