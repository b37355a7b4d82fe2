"""Invents countries, so that a reader learns to read and not to remember: no answer about them can be guessed."""

from __future__ import annotations

import dataclasses
import functools
import random
from typing import Any

from knowledge_bases.world_flags import invented_parts as parts
from knowledge_bases.world_flags.country import City, CountryFacts, FlagPart, load_countries
from knowledge_bases.world_flags.names import NameMaker

__all__ = ["edit_country", "invent_country"]

EDITABLE = (
    ("capital", "also_capitals", "capital_note", "cities"),
    ("currency", "currency_plural", "currency_code", "other_currencies"),
    ("languages", "other_languages"),
    ("region",),
    ("neighbours",),
    ("waters",),
    ("area",),
    ("highest_point", "highest_metres"),
    ("population",),
    ("exports",),
    ("dish",),
    ("government", "head_of_state", "head_of_government"),
    ("founding_year", "founding", "ruler"),
    ("national_day", "national_day_name"),
    ("calling_code",),
    ("domain",),
    ("driving_side",),
    ("time_zone",),
    ("flag_parts",),
)


def invent_country(rng: random.Random) -> CountryFacts:
    """A country that does not exist, with facts of every kind; the passages about it are written like real ones."""
    maker = NameMaker(rng)
    name = maker.name()
    stem = name.rstrip("aeiou") or name
    adjective = stem + rng.choice(("ian", "ese", "ic", "i", "ish", "an"))
    people = adjective if adjective.endswith(("ese", "ish")) else adjective + "s"
    text_name = rng.choice((name, name, name, name, f"the {name} Islands", f"the {name} Republic", f"New {name}"))
    cities = _cities(rng, maker)
    population = _round(int(cities[0].population * rng.uniform(1.5, 12)))
    founding_year = rng.randint(600, 2015)
    return CountryFacts(
        code=f"zz-{rng.randrange(16**10):010x}",
        name=text_name.removeprefix("the "),
        text_name=text_name,
        official_name=rng.choice(parts.OFFICIAL_NAMES).format(name=name, adjective=adjective),
        is_state=rng.random() < 0.85,
        adjective=adjective,
        people=people,
        **_capital(rng, cities, maker),
        cities=tuple(cities),
        **_land(rng, maker, population),
        population=population,
        **_society(rng, maker, adjective),
        **_state(rng, maker, founding_year),
        **_numbers(rng),
        **_flag(rng, founding_year),
    )


def edit_country(facts: CountryFacts, rng: random.Random, *, share: float = 0.5) -> CountryFacts:
    """A real country of which about `share` of the facts were exchanged for invented ones.

    Name, people and flag stay. Its passages keep their wording and ids, since those follow the code.
    """
    other = invent_country(rng)
    names = [name for group in EDITABLE if rng.random() < share for name in group]
    return dataclasses.replace(facts, **{name: getattr(other, name) for name in names})


def _cities(rng: random.Random, maker: NameMaker) -> list[City]:
    largest = int(10 ** rng.uniform(3.6, 7.2))
    counts = sorted(
        (largest, *(int(largest * rng.uniform(0.05, 0.95)) for _ in range(rng.randint(1, 3)))), reverse=True
    )
    return [City(name=_place(rng, maker), population=_round(count)) for count in counts]


def _place(rng: random.Random, maker: NameMaker) -> str:
    pattern = rng.choice(("{}", "{}", "{}", "{}", "{}", "Port {}", "San {}", "{} City", "New {}", "{} {}", "{}-{}"))
    return pattern.format(*(maker.name() for _ in range(pattern.count("{}"))))


def _round(count: int) -> int:
    """Keeps two leading digits of a small number and three of a large one, as estimates do."""
    kept = 2 if count < 1_000_000 else 3
    return int(round(count, kept - len(str(count))))


def _capital(rng: random.Random, cities: list[City], maker: NameMaker) -> dict[str, Any]:
    capital = rng.choice(cities).name if rng.random() < 0.9 else _place(rng, maker)
    note = ""
    if rng.random() < 0.15:
        other = _place(rng, maker)
        note = rng.choice(parts.CAPITAL_NOTES).format(capital=capital, other=other, year=rng.randint(1850, 2020))
    return {"capital": capital, "capital_note": note}


