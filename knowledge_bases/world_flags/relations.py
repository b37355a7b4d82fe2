"""The relations that questions ask about: which passage answers them, how people ask, and what counts as right."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.world_flags.country import CountryFacts, format_area, format_count, join_list
from knowledge_bases.world_flags.passages import is_plural, spell_count
from knowledge_bases.world_flags.wording import SIDES

__all__ = ["RELATIONS", "SPLITS", "Ask", "asks_about", "find_answer", "load_phrasings"]

SPLITS = ("train", "validation", "test")
PHRASINGS_PATH = Path(__file__).parent / "tables" / "phrasings.txt"
Variants = list[str]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One thing that can be asked about one country.

    Attributes:
        relation: key of RELATIONS.
        canonical: the answer as it stands in the passages (upper and lower case aside).
        variants: accepted answers, the canonical one first.
        sides: sides of the country whose passages hold the answer, the main one first.
        part: the part of the flag that is asked about, "" except for flag_meaning.
    """

    relation: str
    canonical: str
    variants: tuple[str, ...]
    sides: tuple[str, ...]
    part: str = ""

    def phrase(self, phrasing: str) -> str:
        """The question in these words."""
        plural = is_plural(self.part)
        return phrasing.format(part=self.part, do="do" if plural else "does", be="are" if plural else "is")


def asks_about(facts: CountryFacts) -> list[Ask]:
    """Everything that can be asked about a country. What it does not have (a coast, a former ruler) is left out."""
    asks = []
    for relation, (sides, answer) in RELATIONS.items():
        variants = [variant for variant in answer(facts) if variant]
        if variants:
            chosen = sides(facts) if callable(sides) else sides
            unique = tuple(dict.fromkeys(variants))
            asks.append(Ask(relation=relation, canonical=unique[0], variants=unique, sides=chosen))
    for part in facts.flag_parts:
        meanings = tuple(dict.fromkeys((part.meaning, _without_article(part.meaning))))
        asks.append(
            Ask(relation="flag_meaning", canonical=part.meaning, variants=meanings, sides=("meaning",), part=part.part)
        )
    return asks


def find_answer(text: str, canonical: str) -> tuple[int, int] | None:
    """Start and end of the answer in a passage: whole words, its own case preferred; None if it is not there."""
    pattern = rf"(?<!\w){re.escape(canonical)}(?!\w)"
    match = re.search(pattern, text) or re.search(pattern, text, re.IGNORECASE)
    return match.span() if match else None


@functools.cache
def load_phrasings() -> dict[str, dict[str, tuple[str, ...]]]:
    """Phrasings by relation and split.

    Raises:
        ValueError: the file names a relation that does not exist, or lacks one.
    """
    found: dict[str, dict[str, list[str]]] = {}
    relation = split = ""
    for line in PHRASINGS_PATH.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            relation = line.strip("[]")
            found[relation] = {name: [] for name in SPLITS}
        elif line in SPLITS:
            split = line
        elif line and not line.startswith("#"):
            found[relation][split].append(line)
    expected = {*RELATIONS, "flag_meaning"}
    if found.keys() != expected:
        raise ValueError(f"{PHRASINGS_PATH}: relations differ from the code: {', '.join(found.keys() ^ expected)}")
    return {name: {split: tuple(lines) for split, lines in splits.items()} for name, splits in found.items()}


def _country_name(facts: CountryFacts) -> Variants:
    return [facts.name, *facts.aliases]


def _capital(facts: CountryFacts) -> Variants:
    return [facts.capital, *facts.also_capitals] if facts.capital else []


def _capital_population(facts: CountryFacts) -> Variants:
    return _count(facts.capital_population) if facts.capital and facts.capital_population else []


def _largest_city(facts: CountryFacts) -> Variants:
    return [facts.cities[0].name]


def _second_city(facts: CountryFacts) -> Variants:
    return [city.name for city in facts.cities[1:2] if city.population]


def _currency(facts: CountryFacts) -> Variants:
    kind = facts.currency.split()[-1]
    also = {"renminbi": ["yuan"], "pound sterling": ["pound", "British pound"], "Zimbabwe Gold": ["ZiG"]}
    return [facts.currency, *also.get(facts.currency, [kind]), facts.currency_plural]


def _languages(facts: CountryFacts) -> Variants:
    return [join_list(facts.languages), *facts.languages[:5]]


def _region(facts: CountryFacts) -> Variants:
    return [facts.region, facts.continent]


def _neighbours(facts: CountryFacts) -> Variants:
    return [join_list(facts.neighbours), *(name.removeprefix("the ") for name in facts.neighbours[:5])]


def _neighbour_count(facts: CountryFacts) -> Variants:
    count = len(facts.neighbours)
    return [spell_count(count), str(count)] if count > 1 else []


def _waters(facts: CountryFacts) -> Variants:
    return [facts.waters, *(part for part in re.split(r" and the |, ", facts.waters) if " and " in facts.waters)]


