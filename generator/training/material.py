"""What every generator of ours learns from: the exercises in their proportions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.training.examples import ReadingExample
from generator.training.invented import invented_examples
from generator.training.trainer import Sources
from generator.training.wikipedia import cloze_examples
from generator.training.world_flags import world_flags_examples
from knowledge_bases.world_flags.country import load_countries

__all__ = ["Mixture", "exercise_sources"]


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Shares of the kinds of exercises."""

    invented: float = 0.35
    flags: float = 0.55
    wikipedia: float = 0.1  # real passages with gaps, where there are any


def exercise_sources(mixture: Mixture, texts: list[str]) -> Sources:
    """Sources of exercises for a seed; `texts` are real passages."""
    countries = list(load_countries().values())

    def make(seed: int) -> Sequence[tuple[float, Iterator[ReadingExample]]]:
        sources = [
            (mixture.invented, invented_examples(seed)),
            (mixture.flags, world_flags_examples(countries, seed + 2)),
        ]
        if texts and mixture.wikipedia > 0:
            sources.append((mixture.wikipedia, cloze_examples(texts, seed + 1)))
        return sources

    return make
