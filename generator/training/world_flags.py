"""Reading exercises over the World Flags passages: real countries without the held-out pairs, edited and invented ones.

The edited and the invented ones teach to read instead of remembering.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace

from generator.training.examples import ReadingExample
from generator.training.phrasing import add_noise
from knowledge_bases.records import Passage
from knowledge_bases.world_flags.country import CountryFacts
from knowledge_bases.world_flags.invent import edit_country, invent_country
from knowledge_bases.world_flags.passages import passage_id, write_passages
from knowledge_bases.world_flags.questions import is_held_out
from knowledge_bases.world_flags.relations import Ask, asks_about, find_answer, load_phrasings
from knowledge_bases.world_flags.unanswerable import load_misleading

__all__ = ["world_flags_examples"]

_REAL_SHARE, _EDITED_SHARE = 0.35, 0.2  # the others are invented
_UNANSWERABLE_SHARE = 0.4  # of five passages found, three or four are of another side
_IMPOSSIBLE_SHARE = 0.2  # questions that no side answers
_NEAR_SHARE = 0.8  # of them with a side that comes near, as those are that are found
_NAME_WEIGHT = 4.0  # of asking for the country's name, which every side tells and everybody asks first
_PLAIN_SHARE = 0.5  # questions asked in the table's own words


def world_flags_examples(countries: list[CountryFacts], seed: int) -> Iterator[ReadingExample]:
    """Endless exercises, always the same for a seed.

    Args:
        countries: the real countries. Pairs of country and relation that are held out for testing are not asked.
        seed: of everything drawn.
    """
    rng = random.Random(seed)
    phrasings, impossible = load_phrasings(), load_misleading()
    while True:
        kind = rng.random()
        real = kind < _REAL_SHARE
        if kind < _REAL_SHARE + _EDITED_SHARE:
            facts = rng.choice(countries) if real else edit_country(rng.choice(countries), rng)
        else:
            facts = invent_country(rng)
        passages = {passage.passage_id: passage for passage in write_passages(facts)}
        asks = [ask for ask in asks_about(facts) if not (real and is_held_out(facts.code, ask.relation))]
        for _ in range(2):
            if rng.random() < _IMPOSSIBLE_SHARE:
                yield _impossible(*rng.choice(impossible), facts.code, passages, rng)
                continue
            ask = rng.choices(asks, [_NAME_WEIGHT if one.relation == "country_name" else 1.0 for one in asks])[0]
            question = _noisy(ask.phrase(rng.choice(phrasings[ask.relation]["train"])), rng)
            example = _example(question, ask, facts.code, passages, rng)
            if example is not None:
                yield replace(example, entity=facts.code) if real else example


def _impossible(
    question: str, sides: tuple[str, ...], code: str, passages: dict[str, Passage], rng: random.Random
) -> ReadingExample:
    near = [passages[key] for side in sides if (key := passage_id(code, side)) in passages]
    passage = rng.choice(near if near and rng.random() < _NEAR_SHARE else list(passages.values()))
    return ReadingExample(question=_noisy(question, rng), context=passage.content, spans=(), kind="flags/no answer")


def _noisy(question: str, rng: random.Random) -> str:
    return question if rng.random() < _PLAIN_SHARE else add_noise(question[:1].lower() + question[1:], rng)


def _example(
    question: str, ask: Ask, code: str, passages: dict[str, Passage], rng: random.Random
) -> ReadingExample | None:
    right = [passage_id(code, side) for side in ask.sides]
    if rng.random() < _UNANSWERABLE_SHARE:
        wrong = [passage for key, passage in passages.items() if key not in right]
        passage = rng.choice(wrong) if wrong else None
        if passage is None or any(find_answer(passage.content, variant) for variant in ask.variants):
            return None
        return ReadingExample(question=question, context=passage.content, spans=(), kind="flags/no answer")
    passage = passages[rng.choice(right)]
    spans = _occurrences(passage.content, ask.canonical)
    if not spans:
        return None
    return ReadingExample(question=question, context=passage.content, spans=spans, kind=f"flags/{ask.relation}")


def _occurrences(content: str, answer: str) -> tuple[tuple[int, int], ...]:
    """Every place where the answer stands as whole words, its own case preferred."""
    pattern = rf"(?<!\w){re.escape(answer)}(?!\w)"
    for flags in (0, re.IGNORECASE):
        spans = tuple(match.span() for match in re.finditer(pattern, content, flags))
        if spans:
            return spans
    return ()