def _land(rng: random.Random, maker: NameMaker, population: int) -> dict[str, Any]:
    waters = rng.choice(parts.WATERS).format(maker.name(), maker.name()) if rng.random() < 0.75 else ""
    neighbours = tuple(sorted(maker.name() for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4, 5, 6)))))
    return {
        "continent": rng.choice((*parts.CONTINENTS, maker.name(), maker.name())),
        "region": rng.choice(parts.REGIONS).format(maker.name()),
        "neighbours": neighbours,
        "waters": waters,
        "area": float(max(1, _round(int(population / 10 ** rng.uniform(0.3, 3.0))))),
        "highest_point": rng.choice(parts.PEAKS).format(maker.name()),
        "highest_metres": rng.randint(12, 8200),
    }


def _society(rng: random.Random, maker: NameMaker, adjective: str) -> dict[str, Any]:
    languages = tuple(maker.name() for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))
    unit = maker.name().lower()
    qualified = rng.random() < 0.7
    currency = f"{adjective} {unit}" if qualified else unit
    return {
        "languages": languages,
        "other_languages": tuple(maker.name() for _ in range(rng.choice((0, 0, 1, 2)))),
        "currency": currency,
        "currency_plural": currency + rng.choice(("s", "s", "")),
        "currency_code": _unused_code(rng),
        "exports": tuple(rng.sample(parts.EXPORTS, rng.choice((1, 2, 2, 3, 3)))),
        "dish": rng.choice(parts.DISHES).format(maker.name().lower(), maker.name().lower()),
    }


def _unused_code(rng: random.Random) -> str:
    while True:
        code = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=3))
        if code not in _known_codes():
            return code


@functools.cache
def _known_codes() -> frozenset[str]:
    """Currency codes, calling codes and internet domains of real countries."""
    countries = load_countries().values()
    return frozenset(code for facts in countries for code in (facts.currency_code, facts.calling_code, facts.domain))


def _state(rng: random.Random, maker: NameMaker, founding_year: int) -> dict[str, Any]:
    ruler = rng.choice(("{}", "the {} Empire", "the Kingdom of {}", "the {} League")).format(maker.name())
    independent = rng.random() < 0.6
    founding = f"became independent from {ruler}" if independent else rng.choice(parts.FOUNDINGS).format(maker.name())
    head = rng.choice((*parts.HEADS, maker.name().lower()))
    both = rng.random() < 0.3
    day_name = rng.choice(parts.DAY_NAMES).format(maker.name())
    return {
        "government": rng.choice(parts.GOVERNMENTS).format(maker.name()),
        "head_of_state": head,
        "head_of_government": head if both else rng.choice([title for title in parts.LEADERS if title != head]),
        "founding_year": founding_year,
        "founding": founding,
        "ruler": ruler if independent else "",
        "national_day": f"{rng.randint(1, 28)} {rng.choice(parts.MONTHS)}",
        "national_day_name": day_name,
    }


def _numbers(rng: random.Random) -> dict[str, Any]:
    calling_codes = (f"+{rng.choice((rng.randint(20, 99), rng.randint(200, 999)))}" for _ in iter(int, 1))
    endings = ("." + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.choice((2, 2, 3)))) for _ in iter(int, 1))
    shift = rng.choice(("", "", "", ":30", ":45"))
    return {
        "calling_code": next(code for code in calling_codes if code not in _known_codes()),
        "domain": next(ending for ending in endings if ending not in _known_codes()),
        "driving_side": rng.choice(("left", "right")),
        "time_zone": f"UTC{rng.choice('+-')}{rng.randint(1, 12)}{shift}",
    }


def _flag(rng: random.Random, founding_year: int) -> dict[str, Any]:
    colours = tuple(rng.sample(parts.COLOURS, rng.choice((2, 3, 3, 4))))
    layout = rng.choice([layout for layout in parts.LAYOUTS if layout.count("{}") <= len(colours)])
    emblem = rng.choice(parts.EMBLEMS).format(rng.choice(colours)) if rng.random() < 0.7 else ""
    meanings = rng.sample(parts.MEANINGS, 3)
    symbols = [*colours, *([emblem.replace("a ", "the ", 1)] if emblem.startswith("a ") else [])]
    chosen = rng.sample(symbols, min(len(symbols), rng.randint(1, 3)))
    return {
        "flag_year": min(2024, founding_year + rng.choice((0, 0, rng.randint(1, 200)))),
        "flag_colours": colours,
        "flag_layout": layout.format(*colours),
        "flag_emblem": emblem,
        "flag_place": rng.choice(parts.PLACES) if emblem else "",
        "flag_parts": tuple(
            FlagPart(part=symbol, meaning=meaning) for symbol, meaning in zip(chosen, meanings, strict=False)
        ),
    }
