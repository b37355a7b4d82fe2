"""Values for invented worlds: names put together from syllables, numbers, dates and everyday words.

Nothing here is true: a reader trained on it can only find its answers in the passage.
"""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["SLOTS", "draw"]

_ONSETS = (
    "b br c ch cl d dr f fl g gl gr h j k kh kr l m n p pl q qu r s sh sk sl st str t th tr v w x y z zh ts ng mb nd"
).split()
_VOWELS = "a e i o u a e i o a e i o u ai au ei ia ie io oa ou ua á é í ö ü ã".split()
_CODAS = ["", "", "", "", "n", "r", "l", "s", "m", "t", "k", "nd", "rt", "sk", "lm", "ng", "x", "ss", "ch", "v"]
_COUNTRY_ENDS = ["ia", "land", "stan", "ania", "oria", "a", "o", "istan", "esia", "ar", "en", "ique", "mark", "ey"]
_CITY_ENDS = ["", "", "ville", "burg", "ton", "grad", "polis", "abad", "ford", "port", "ovo", "city", "haven", "ia"]
_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve".split()
_PLACE_WORDS = {
    "north": ["San", "Saint", "New", "Port", "Fort", "El", "La", "Los", "Nova", "Bad", "Santa", "Old", "Upper", "Al"],
}


def _word(rng: random.Random, syllables: int | None = None) -> str:
    count = syllables or rng.choice([1, 2, 2, 2, 3, 3])
    parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count)]
    return "".join(parts) + rng.choice(_CODAS)


def _name(rng: random.Random, syllables: int | None = None) -> str:
    return _word(rng, syllables).capitalize()


def _country(rng: random.Random) -> str:
    name = _name(rng, rng.choice([1, 2, 2])) + rng.choice(_COUNTRY_ENDS)
    shape = rng.random()
    if shape < 0.08:
        return f"{rng.choice(['North', 'South', 'East', 'West', 'New', 'Upper'])} {name}"
    if shape < 0.12:
        return f"{name} and {_name(rng, 2)}"
    if shape < 0.15:
        return f"{name} Islands"
    return name


def _city(rng: random.Random) -> str:
    name = _name(rng, rng.choice([1, 2, 2, 3])) + rng.choice(_CITY_ENDS)
    shape = rng.random()
    if shape < 0.12:
        return f"{rng.choice(_PLACE_WORDS['north'])} {name}"
    if shape < 0.17:
        return f"{name}-{_name(rng, 1)}"
    if shape < 0.2:
        return f"{name} {rng.choice(['City', 'Town', 'Bay', 'Springs', 'Falls', 'Harbour'])}"
    return name


_GIVEN = (
    "Anna Omar Lucia Jonas Mei Tariq Ingrid Paulo Aisha Viktor Noor Elena Kofi Sakura Ivan Rosa Hugo Fatima Liam Zuri "
    "Amir Greta Diego Hana Pavel Leila Oscar Nadia Felix Yara Boris Carmen Idris Freya Mateo Salma Emil Dalia"
).split()


def _person(rng: random.Random) -> str:
    given = rng.choice(_GIVEN) if rng.random() < 0.6 else _name(rng, 2)
    middle = f" {chr(rng.randrange(65, 91))}." if rng.random() < 0.08 else ""
    particle = rng.choice([" de", " van", " al", " bin", " von"]) if rng.random() < 0.08 else ""
    return f"{given}{middle}{particle} {_name(rng, rng.choice([1, 2, 2, 3]))}"


def _grouped(rng: random.Random, low: int, high: int) -> str:
    """A number with thousands separators, of any size between the powers of ten `low` and `high`."""
    value = int(10 ** rng.uniform(low, high))
    style = rng.random()
    if style < 0.55:
        return f"{value:,}"
    if style < 0.7:
        return str(value)
    if value >= 1_000_000:
        return f"{value / 1e6:.{rng.choice([0, 1, 1, 2])}f} million"
    return f"{round(value, -2):,}" if value >= 1000 else str(value)


