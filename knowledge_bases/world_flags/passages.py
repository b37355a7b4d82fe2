"""Writes the passages about one country, real or invented, from its facts alone."""

from __future__ import annotations

import functools
import hashlib
import random
import string

from knowledge_bases.records import Passage
from knowledge_bases.world_flags.country import CountryFacts, format_area, format_count, join_list
from knowledge_bases.world_flags.wording import SIDES, TITLES

__all__ = ["describe", "is_plural", "passage_id", "spell_count", "write_passages"]

NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen"),
)


def passage_id(code: str, side: str) -> str:
    """The id of a country's passage about one side."""
    return f"wf-{code}-{side}"


def write_passages(facts: CountryFacts) -> list[Passage]:
    """One passage a side; wording and order follow a stable hash of the country's code and nothing else."""
    values = describe(facts)
    return [_write(facts.code, side, values) for side in SIDES]


def describe(facts: CountryFacts) -> dict[str, str]:
    """What the placeholders of the wording stand for. A key that does not apply to this country is absent.

    Keys such as "no_capital" and "landlocked" are conditions: present, and empty, where the sentence may be used.
    """
    largest, *others = facts.cities
    values = {
        "name": facts.name,
        "N": facts.text_name,
        "N_bare": facts.name,
        "noun": facts.noun,
        "adjective": facts.adjective,
        "people": facts.people,
        "people_the": facts.people if facts.people != facts.adjective else f"the {facts.people}",
        "people_word": facts.people if facts.people != facts.adjective else f"{facts.adjective} people",
        "layout": facts.flag_layout,
        "colours": join_list(facts.flag_colours),
        "flag_year": str(facts.flag_year),
        "region": facts.region,
        "continent": facts.continent,
        "area": format_area(facts.area),
        "peak": facts.highest_point,
        "metres": f"{facts.highest_metres:,}",
        "population": format_count(facts.population),
        "density": _density(facts),
        "largest": largest.name,
        "largest_population": format_count(largest.population),
        "currency": facts.currency,
        "currency_plural": facts.currency_plural,
        "currency_code": facts.currency_code,
        "dish": facts.dish,
        "government": facts.government,
        "head_of_state": facts.head_of_state,
        "head_of_government": facts.head_of_government,
        "official_name": facts.official_name,
        "founding_year": str(facts.founding_year),
        "founding": facts.founding,
        "national_day": facts.national_day,
        "day_name": facts.national_day_name,
        "calling_code": facts.calling_code,
        "driving_side": facts.driving_side,
        "wrong_side": "left" if facts.driving_side == "right" else "right",
        "time_zone": facts.time_zone,
        "capital_population": format_count(facts.capital_population),
        "capital": facts.capital,
        "capital_note": facts.capital_note,
        "domain": facts.domain,
        "waters": facts.waters,
        "other_languages": join_list(facts.other_languages),
        "other_currencies": join_list(facts.other_currencies),
        "emblem": facts.flag_emblem,
        "emblem_place": facts.flag_place,
    }
    for order, city in zip(("second", "third"), others, strict=False):
        values[order], values[f"{order}_population"] = city.name, format_count(city.population)
    values |= _flag_parts(facts) | _lists(facts)
    missing = [key for key, value in values.items() if value in ("", "0")]
    values = {key: value for key, value in values.items() if key not in missing}
    return values | dict.fromkeys(_conditions(facts), "")


def _density(facts: CountryFacts) -> str:
    """Inhabitants a square kilometre, or "" where a rounded number would mislead."""
    density = round(facts.population / facts.area)
    return f"{density:,}" if density > 1 else ""


def _flag_parts(facts: CountryFacts) -> dict[str, str]:
    values = {}
    for index, part in enumerate(facts.flag_parts, start=1):
        plural = is_plural(part.part)
        values[f"part_{index}"], values[f"meaning_{index}"] = part.part, part.meaning
        for verb in ("stand", "call", "represent", "symbolise"):
            values[f"{verb}s_{index}"] = verb if plural else f"{verb}s"
    return values


def spell_count(count: int) -> str:
    """A small number in words."""
    return NUMBER_WORDS[count] if count < len(NUMBER_WORDS) else str(count)


def is_plural(part: str) -> bool:
    """Whether a verb after this part of a flag ("the stars", "red and white") stands in the plural."""
    head = part.removeprefix("the ").split(" on ")[0].split(" in ")[0].split(" of ")[0].split(" with ")[0]
    return " and " in head or (head.endswith("s") and not head.endswith(("ss", "us", "lotus")))


def _lists(facts: CountryFacts) -> dict[str, str]:
    """Lists and their singular twins: only one of the two is used, so that the verbs agree."""
    values = {"language" if len(facts.languages) == 1 else "languages": join_list(facts.languages)}
    values["export" if len(facts.exports) == 1 else "exports"] = join_list(facts.exports)
    if facts.neighbours:
        values["neighbours" if len(facts.neighbours) > 1 else "only_neighbour"] = join_list(facts.neighbours)
    if len(facts.neighbours) > 1:
        values["neighbour_count"] = spell_count(len(facts.neighbours))
    return values


def _conditions(facts: CountryFacts) -> list[str]:
    largest = facts.cities[0].name
    heads_differ = facts.head_of_state != facts.head_of_government
    checks = {
        "no_emblem": not facts.flag_emblem,
        "no_capital": not facts.capital,
        "has_capital": bool(facts.capital),
        "plain_capital": bool(facts.capital) and not facts.capital_note,
        "other_largest": bool(facts.capital) and largest != facts.capital,
        "same_largest": largest == facts.capital and len(facts.cities) > 1,
        "continent_differs": facts.continent != facts.region,
        "no_neighbours": not facts.neighbours,
        "landlocked": not facts.waters,
        "single_export": len(facts.exports) == 1,
        "two_heads": heads_differ,
        "one_head": not heads_differ,
        "flag_later": facts.flag_year > facts.founding_year,
        "flag_earlier": facts.flag_year < facts.founding_year,
        "flag_same": facts.flag_year == facts.founding_year,
        "no_domain": not facts.domain,
    }
    return [key for key, holds in checks.items() if holds]


def _write(code: str, side: str, values: dict[str, str]) -> Passage:
    rng = random.Random(int.from_bytes(hashlib.sha256(f"{code}/{side}".encode()).digest()[:8], "big"))
    units: list[list[str]] = []  # sentences that belong together
    for wordings in SIDES[side]:
        follows = wordings[0].startswith("+")
        usable = [wording for wording in wordings if _placeholders(wording) <= values.keys()]
        if usable:
            sentence = rng.choice(usable).removeprefix("+").format_map(values)
            if follows and units:
                units[-1].append(sentence)
            else:
                units.append([sentence])
    title = rng.choice(TITLES[side]).format_map(values)
    text = " ".join(_as_sentence(sentence) for unit in _reorder(units, values["N"], rng) for sentence in unit)
    return Passage(passage_id=passage_id(code, side), title=_capitalise(title), text=text, source="World Flags")


def _reorder(units: list[list[str]], name: str, rng: random.Random) -> list[list[str]]:
    """Any order, but first a sentence that names the country, so that "it" and "there" have something to refer to."""
    rng.shuffle(units)
    first = next((index for index, unit in enumerate(units) if name in unit[0]), 0)
    return [units[first], *units[:first], *units[first + 1 :]]


@functools.cache
def _placeholders(wording: str) -> frozenset[str]:
    return frozenset({key for _, key, _, _ in string.Formatter().parse(wording) if key})


def _as_sentence(text: str) -> str:
    return _capitalise(text) + ("" if text.endswith(".") else ".")


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
