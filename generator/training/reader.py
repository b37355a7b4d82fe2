"""Trains the embedded reader from nothing and writes its checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from generator.training.examples import ReadingExample
from generator.training.invented import invented_examples
from generator.training.trainer import LoopSettings, run_loop
from generator.training.vocabulary import (
    make_tokenizer,
    minilm_folder,
    prune_vocabulary,
    start_from_minilm,
    take_layers,
)
from generator.training.wikipedia import cloze_examples, read_texts
from generator.training.world_flags import world_flags_examples
from knowledge_bases.world_flags.country import load_countries
from knowledge_bases.world_flags.passages import write_passages

__all__ = ["ReaderTrainingSettings", "train_reader"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReaderTrainingSettings:
    """Everything that makes the embedded reader what it is."""

    output: Path  # the checkpoint folder to write
    run: Path = Path("runs/reader")  # resumable state and log
    wikipedia: Path | None = None  # JSONL of real passages; None trains without them
    start: Path | None = None  # a checkpoint of the reader whose layers to go on from, whatever its vocabulary
    vocabulary_size: int = 10_000
    layers: int = 6
    max_positions: int = 320
    invented_share: float = 0.55
    flags_share: float = 0.3
    wikipedia_share: float = 0.15
    seed: int = 0
    loop: LoopSettings = field(default_factory=LoopSettings)


def _sources(
    settings: ReaderTrainingSettings, texts: list[str]
) -> Callable[[int], Sequence[tuple[float, Iterator[ReadingExample]]]]:
    countries = list(load_countries().values())

    def make(seed: int) -> Sequence[tuple[float, Iterator[ReadingExample]]]:
        sources = [
            (settings.invented_share, invented_examples(seed)),
            (settings.flags_share, world_flags_examples(countries, seed + 2)),
        ]
        if texts and settings.wikipedia_share > 0:
            sources.append((settings.wikipedia_share, cloze_examples(texts, seed + 1)))
        return sources

    return make


def _vocabulary_texts(settings: ReaderTrainingSettings, texts: list[str]) -> list[str]:
    countries = load_countries().values()
    passages = [passage.content for facts in countries for passage in write_passages(facts)]
    drawn = islice(invented_examples(settings.seed + 17), 3_000)
    return [*texts, *passages, *(f"{example.question} {example.context}" for example in drawn)]


def _vocabulary(settings: ReaderTrainingSettings, texts: list[str], minilm: Path) -> list[str]:
    """The run's vocabulary: chosen at its start, kept beside its state."""
    path = settings.run / "vocabulary.txt"
    if path.exists():
        return path.read_text(encoding="utf-8").splitlines()
    vocabulary = prune_vocabulary(_vocabulary_texts(settings, texts), size=settings.vocabulary_size, minilm=minilm)
    settings.run.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return vocabulary


def train_reader(settings: ReaderTrainingSettings, *, progress: Callable[[str], None] | None = None) -> None:
    """Train the reader, resuming a stopped run, and write config.json, model.safetensors (half precision), tokenizer.

    Args:
        settings: what to train on and how.
        progress: is told a line now and then.

    Raises:
        RuntimeError: all-MiniLM-L6-v2 is not installed.
        ValueError: `settings.run` holds a run with other settings, or `settings.start` is no reader of this shape.
    """
    minilm = minilm_folder()
    texts = read_texts(settings.wikipedia) if settings.wikipedia is not None else []
    vocabulary = _vocabulary(settings, texts, minilm)
    tokenizer = make_tokenizer(vocabulary, max_tokens=settings.max_positions)
    model = start_from_minilm(
        vocabulary, max_tokens=settings.max_positions, layers=settings.layers, minilm=minilm, seed=settings.seed
    )
    if settings.start is not None:
        take_layers(model, settings.start)
    run_loop(model, tokenizer, _sources(settings, texts), settings.loop, folder=settings.run, progress=progress)
    save_reader(model, tokenizer, settings.output)


def save_reader(model: nn.Module, tokenizer: Any, folder: Path) -> None:  # noqa: ANN401
    """Write the checkpoint in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    half: Any = model.to(torch.float16)
    half.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