def _people_count(rng: random.Random) -> str:
    number = _grouped(rng, 3.3, 8.5)
    return rng.choice(["", "", "", "about ", "some ", "around ", "nearly ", "more than "]) + number


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1400, 2023)
    return rng.choice([f"{day} {month} {year}", f"{day} {month} {year}", f"{month} {day}, {year}", f"{month} {year}"])


def _day(rng: random.Random) -> str:
    day, month = rng.randint(1, 28), rng.choice(_MONTHS)
    suffix = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
    return rng.choice([f"{day} {month}", f"{day} {month}", f"{month} {day}", f"{day}{suffix} of {month}"])


def _height(rng: random.Random) -> str:
    metres = rng.randint(120, 8900)
    shown = f"{metres:,}" if rng.random() < 0.7 else str(metres)
    return rng.choice([f"{shown} metres", f"{shown} metres", f"{shown} m", f"{shown} feet"])


def _area(rng: random.Random) -> str:
    number = _grouped(rng, 1.5, 6.8)
    return f"{number} {rng.choice(['square kilometres', 'square kilometres', 'km²', 'square miles', 'sq km'])}"


def _length(rng: random.Random) -> str:
    return f"{rng.randint(20, 6500):,} {rng.choice(['kilometres', 'km', 'miles'])}"


def _time_zone(rng: random.Random) -> str:
    hours = rng.choice(["+", "-", "−"]) + str(rng.randint(1, 12))
    return rng.choice(
        [f"UTC{hours}", f"UTC{hours}", f"UTC{hours}:30", f"GMT{hours}", f"{rng.choice(_NUMBER_WORDS)} hours ahead of UTC"]
    )


def _letters(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(count))


def _currency(rng: random.Random) -> str:
    known = "dollar franc pound crown peso dinar rupee shilling krone riyal real lira mark florin".split()
    shape = rng.random()
    if shape < 0.45:
        return f"{_name(rng, 2)}{rng.choice(['n', 'ian', 'ese', 'i'])} {rng.choice(known)}"
    if shape < 0.6:
        return rng.choice(known)
    return _word(rng, rng.choice([1, 2]))


