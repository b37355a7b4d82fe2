"""Trains BLIP-2-mini to answer with pieces of a passage, and writes its checkpoint."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BlipImageProcessor

from generator.training.blip2_features import CopyingBatch, copying_batch, lengthening
from generator.training.blip2_model import (
    NO_ANSWER,
    Blip2Shape,
    new_blip2,
    new_tokenizer,
    read_vocabulary,
    take_weights,
)
from generator.training.examples import ReadingExample
from generator.training.material import Mixture, exercise_sources
from generator.training.trainer import LoopSettings, Sources, steps_done, train
from generator.training.vocabulary import minilm_folder, start_from_minilm, take_layers, word_pieces
from generator.training.wikipedia import read_texts

__all__ = ["Blip2TrainingSettings", "Vision", "copying_loss", "save_blip2", "train_blip2"]


@dataclass(frozen=True, kw_only=True)
class Vision:
    """A trained vision encoder and pictures for it.

    Attributes:
        config: see `blip2_model.new_blip2`.
        weights: of a `Blip2VisionModel`.
        mean, std: of its pixel values, a channel.
        pictures: country code -> (n, 3, size, size) pixel values of its flag.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    mean: Sequence[float]
    std: Sequence[float]
    pictures: Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Blip2TrainingSettings:
    """Everything that makes BLIP-2-mini what it is."""

    output: Path  # the checkpoint folder to write
    run: Path = Path("runs/blip2")  # resumable state and log
    wikipedia: Path | None = None  # JSONL of real passages; None trains without them
    start: Path | None = None  # a BLIP-2-mini to go on from, or a reader whose layers to take
    layers: int = 6
    max_positions: int = 512
    short_examples: int = 16_000  # with short passages only, at first
    short_share: float = 0.5  # of those that follow
    mixture: Mixture = field(default_factory=Mixture)
    shape: Blip2Shape = field(default_factory=Blip2Shape)
    seed: int = 0
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            steps=3000, learning_rate=3e-4, max_tokens=160, width=24, pool=8, checkpoint_every=20, log_every=5
        )
    )


def copying_loss(model: Any, batch: CopyingBatch, features: Sequence[Tensor | None]) -> Tensor:  # noqa: ANN401
    """Mean over prompts of -log p(answer | picture, prompt), among the passage's pieces and no answer.

    Args:
        model: a `Blip2ForConditionalGeneration` over a `BertLMHeadModel`.
        batch: prompts and answers.
        features: (n_positions, hidden) of each prompt's picture from the vision encoder; None where none is shown.
    """
    language = model.language_model
    embeds = language.get_input_embeddings()(batch.input_ids)  # (batch, n_tokens, hidden)
    mask, columns = batch.attention_mask, batch.columns
    shown = [row for row, feature in enumerate(features) if feature is not None]
    if shown:
        seen = torch.stack([feature for feature in features if feature is not None])
        queries = model.query_tokens.expand(len(shown), -1, -1)
        picture = model.language_projection(model.qformer(query_embeds=queries, encoder_hidden_states=seen)[0])
        places = embeds.new_zeros(len(embeds), picture.shape[1], embeds.shape[2]).index_copy(
            0, torch.tensor(shown), picture
        )
        visible = mask.new_zeros(places.shape[:2])
        visible[shown] = 1
        embeds, mask = torch.cat([places, embeds], dim=1), torch.cat([visible, mask], dim=1)
        columns = columns + picture.shape[1]
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)  # as `generate` counts them
    hidden = language.bert(
        inputs_embeds=embeds, attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state
    logits = language.cls(hidden[batch.rows, columns]).float().masked_fill(~batch.allowed, -torch.inf)
    return functional.cross_entropy(logits, batch.targets, reduction="sum") / len(embeds)


class _Pictures:
    """What the frozen vision encoder sees in the pictures of each country, computed once."""

    def __init__(self, model: Any, pictures: Mapping[str, Tensor], rng: random.Random) -> None:  # noqa: ANN401
        self._rng = rng
        with torch.no_grad():
            self._seen = {
                code: model.vision_model(pixel_values=pixels).last_hidden_state for code, pixels in pictures.items()
            }

    def draw(self, code: str) -> Tensor | None:
        seen = self._seen.get(code)
        return None if seen is None else seen[self._rng.randrange(len(seen))]


def train_blip2(
    settings: Blip2TrainingSettings, vision: Vision, *, progress: Callable[[str], None] | None = None
) -> None:
    """Train BLIP-2-mini, resuming a stopped run, and write a checkpoint that `load_generator` opens.

    Raises:
        RuntimeError: all-MiniLM-L6-v2 is not installed.
        ValueError: `settings.run` holds a run with other settings, or `settings.start` is no checkpoint to start from.
    """
    texts = read_texts(settings.wikipedia) if settings.wikipedia is not None else []
    model, tokenizer = _start(settings, vision)
    no_answer = int(tokenizer.convert_tokens_to_ids(NO_ANSWER))
    pictures = _Pictures(model, vision.pictures, random.Random(settings.seed))
    loop = settings.loop

    def encode(examples: Sequence[ReadingExample]) -> CopyingBatch:
        return copying_batch(tokenizer, examples, max_tokens=loop.max_tokens, width=loop.width, no_answer=no_answer)

    def loss(batch: CopyingBatch) -> Tensor:
        return copying_loss(model, batch, [pictures.draw(code) for code in batch.entities])

    train(model, _sources(settings, texts), encode, loss, loop, folder=settings.run, progress=progress)
    save_blip2(model, tokenizer, vision, settings.output)


def _sources(settings: Blip2TrainingSettings, texts: list[str]) -> Sources:
    make = exercise_sources(settings.mixture, texts)
    done = steps_done(settings.run) * settings.loop.batch_size

    def shortened(seed: int) -> Sequence[tuple[float, Iterator[ReadingExample]]]:
        return [
            (
                share,
                lengthening(
                    examples,
                    random.Random(seed),
                    done=round(share * done),
                    short=round(share * settings.short_examples),
                    share=settings.short_share,
                ),
            )
            for share, examples in make(seed)
        ]

    return shortened


def _start(settings: Blip2TrainingSettings, vision: Vision) -> tuple[Any, Any]:
    """Model and tokenizer before the first batch."""
    minilm = minilm_folder()
    vocabulary = word_pieces(minilm) if settings.start is None else read_vocabulary(settings.start)
    tokenizer = new_tokenizer(vocabulary, max_tokens=settings.max_positions)
    reader = start_from_minilm(
        vocabulary, max_tokens=settings.max_positions, layers=settings.layers, minilm=minilm, seed=settings.seed
    )
    is_blip2 = settings.start is not None and '"blip-2"' in (settings.start / "config.json").read_text(encoding="utf-8")
    if settings.start is not None and not is_blip2:
        take_layers(reader, settings.start)
    model = new_blip2(reader, vocabulary, vision.config, vision.weights, settings.shape, seed=settings.seed)
    if settings.start is not None and is_blip2:
        take_weights(model, settings.start)
    return model, tokenizer


def save_blip2(model: Any, tokenizer: Any, vision: Vision, folder: Path) -> None:  # noqa: ANN401
    """Write the checkpoint in half precision, with the image processor that its vision encoder needs."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = int(vision.config["image_size"])
    processor: Any = BlipImageProcessor(
        size={"height": size, "width": size}, image_mean=list(vision.mean), image_std=list(vision.std)
    )
    processor.save_pretrained(folder)
