"""CountryFacts: everything that the passages and the questions about one country are written from."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "City",
    "CountryFacts",
    "FlagPart",
    "format_area",
    "format_count",
    "join_list",
    "load_countries",
]

FACTS_PATH = Path(__file__).parent / "facts.jsonl"


@dataclass(frozen=True, kw_only=True)
class City:
    """A city and its rounded population."""

    name: str
    population: int


@dataclass(frozen=True, kw_only=True)
class FlagPart:
    """A colour or part of a flag and what it stands for."""

    part: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class CountryFacts:
    """The facts of one country or territory, real or invented. An empty string or tuple means: not known, or none.

    Attributes:
        code: key of the country, the lower-case flag-icons code ("fr", "gb-sct"); invented ones are longer.
        name: without article ("Netherlands"); text_name: as used inside a sentence ("the Netherlands").
        is_state: False for territories, which passages call a territory and not a country.
        people: plural noun for the inhabitants ("Spaniards", "French").
        capital: "" where none is official; also_capitals: other cities that a fair judge would accept.
        cities: at least the capital where it has inhabitants, largest first.
        waters: seas and oceans on its coast, "" if landlocked.
        founding: clause after the name and the year ("became independent from Spain"); ruler: from whom, or "".
        flag_layout, flag_emblem, flag_place: noun phrases; emblem and place may be empty.
    """

    code: str
    name: str
    text_name: str
    official_name: str
    aliases: tuple[str, ...] = ()
    is_state: bool = True
    adjective: str
    people: str
    continent: str
    region: str
    capital: str
    also_capitals: tuple[str, ...] = ()
    capital_note: str = ""
    cities: tuple[City, ...]
    neighbours: tuple[str, ...]
    waters: str
    area: float  # square kilometres
    highest_point: str
    highest_metres: int
    population: int
    languages: tuple[str, ...]
    other_languages: tuple[str, ...] = ()
    currency: str
    currency_plural: str
    currency_code: str
    other_currencies: tuple[str, ...] = ()
    exports: tuple[str, ...]
    dish: str
    government: str
    head_of_state: str
    head_of_government: str
    founding_year: int
    founding: str
    ruler: str
    national_day: str
    national_day_name: str
    calling_code: str
    domain: str
    driving_side: str
    time_zone: str
    flag_year: int
    flag_colours: tuple[str, ...]
    flag_layout: str
    flag_emblem: str
    flag_place: str
    flag_parts: tuple[FlagPart, ...]

    @property
    def noun(self) -> str:
        """What to call it in a sentence."""
        return "country" if self.is_state else "territory"

    @property
    def capital_population(self) -> int:
        """Inhabitants of the capital, 0 where unknown."""
        return next((city.population for city in self.cities if city.name == self.capital), 0)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> CountryFacts:
        """The inverse of `to_json`."""
        row: dict[str, Any] = json.loads(line)
        row["cities"] = [City(**city) for city in row["cities"]]
        row["flag_parts"] = [FlagPart(**part) for part in row["flag_parts"]]
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        return cls(**fields)


def load_countries(path: Path = FACTS_PATH) -> dict[str, CountryFacts]:
    """The committed facts by code, in the order of the codes."""
    with path.open(encoding="utf-8") as lines:
        countries = [CountryFacts.from_json(line) for line in lines]
    return {country.code: country for country in countries}


def format_count(number: int) -> str:
    """A count as the passages write it: "1.41 billion", "68.6 million", "85,000"."""
    if number >= 1_000_000_000:
        return f"{number / 1e9:.2f} billion"
    if number >= 1_000_000:
        return f"{number / 1e6:.1f} million"
    return f"{number:,}"


def format_area(area: float) -> str:
    """An area as the passages write it: "551,500", "2.08"."""
    return f"{area:,.0f}" if area >= 10 else f"{area:.2f}"


def join_list(items: tuple[str, ...] | list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