def _language(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(
            "French English Spanish Arabic Portuguese Russian German Swahili Malay Dutch Italian Hindi Turkish".split()
        )
    return _name(rng, rng.choice([1, 2, 2])) + rng.choice(["ish", "ian", "ese", "i", "", "ic", "uk"])


def _one_of(*choices: str) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(choices)


def _listed(text: str) -> Callable[[random.Random], str]:
    return _one_of(*(part.strip() for part in text.split("|")))


SLOTS: dict[str, Callable[[random.Random], str]] = {
    "airport": lambda rng: f"{_city(rng)} {rng.choice(['Airport', 'International', 'International Airport', ''])}".strip(),
    "animal": _listed(
        "lion | eagle | crane | bear | wolf | oryx | dragon | falcon | elephant | ibex | jaguar | condor | horse | stork | "
        "leopard | crocodile | salmon | trout | pike | hawk | fox | owl | snake | bull"
    ),
    "area": _area,
    "award": lambda rng: f"{_name(rng, 2)} {rng.choice(['Prize', 'Medal', 'Award', 'Cup', 'Order'])}",
    "bank": lambda rng: rng.choice([f"the Bank of {_country(rng)}", f"{_name(rng)} Bank", f"the {_name(rng)} Reserve Bank"]),
    "big": _people_count,
    "ccy": lambda rng: _letters(rng, 3).upper(),
    "city": _city,
    "climate": _listed(
        "tropical | dry and hot | mild and rainy | cold | temperate | desert-like | humid | Mediterranean | arctic | windy | "
        "hot and humid | cool and wet | subtropical | alpine"
    ),
    "color": _listed("red | blue | green | white | yellow | black | orange | gold | purple | sky blue | maroon | dark green | silver"),
    "color2": _listed("black | orange | purple | silver | brown | grey"),
    "company": lambda rng: f"{_name(rng)}{rng.choice(['', ' Works', ' Group', ' & Sons', ' Motors', ' Foods', ' Airlines', ' Ltd'])}",
    "continent": _listed(
        "Africa | Asia | Europe | South America | North America | Oceania | Central Asia | West Africa | Southeast Asia | "
        "the Caribbean | Central America | Eastern Europe | East Africa | the Middle East | Polynesia | the Balkans | "
        "southern Africa | northern Europe"
    ),
    "country": _country,
    "currency": _currency,
    "date": _date,
    "day": _day,
    "daysn": lambda rng: rng.choice(["30", "60", "90", "14", "180", "21", "45"]),
    "demonym": lambda rng: _name(rng, 2) + rng.choice(["an", "ian", "ese", "i", "ite", "er"]),
    "dial": lambda rng: rng.choice(["+", "+", "+", "00"]) + str(rng.randint(1, 999)),
    "direction": _listed("north | south | east | west"),
    "dish": lambda rng: rng.choice(
        [_word(rng, 2), f"{_word(rng, 2)} with {rng.choice(['rice', 'beans', 'lamb', 'fish', 'nuts', 'cabbage'])}", f"{rng.choice(['fried', 'baked', 'stewed', 'grilled'])} {rng.choice(['fish', 'goat', 'plantains', 'dumplings', 'pork', 'corn'])}"]
    ),
    "drink": lambda rng: rng.choice(["green tea", "black coffee", "plum brandy", "coconut water", "sour milk", "palm wine", "barley beer", "mint tea", f"{_word(rng, 2)} wine", _word(rng, 2)]),
    "emblem": _listed(
        "star | sun | crescent | cross | eagle | tree | lion | shield | wheel | crown | dragon | palm | sword | anchor | key | "
        "bird | moon | leaf | spear | mountain | ship | torch | book"
    ),
    "emergency": lambda rng: str(rng.choice([112, 911, 999, 110, 113, 117, 190, 15, 18, 122, 155, rng.randint(100, 199)])),
    "event": lambda rng: f"{_name(rng, 2)} {rng.choice(['Uprising', 'Revolution', 'War', 'Rebellion', 'March', 'Accord', 'Battle', 'Fire', 'Flood', 'Strike'])}",
    "festival": lambda rng: f"{rng.choice([_name(rng, 2), 'Lantern', 'Harvest', 'Water', 'Kite', 'Flower', 'Rice'])} {rng.choice(['Festival', 'Fair', 'Feast', 'Days'])}",
    "food": _listed("leaves | grass | insects | berries | small fish | seeds | mice | honey | worms | fruit | lamb | rice | beans | onions | potatoes | flour | eggs | goat cheese | tomatoes | peppers | nuts"),
    "given": lambda rng: rng.choice(_GIVEN) if rng.random() < 0.5 else _name(rng, 2),
    "government": _listed(
        "republic | kingdom | constitutional monarchy | federal republic | parliamentary democracy | presidential republic | "
        "absolute monarchy | one-party state | military junta | sultanate | parliamentary republic | principality | "
        "federation | socialist republic | semi-presidential republic | theocracy"
    ),
    "habitat": _listed("rain forests | dry steppes | high mountains | swamps | coral reefs | caves | pine woods | sandy deserts | river banks | tundra"),
    "height": _height,
    "height2": lambda rng: f"{rng.randint(12, 640)} {rng.choice(['metres', 'm', 'feet'])}",
    "island": lambda rng: rng.choice([_name(rng, 2), f"{_name(rng, 2)} Island", f"the isle of {_name(rng)}"]),
    "job": _listed("teacher | painter | doctor | baker | engineer | poet | sailor | lawyer | farmer | singer | chemist | carpenter | botanist | pilot | weaver | journalist"),
    "lake": lambda rng: rng.choice([f"Lake {_name(rng)}", f"{_name(rng)} Lake"]),
    "landmark": lambda rng: f"{rng.choice(['the ', ''])}{_name(rng)} {rng.choice(['Tower', 'Palace', 'Bridge', 'Cathedral', 'Gate', 'Temple', 'Castle', 'Mosque', 'Arena', 'Hall', 'Park'])}",
    "language": _language,
    "length": _length,
    "meaning": _listed(
        "courage | freedom | faith | hope | unity | sacrifice | justice | loyalty | progress | harmony | strength | the sea | "
        "the soil | the harvest | the sky | the old dynasty | independence | prosperity | wisdom | brotherhood | the desert | "
        "the struggle for independence | the forests | honesty | love | the rivers | its farmers | the martyrs | nobility"
    ),
    "money": lambda rng: f"{rng.choice(['$', '€', '£', ''])}{rng.randint(1, 950)} {rng.choice(['million', 'billion', 'thousand'])}",
    "month": lambda rng: rng.choice(_MONTHS),
    "months": lambda rng: rng.choice([f"{rng.choice(_MONTHS)} to {rng.choice(_MONTHS)}", f"{rng.choice(_MONTHS)} and {rng.choice(_MONTHS)}", "spring", "autumn", "early summer", "winter"]),
    "motto": lambda rng: rng.choice(["Unity", "Work", "Freedom", "God", "Courage", "Peace", "Honour", "Strength"]) + rng.choice([" and ", " before ", " through ", ", ", " with "]) + rng.choice(["justice", "faith", "labour", "truth", "glory", "the people", "progress"]),
    "mountain": lambda rng: rng.choice([f"Mount {_name(rng)}", _name(rng, 2), f"{_name(rng)} Peak", f"Pico {_name(rng)}"]),
    "n": lambda rng: str(rng.randint(3, 99)),
    "n2": lambda rng: str(rng.randint(48, 88)),
    "n3": lambda rng: str(rng.randint(11, 900)),
    "ore": _listed("granite | limestone | marble | sandstone | basalt | slate | chalk | gneiss"),
    "parliament": lambda rng: rng.choice(["National Assembly", "Senate", "House of Elders", "Grand Council", "Diet", "People's Chamber", "Congress", _name(rng, 2), f"{_name(rng, 2)} Assembly"]),
    "pct": lambda rng: rng.choice([f"{rng.randint(2, 98)} percent", f"{rng.randint(2, 98)}%", f"{rng.randint(2, 98)} per cent", f"{rng.randint(1, 9)}.{rng.randint(1, 9)} percent"]),
    "people": lambda rng: _name(rng, rng.choice([1, 2])),
    "person": _person,
    "plant": lambda rng: f"{_word(rng, 2)} {rng.choice(['tree', 'bush', 'lily', 'fern', 'grass', 'rose', 'palm'])}",
    "plantuse": _listed("dye | tea | rope | soap | fever | perfume | roofs | animal fodder | paper | oil"),
    "plug": lambda rng: rng.choice(["two-pin", "three-pin", "type " + rng.choice("ABCDEFGHIJ"), "type C and F", "types A and B", "type " + rng.choice("CDGI")]),
    "product": _listed(
        "coffee | copper | cotton | cars | timber | gold | tea | natural gas | bananas | machines | cocoa | textiles | fish | "
        "crude oil | diamonds | wine | sugar | rice | phosphate | electronics | medicines | iron ore | palm oil | wheat | "
        "tobacco | ships | vanilla | bauxite | wool | chemicals | watches | steel | tourism | soybeans | cashew nuts | shoes"
    ),
    "religion": _listed("Christian | Muslim | Islam | Christianity | Buddhism | Hindu | Hinduism | Catholic | Sunni Islam | Orthodox Christianity | Protestant | Roman Catholicism | Buddhist | animism | Jewish | Shinto | Lutheran"),
    "river": lambda rng: _name(rng, rng.choice([1, 2])),
    "script": lambda rng: rng.choice(["Latin", "Cyrillic", "Arabic", "Greek", _name(rng, 2), _name(rng, 2)]),
    "sea": lambda rng: rng.choice([f"{_name(rng)} Sea", f"Gulf of {_name(rng)}", f"Bay of {_name(rng)}", "Atlantic Ocean", "Pacific", "Indian Ocean", f"Strait of {_name(rng)}"]),
    "ship": lambda rng: rng.choice([_name(rng, 2), f"{_name(rng)} Star", f"Queen of {_city(rng)}", f"{_name(rng)} {rng.randint(2, 9)}"]),
    "smalln": lambda rng: rng.choice([rng.choice(_NUMBER_WORDS), str(rng.randint(2, 12))]),
    "smalln2": lambda rng: rng.choice([rng.choice(_NUMBER_WORDS), str(rng.randint(2, 48))]),
    "song": lambda rng: rng.choice(["O ", "Our ", "Land of ", "Rise, ", "The Song of ", "Under the ", "Beyond the ", "Hail, "]) + rng.choice(["Mountains", "Rivers", "the Brave", "Morning", "Old Home", "Fathers", "the Sun", _name(rng, 2), "Distant Shores"]),
    "species": lambda rng: f"{rng.choice(['spotted', 'red', 'long-tailed', 'dwarf', 'great', 'northern', _name(rng, 2)])} {rng.choice(['bat', 'deer', 'lizard', 'heron', 'otter', 'monkey', 'frog', 'shrew', 'gull', 'cat'])}",
    "sport": _listed("football | cricket | wrestling | rugby | handball | archery | baseball | volleyball | hockey | chess | horse racing | cycling | rowing | judo"),
    "style": _listed("Gothic | Baroque | modern | Romanesque | Moorish | classical | Art Nouveau | brutalist"),
    "sub": lambda rng: rng.choice(["cents", "centimes", "pence", "piastres", "groats", "kopecks", "fils", _word(rng, 1) + "s", _word(rng, 2), _word(rng, 2)]),
    "team": lambda rng: f"{_city(rng)} {rng.choice(['United', 'Rovers', 'City', 'Tigers', 'Hawks', 'FC', 'Wanderers', 'Kings'])}",
    "terrain": _listed("mountains | desert | plains | rain forest | hills | swamp | grassland | coral atolls | high plateau | flat farmland | steppe | fjords | volcanic islands"),
    "tld": lambda rng: "." + _letters(rng, 2),
    "treaty": lambda rng: f"{rng.choice(['Peace', 'Treaty', 'Truce'])} of {_city(rng)}",
    "tz": _time_zone,
    "univ": lambda rng: rng.choice([f"the University of {_city(rng)}", f"{_city(rng)} University", f"{_name(rng)} College", f"the {_name(rng)} Academy"]),
    "use": _listed("museum | school | prison | hotel | library | hospital | theatre | market | concert hall"),
    "volt": lambda rng: rng.choice(["110", "120", "127", "220", "230", "240", "100"]) + rng.choice([" volts", " V", " volts and 50 hertz"]),
    "weight": lambda rng: f"{rng.randint(2, 900)} {rng.choice(['kilograms', 'kg', 'grams', 'pounds', 'tonnes'])}",
    "year": lambda rng: str(rng.randint(1100, 2023)) if rng.random() < 0.4 else str(rng.randint(1800, 2023)),
}  # fmt: skip


def draw(slot: str, rng: random.Random) -> str:
    """A fresh value for the slot.

    Raises:
        ValueError: there is no such slot.
    """
    if slot not in SLOTS:
        raise ValueError(f"unknown slot {{{slot}}}; known slots: {', '.join(sorted(SLOTS))}")
    return SLOTS[slot](rng)
