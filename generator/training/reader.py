"""Trains the embedded reader from nothing and writes its checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from generator.training.material import Mixture, exercise_sources
from generator.training.trainer import LoopSettings, run_loop
from generator.training.vocabulary import make_tokenizer, minilm_folder, start_from_minilm, take_layers, word_pieces
from generator.training.wikipedia import read_texts

__all__ = ["ReaderTrainingSettings", "train_reader"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReaderTrainingSettings:
    """Everything that makes the embedded reader what it is."""

    output: Path  # the checkpoint folder to write
    run: Path = Path("runs/reader")  # resumable state and log
    wikipedia: Path | None = None  # JSONL of real passages; None trains without them
    start: Path | None = None  # a checkpoint of the reader whose layers to go on from
    layers: int = 6
    max_positions: int = 320
    mixture: Mixture = field(default_factory=Mixture)
    seed: int = 0
    loop: LoopSettings = field(default_factory=LoopSettings)


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
    vocabulary = word_pieces(minilm)
    tokenizer = make_tokenizer(vocabulary, max_tokens=settings.max_positions)
    model = start_from_minilm(
        vocabulary, max_tokens=settings.max_positions, layers=settings.layers, minilm=minilm, seed=settings.seed
    )
    if settings.start is not None:
        take_layers(model, settings.start)
    run_loop(
        model,
        tokenizer,
        exercise_sources(settings.mixture, texts),
        settings.loop,
        folder=settings.run,
        progress=progress,
    )
    save_reader(model, tokenizer, settings.output)


def save_reader(model: nn.Module, tokenizer: Any, folder: Path) -> None:  # noqa: ANN401
    """Write the checkpoint in half precision, and the words' embeddings, which are never trained, in 8 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    half: Any = model.to(torch.float16)
    state = half.state_dict()
    words = "bert.embeddings.word_embeddings.weight"
    half.save_pretrained(folder, state_dict={**state, words: state[words].to(torch.float8_e4m3fn)})
    tokenizer.save_pretrained(folder)
