"""What every generator of ours learns from: the exercises in their proportions, and the word pieces they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from generator.training.examples import ReadingExample
from generator.training.invented import invented_examples
from generator.training.trainer import Sources
from generator.training.vocabulary import prune_vocabulary
from generator.training.wikipedia import cloze_examples
from generator.training.world_flags import world_flags_examples
from knowledge_bases.world_flags.country import load_countries
from knowledge_bases.world_flags.passages import write_passages

__all__ = ["Mixture", "choose_vocabulary", "exercise_sources"]


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


def _vocabulary_texts(texts: list[str], seed: int) -> list[str]:
    countries = list(load_countries().values())
    passages = [passage.content for facts in countries for passage in write_passages(facts)]
    invented = islice(invented_examples(seed + 17), 3_000)
    asked = islice(world_flags_examples(countries, seed + 18), 6_000)
    return [
        *texts,
        *passages,
        *(f"{example.question} {example.context}" for example in invented),
        *(example.question for example in asked),
    ]


def choose_vocabulary(run: Path, texts: list[str], *, size: int, seed: int, minilm: Path) -> list[str]:
    """The run's vocabulary: chosen at its start, kept beside its state.

    Args:
        run: the run's folder.
        texts: real passages; those of World Flags and invented ones are added.
        size: how many pieces in all.
        seed: of the invented ones.
        minilm: the folder of all-MiniLM-L6-v2.
    """
    path = run / "vocabulary.txt"
    if path.exists():
        return path.read_text(encoding="utf-8").splitlines()
    vocabulary = prune_vocabulary(_vocabulary_texts(texts, seed), size=size, minilm=minilm)
    run.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return vocabulary
