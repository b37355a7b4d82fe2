"""Values for invented worlds: names put together from syllables, numbers, dates and everyday words.

Nothing here is true: a reader trained on it can only find its answers in the passage. Slots that are lists of words or
patterns stand in `schemas/values.lst`; those that need arithmetic or spelling are made here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

__all__ = ["draw", "fill"]

_LIST = Path(__file__).parent / "schemas" / "values.lst"
_SLOT = re.compile(r"\{(\w+)\}")
_ONSETS = (
    *("b", "br", "c", "ch", "cl", "d", "dr", "f", "fl", "g", "gl", "gr", "h", "j", "k", "kh", "kr", "l", "m", "n", "p"),
    *("pl", "q", "qu", "r", "s", "sh", "sk", "sl", "st", "str", "t", "th", "tr", "v", "w", "x", "y", "z", "zh", "ts"),
    *("ng", "mb", "nd"),
)
_VOWELS = (*"aeioaeioaeiouu", "ai", "au", "ei", "ia", "ie", "io", "oa", "ou", "ua", *"áéíöüã")
_CODAS = ("", "", "", "", "n", "r", "l", "s", "m", "t", "k", "nd", "rt", "sk", "lm", "ng", "x", "ss", "ch", "v")
_COUNTRY_ENDS = ("ia", "land", "stan", "ania", "oria", "a", "o", "istan", "esia", "ar", "en", "ique", "mark", "ey")
_CITY_ENDS = ("", "", "ville", "burg", "ton", "grad", "polis", "abad", "ford", "port", "ovo", "city", "haven", "ia")
_CITY_HEADS = ("San", "Saint", "New", "Port", "Fort", "El", "La", "Los", "Nova", "Bad", "Santa", "Old", "Upper", "Al")
_GIVEN = (
    *("Anna", "Omar", "Lucia", "Jonas", "Mei", "Tariq", "Ingrid", "Paulo", "Aisha", "Viktor", "Noor", "Elena", "Kofi"),
    *("Sakura", "Ivan", "Rosa", "Hugo", "Fatima", "Liam", "Zuri", "Amir", "Greta", "Diego", "Hana", "Pavel", "Leila"),
    *("Oscar", "Nadia", "Felix", "Yara", "Boris", "Carmen", "Idris", "Freya", "Mateo", "Salma", "Emil", "Dalia"),
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_EMERGENCY = ("112", "911", "999", "110", "113", "117", "190", "15", "18", "122", "155")


def _word(rng: random.Random, syllables: int | None = None) -> str:
    count = syllables or rng.choice([1, 2, 2, 2, 3, 3])
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count)) + rng.choice(_CODAS)


def _name(rng: random.Random, syllables: int | None = None) -> str:
    return _word(rng, syllables).capitalize()


def _country(rng: random.Random) -> str:
    name = _name(rng, rng.choice([1, 2, 2])) + rng.choice(_COUNTRY_ENDS)
    shape = rng.random()
    if shape < 0.08:
        return f"{rng.choice(['North', 'South', 'East', 'West', 'New', 'Upper'])} {name}"
    if shape < 0.12:
        return f"{name} and {_name(rng, 2)}"
    return f"{name} Islands" if shape < 0.15 else name


def _city(rng: random.Random) -> str:
    name = _name(rng, rng.choice([1, 2, 2, 3])) + rng.choice(_CITY_ENDS)
    shape = rng.random()
    if shape < 0.12:
        return f"{rng.choice(_CITY_HEADS)} {name}"
    if shape < 0.17:
        return f"{name}-{_name(rng, 1)}"
    if shape < 0.2:
        return f"{name} {rng.choice(['City', 'Town', 'Bay', 'Springs', 'Falls', 'Harbour'])}"
    return name


def _given(rng: random.Random) -> str:
    return rng.choice(_GIVEN) if rng.random() < 0.6 else _name(rng, 2)


def _person(rng: random.Random) -> str:
    middle = f" {rng.choice(_ALPHABET).upper()}." if rng.random() < 0.08 else ""
    particle = rng.choice([" de", " van", " al", " bin", " von"]) if rng.random() < 0.08 else ""
    return f"{_given(rng)}{middle}{particle} {_name(rng)}"


def _grouped(rng: random.Random, low: float, high: float) -> str:
    """A number, mostly with thousands separators, anywhere between the powers of ten `low` and `high`."""
    value = int(10 ** rng.uniform(low, high))
    style = rng.random()
    if style < 0.55:
        return f"{value:,}"
    if style < 0.7:
        return str(value)
    if value >= 1_000_000:
        return f"{value / 1e6:.{rng.choice([0, 1, 1, 2])}f} million"
    return f"{round(value, -2):,}" if value >= 1000 else str(value)


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), draw("month", rng), rng.randint(1400, 2023)
    return rng.choice([f"{day} {month} {year}", f"{day} {month} {year}", f"{month} {day}, {year}", f"{month} {year}"])


def _day(rng: random.Random) -> str:
    day, month = rng.randint(1, 28), draw("month", rng)
    suffix = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
    return rng.choice([f"{day} {month}", f"{day} {month}", f"{month} {day}", f"{day}{suffix} of {month}"])


def _height(rng: random.Random) -> str:
    metres = rng.randint(120, 8900)
    shown = f"{metres:,}" if rng.random() < 0.7 else str(metres)
    return f"{shown} {rng.choice(['metres', 'metres', 'm', 'feet'])}"


def _measured(low: int, high: int, *units: str) -> Callable[[random.Random], str]:
    return lambda rng: f"{rng.randint(low, high):,} {rng.choice(units)}"


def _between(low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rng: str(rng.randint(low, high))


def _letters(count: int) -> Callable[[random.Random], str]:
    return lambda rng: "".join(rng.choice(_ALPHABET) for _ in range(count))


def _money(rng: random.Random) -> str:
    return f"{rng.choice(['$', '€', '£', ''])}{rng.randint(1, 950)} {rng.choice(['million', 'billion', 'thousand'])}"


def _percentage(rng: random.Random) -> str:
    number = f"{rng.randint(1, 9)}.{rng.randint(1, 9)}" if rng.random() < 0.2 else str(rng.randint(2, 98))
    return number + rng.choice([" percent", "%", " per cent"])


def _few(highest: int) -> Callable[[random.Random], str]:
    return lambda rng: draw("smallword", rng) if rng.random() < 0.5 else str(rng.randint(2, highest))


_MADE: dict[str, Callable[[random.Random], str]] = {
    "area": lambda rng: (
        f"{_grouped(rng, 1.5, 6.8)} {rng.choice(['square kilometres', 'km²', 'square miles', 'sq km'])}"
    ),
    "big": lambda rng: _grouped(rng, 3.3, 8.5),
    "ccy": lambda rng: _letters(3)(rng).upper(),
    "city": _city,
    "country": _country,
    "date": _date,
    "day": _day,
    "daysn": lambda rng: rng.choice(["30", "60", "90", "14", "180", "21", "45"]),
    "dial": lambda rng: f"{rng.choice(['+', '+', '+', '00'])}{rng.randint(1, 999)}",
    "digit": _between(2, 9),
    "emergency": lambda rng: rng.choice(_EMERGENCY) if rng.random() < 0.9 else str(rng.randint(100, 199)),
    "given": _given,
    "height": _height,
    "height2": _measured(12, 640, "metres", "m", "feet"),
    "length": _measured(20, 6500, "kilometres", "km", "miles"),
    "money": _money,
    "n": _between(3, 99),
    "n2": _between(48, 88),
    "n3": _between(11, 900),
    "name": _name,
    "offset": lambda rng: rng.choice(["+", "-", "−"]) + str(rng.randint(1, 12)),
    "pct": _percentage,
    "person": _person,
    "smalln": _few(12),
    "smalln2": _few(48),
    "stem": lambda rng: _name(rng, 2),
    "tld": lambda rng: "." + _letters(2)(rng),
    "weight": _measured(2, 900, "kilograms", "kg", "grams", "pounds", "tonnes"),
    "word": lambda rng: _word(rng, rng.choice([1, 2, 2])),
    "year": lambda rng: str(rng.randint(1100, 2023)) if rng.random() < 0.4 else str(rng.randint(1800, 2023)),
}


@cache
def _listed() -> dict[str, list[str]]:
    slots: dict[str, list[str]] = {}
    for line in _LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            slot, _, forms = line.partition("=")
            slots.setdefault(slot.strip(), []).extend(form.strip() for form in forms.split("|"))
    return slots


def draw(slot: str, rng: random.Random) -> str:
    """A fresh value for the slot.

    Raises:
        ValueError: there is no such slot.
    """
    if slot in _MADE:
        return _MADE[slot](rng)
    if slot not in _listed():
        raise ValueError(f"unknown slot {{{slot}}}; known are {', '.join(sorted({*_MADE, *_listed()}))}")
    return fill(rng.choice(_listed()[slot]), rng)


def fill(form: str, rng: random.Random) -> str:
    """The form with a fresh value in each of its slots."""
    return _SLOT.sub(lambda match: draw(match[1], rng), form)
