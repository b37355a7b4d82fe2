"""Reads the text files in `schemas/`: what can be said about an invented thing, and how people ask for it.

A file holds kinds of things. `= key: value` opens one (`noun` first) and describes it; `@ relation : value forms` opens
a relation (forms are split at `;;`), or goes on with one; `% ` lists its aspects; `> ` is a statement, `? ` a whole
question, `~ ` noun phrases for question frames (split at `|`); `! ` names relations that are close enough for one's
question not to serve as an unanswerable one in the presence of the other. In statements `{v}` is the value, `{name}`
the thing, `{=other}` the value of another relation, and any other `{slot}` a fresh value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

__all__ = ["Kind", "Relation", "load_kinds"]

_FOLDER = Path(__file__).parent / "schemas"


@dataclass(kw_only=True)
class Relation:
    """One thing that can be said and asked."""

    name: str
    value_forms: list[str] = field(default_factory=list)
    aspects: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    noun_phrases: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Kind:
    """A kind of thing: a country, a person, a river, ..."""

    noun: str
    properties: dict[str, list[str]] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    close: list[frozenset[str]] = field(default_factory=list)

    def are_close(self, one: str, other: str) -> bool:
        """Whether one relation's statement may answer the other's question."""
        return any(one in group and other in group for group in self.close)


def _pieces(text: str, separator: str) -> list[str]:
    return [piece.strip() for piece in text.split(separator) if piece.strip()]


def _parse(path: Path) -> Iterator[Kind]:
    kind: Kind | None = None
    relation: Relation | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        mark, text = line[:1], line[1:].strip()
        if not text or mark == "#":
            continue
        if mark == "=":
            key, _, value = text.partition(":")
            if key.strip() == "noun":
                if kind is not None:
                    yield kind
                kind = Kind(noun=_pieces(value, "|")[0])
            if kind is not None:
                kind.properties[key.strip()] = _pieces(value, "|")
        elif kind is None:
            raise ValueError(f"{path.name}, line {number}: a kind must open with '= noun: ...'")
        elif mark == "!":
            kind.close.append(frozenset(text.split()))
        elif mark == "@":
            name, _, forms = text.partition(":")
            relation = kind.relations.setdefault(name.strip(), Relation(name=name.strip()))
            relation.value_forms += _pieces(forms, ";;")
        elif relation is None:
            raise ValueError(f"{path.name}, line {number}: a relation must open with '@ name : value'")
        elif mark == "%":
            relation.aspects = _pieces(text, "|")
        elif mark == ">":
            relation.statements.append(text)
        elif mark == "~":
            relation.noun_phrases = _pieces(text, "|")
        elif mark == "?":
            relation.questions.append(text)
        else:
            raise ValueError(f"{path.name}, line {number}: unknown mark {mark!r}")
    if kind is not None:
        yield kind


@cache
def load_kinds() -> tuple[Kind, ...]:
    """Every kind of thing the schema files describe, the country first.

    Raises:
        ValueError: a line that fits no rule, named with its number.
    """
    return tuple(kind for path in sorted(_FOLDER.glob("*.txt")) for kind in _parse(path))
