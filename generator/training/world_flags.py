"""Reading exercises over the World Flags passages: real countries without the held-out pairs, and mixed-up ones.

A mixed-up country has an invented name and takes each of its facts from another real one, so that remembering the
facts does not help.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import fields, replace

from generator.training.examples import ReadingExample
from generator.training.phrasing import add_noise
from generator.training.values import draw
from knowledge_bases.records import Passage
from knowledge_bases.world_flags.country import CountryFacts
from knowledge_bases.world_flags.passages import passage_id, write_passages
from knowledge_bases.world_flags.questions import is_held_out
from knowledge_bases.world_flags.relations import Ask, asks_about, find_answer, load_phrasings

__all__ = ["mixed_up_country", "world_flags_examples"]

_REAL_SHARE = 0.4
_UNANSWERABLE_SHARE = 0.25
_PLAIN_SHARE = 0.5  # questions asked in the table's own words
# facts that only make sense together; each group is taken from one country
_TOGETHER = (
    ("capital", "also_capitals", "capital_note", "cities"),
    ("currency", "currency_plural", "currency_code", "other_currencies"),
    ("languages", "other_languages"),
    ("continent", "region", "neighbours", "waters"),
    ("founding_year", "founding", "ruler"),
    ("government", "head_of_state", "head_of_government"),
    ("national_day", "national_day_name"),
    ("highest_point", "highest_metres", "area"),
    ("flag_year",),
    ("flag_colours", "flag_layout", "flag_emblem", "flag_place", "flag_parts"),
    ("population",),
    ("exports",),
    ("dish",),
    ("calling_code",),
    ("domain",),
    ("driving_side",),
    ("time_zone",),
)


def mixed_up_country(countries: list[CountryFacts], rng: random.Random) -> CountryFacts:
    """A country with an invented name whose facts come from many real ones."""
    name = draw("country", rng)
    known = {field.name for field in fields(CountryFacts)}
    facts = replace(
        rng.choice(countries),
        code=f"mixed{rng.randrange(10**9)}",
        name=name,
        text_name=name,
        official_name=rng.choice(["the Republic of ", "the Kingdom of ", "the State of "]) + name,
        aliases=(),
        adjective=draw("demonym", rng),
        people=draw("demonym", rng) + "s",
    )
    for group in _TOGETHER:
        donor = rng.choice(countries)
        facts = replace(facts, **{field: getattr(donor, field) for field in group if field in known})
    return _with_invented_names(facts, rng)


def _with_invented_names(facts: CountryFacts, rng: random.Random) -> CountryFacts:
    """Now and then an invented capital, currency, code, count or date instead of a real one."""
    if facts.capital and facts.capital != facts.cities[0].name and rng.random() < 0.5:
        facts = replace(facts, capital=draw("city", rng), also_capitals=(), capital_note="")
    if rng.random() < 0.3:
        currency = draw("currency", rng)
        facts = replace(facts, currency=currency, currency_plural=f"{currency}s", currency_code=draw("ccy", rng))
    if rng.random() < 0.3:
        facts = replace(facts, languages=tuple(draw("language", rng) for _ in range(rng.choice([1, 1, 2, 3]))))
    if rng.random() < 0.5:
        facts = replace(facts, calling_code=f"+{rng.randint(1, 999)}", population=int(10 ** rng.uniform(4, 8.5)))
    if rng.random() < 0.5:
        facts = replace(facts, national_day=f"{rng.randint(1, 28)} {draw('month', rng)}", domain=draw("tld", rng))
    return facts


def world_flags_examples(countries: list[CountryFacts], seed: int) -> Iterator[ReadingExample]:
    """Endless exercises, always the same for a seed.

    Args:
        countries: the real countries. Pairs of country and relation that are held out for testing are not asked.
        seed: of everything drawn.
    """
    rng = random.Random(seed)
    phrasings = load_phrasings()
    while True:
        real = rng.random() < _REAL_SHARE
        facts = rng.choice(countries) if real else mixed_up_country(countries, rng)
        passages = {passage.passage_id: passage for passage in write_passages(facts)}
        asks = [ask for ask in asks_about(facts) if not (real and is_held_out(facts.code, ask.relation))]
        for _ in range(2):
            ask = rng.choice(asks)
            question = ask.phrase(rng.choice(phrasings[ask.relation]["train"]))
            question = question if rng.random() < _PLAIN_SHARE else add_noise(question[:1].lower() + question[1:], rng)
            example = _example(question, ask, facts.code, passages, rng)
            if example is not None:
                yield example


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
