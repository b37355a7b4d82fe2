"""Invented worlds: passages about things that do not exist, and questions that only the passage can answer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from generator.training.examples import ReadingExample
from generator.training.phrasing import ask
from generator.training.schemas import Kind, Relation, load_kinds
from generator.training.values import draw, fill

__all__ = ["InventedThing", "invented_examples"]

_SLOT = re.compile(r"\{(=?\w+)\}")
_APPROXIMATIONS = ("about", "some", "around", "nearly", "more than", "roughly", "almost", "over")
_COUNTRY_SHARE = 0.7
_UNANSWERABLE_SHARE = 0.28


class _Text:
    """A passage that grows, and remembers which characters answer which relation."""

    def __init__(self) -> None:
        self.text = ""
        self.spans: dict[str, list[tuple[int, int]]] = {}

    def put(self, piece: str, relation: str | None = None) -> None:
        if relation is not None:
            start = len(self.text)
            self.spans.setdefault(relation, []).append((start, start + len(piece)))
        self.text += piece


class InventedThing:
    """One invented country, person, river, ...: its name and the values of its relations, made when first needed."""

    def __init__(self, kind: Kind, rng: random.Random) -> None:
        self._kind, self._rng = kind, rng
        form = rng.choice(kind.properties.get("name", [f"{{{kind.noun}}}"]))
        self.name = fill(form, rng)
        self._values: dict[str, str] = {}

    def value(self, relation: str) -> str:
        """The value of the relation, always the same for this thing."""
        if relation not in self._values:
            form = self._rng.choice(self._kind.relations[relation].value_forms)
            self._values[relation] = fill(form.replace("{name}", self.name), self._rng)
        return self._values[relation]

    def passage(self, relations: list[Relation]) -> _Text:
        """Title and a statement for each relation, in the given order."""
        rng, out = self._rng, _Text()
        aspects = relations[0].aspects or [relations[0].name.replace("_", " ")]
        if rng.random() < 0.9:
            title = rng.choice(self._kind.properties["title"])
            title = title.replace("{aspect}", rng.choice(aspects)).replace("{name}", self.name)
            out.put(title[:1].upper() + title[1:] + ". ")
        for number, relation in enumerate(relations):
            if number and rng.random() < 0.12:
                out.text = out.text[:-1] + rng.choice([";", ",", ", while", " and"])
            out.put(" " if number else "")
            self._state(out, rng.choice(relation.statements), relation.name, named=number == 0)
        return out

    def _state(self, out: _Text, statement: str, relation: str, *, named: bool) -> None:
        rng = self._rng
        refer = self.name if named or rng.random() < 0.35 else rng.choice(["it", f"the {self._kind.noun}"])
        if self._kind.noun in ("person", "team") and refer == "it":
            refer = "she" if self._kind.noun == "person" else "the club"
        if "{name}'s" in statement and refer in ("it", "she"):
            refer = self.name
        position = 0
        opening = True
        for match in _SLOT.finditer(statement):
            out.put(_opened(statement[position : match.start()], opening))
            opening = opening and match.start() == 0
            position = match.end()
            slot = match[1]
            if slot == "name":
                out.put(_opened(refer, opening))
            elif slot in ("es0", "es1"):
                out.put(_opened("her", opening))
            elif slot == "v":
                self._put_value(out, relation, opening)
            elif slot.startswith("="):
                self._put_value(out, slot[1:], opening)
            else:
                out.put(_opened(draw(slot, rng), opening))
            opening = False
        out.put(statement[position:])

    def _put_value(self, out: _Text, relation: str, opening: bool) -> None:
        """The value; a word that makes a count approximate stands outside of the answer."""
        if "{big}" in self._kind.relations[relation].value_forms and self._rng.random() < 0.5:
            out.put(_opened(self._rng.choice(_APPROXIMATIONS), opening) + " ")
            opening = False
        out.put(_opened(self.value(relation), opening), relation)


def _opened(piece: str, opening: bool) -> str:
    return piece[:1].upper() + piece[1:] if opening and not piece.startswith(".") else piece


def _companions(kind: Kind, relation: Relation, rng: random.Random) -> list[Relation]:
    """Relations to mention beside `relation`: mostly of the same aspect, as in a passage about one side of a thing."""
    others = [other for other in kind.relations.values() if other.name != relation.name]
    near = [other for other in others if set(other.aspects) & set(relation.aspects)] or others
    count = min(rng.choice([0, 1, 2, 2, 3, 3, 4, 5, 6]), len(others) - 2)
    chosen: dict[str, Relation] = {}
    for _ in range(count):
        other = rng.choice(near if rng.random() < 0.75 else others)
        chosen.setdefault(other.name, other)
    return list(chosen.values())


def invented_examples(seed: int, *, questions_a_passage: int = 1) -> Iterator[ReadingExample]:
    """Endless examples, always the same for a seed.

    Args:
        seed: of everything drawn.
        questions_a_passage: how often a passage is asked before the next is made.
    """
    rng = random.Random(seed)
    kinds = load_kinds()
    country = next(kind for kind in kinds if kind.noun == "country")
    others = [kind for kind in kinds if kind.noun != "country"]
    while True:
        kind = country if rng.random() < _COUNTRY_SHARE else rng.choice(others)
        thing = InventedThing(kind, rng)
        relation = rng.choice(list(kind.relations.values()))
        relations = [relation, *_companions(kind, relation, rng)]
        rng.shuffle(relations)
        passage = thing.passage(relations)
        for _ in range(questions_a_passage):
            yield _question(kind, thing, passage, rng)


def _question(kind: Kind, thing: InventedThing, passage: _Text, rng: random.Random) -> ReadingExample:
    told = sorted(passage.spans)
    absent = [r for r in kind.relations if r not in told and not any(kind.are_close(r, known) for known in told)]
    spans: tuple[tuple[int, int], ...]
    if absent and rng.random() < _UNANSWERABLE_SHARE:
        relation, spans = kind.relations[rng.choice(absent)], ()
    else:
        relation = kind.relations[rng.choice(told)]
        spans = tuple(passage.spans[relation.name])
    return ReadingExample(
        question=ask(relation, kind, thing.name, rng),
        context=passage.text,
        spans=spans,
        kind=f"{kind.noun}/{relation.name}" if spans else f"{kind.noun}/no answer",
    )