def _calling_code(facts: CountryFacts) -> Variants:
    return [facts.calling_code, facts.calling_code.replace(" ", ""), facts.calling_code.replace("+", "00")]


def _driving_side(facts: CountryFacts) -> Variants:
    return [facts.driving_side, f"{facts.driving_side} side", f"on the {facts.driving_side}"]


def _area(facts: CountryFacts) -> Variants:
    area = format_area(facts.area)
    return [area, f"{area} square kilometres", f"{area} km2"]


def _height(facts: CountryFacts) -> Variants:
    return [f"{facts.highest_metres:,}", f"{facts.highest_metres:,} metres", f"{facts.highest_metres:,} m"]


def _count(number: int) -> Variants:
    text = format_count(number)
    people = [text, f"{text} people"]
    return [*people, f"{round(number / 1e6)} million"] if number >= 10_000_000 and number < 1e9 else people


def _national_day(facts: CountryFacts) -> Variants:
    day, _, month = facts.national_day.partition(" ")
    return [facts.national_day, f"{month} {day}"] if day.isdigit() else [facts.national_day]


def _head_of_state(facts: CountryFacts) -> Variants:
    head = facts.head_of_state
    return [head, "king"] if head in ("British monarch", "Dutch monarch", "Danish monarch") else [head]


def _government(facts: CountryFacts) -> Variants:
    full = _without_article(facts.government)
    broad = [word for word in ("republic", "monarchy", "federation", "one-party state") if word in full]
    return [full, *broad[:1]]


def _official_name(facts: CountryFacts) -> Variants:
    return [facts.official_name, facts.official_name.removeprefix("the ")]


def _people(facts: CountryFacts) -> Variants:
    return [facts.people, facts.adjective, f"{facts.adjective} people"]


def _exports(facts: CountryFacts) -> Variants:
    return [join_list(facts.exports), *facts.exports]


def _colours(facts: CountryFacts) -> Variants:
    return [join_list(facts.flag_colours), ", ".join(facts.flag_colours), " ".join(facts.flag_colours)]


def _emblem(facts: CountryFacts) -> Variants:
    return [facts.flag_emblem, _without_article(facts.flag_emblem)]


def _without_article(text: str) -> str:
    return re.sub(r"^(?:the|an|a) ", "", text)


def _capital_sides(facts: CountryFacts) -> tuple[str, ...]:
    return ("capital", "cities") if facts.capital_population else ("capital",)


def _largest_sides(facts: CountryFacts) -> tuple[str, ...]:
    return ("cities", "capital") if facts.capital and len(facts.cities) > 1 else ("cities",)


def _region_sides(facts: CountryFacts) -> tuple[str, ...]:
    return ("land", "neighbours")


def _every_side(facts: CountryFacts) -> tuple[str, ...]:
    return tuple(SIDES)


Sides = tuple[str, ...] | Callable[[CountryFacts], tuple[str, ...]]
RELATIONS: dict[str, tuple[Sides, Callable[[CountryFacts], Variants]]] = {
    "country_name": (_every_side, _country_name),
    "capital": (_capital_sides, _capital),
    "capital_population": (_capital_sides, _capital_population),
    "largest_city": (_largest_sides, _largest_city),
    "second_city": (("cities",), _second_city),
    "currency": (("money",), _currency),
    "currency_code": (("money",), lambda facts: [facts.currency_code]),
    "languages": (("languages",), _languages),
    "region": (_region_sides, _region),
    "neighbours": (("neighbours",), _neighbours),
    "neighbour_count": (("neighbours",), _neighbour_count),
    "waters": (("neighbours", "economy"), _waters),
    "calling_code": (("telephone",), _calling_code),
    "domain": (("telephone",), lambda facts: [facts.domain]),
    "driving_side": (("roads",), _driving_side),
    "time_zone": (("roads",), lambda facts: [facts.time_zone]),
    "population": (("people", "cities"), lambda facts: _count(facts.population)),
    "area": (("land",), _area),
    "highest_point": (("land",), lambda facts: [facts.highest_point, _without_article(facts.highest_point)]),
    "height": (("land",), _height),
    "national_day": (("holiday",), _national_day),
    "national_day_name": (("holiday",), lambda facts: [facts.national_day_name]),
    "founding_year": (("history",), lambda facts: [str(facts.founding_year)]),
    "ruler": (("history",), lambda facts: [facts.ruler, _without_article(facts.ruler)]),
    "head_of_state": (("government",), _head_of_state),
    "government": (("government",), _government),
    "official_name": (("government",), _official_name),
    "demonym": (("people",), _people),
    "dish": (("people",), lambda facts: [facts.dish]),
    "exports": (("economy",), _exports),
    "flag_colours": (("flag",), _colours),
    "flag_emblem": (("flag",), _emblem),
    "flag_year": (("flag", "meaning", "history"), lambda facts: [str(facts.flag_year)]),
}
