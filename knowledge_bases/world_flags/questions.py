"""Questions about countries: the committed ones (validation, test, own words), and one of everything for a country."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.world_flags.country import CountryFacts
from knowledge_bases.world_flags.passages import passage_id
from knowledge_bases.world_flags.relations import Ask, asks_about, load_phrasings

__all__ = [
    "Question",
    "build_own_words",
    "build_split",
    "is_held_out",
    "load_look_alikes",
    "questions_about",
    "ten_answers",
    "to_row",
]

LOOK_ALIKES_PATH = Path(__file__).parent / "tables" / "look_alikes.json"
OWN_WORDS_PATH = LOOK_ALIKES_PATH.with_name("own_words.txt")
PICTURES_A_COUNTRY = 3
SPLIT_SIZES = {"validation": 612, "test": 1530}
COUNTS = {1: [10], 2: [5, 5], 3: [4, 3, 3], 4: [4, 2, 2, 2], 5: [4, 2, 2, 1, 1], 6: [4, 2, 1, 1, 1, 1]}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question about the country whose flag is in the picture.

    Attributes:
        code: the country.
        relation: what is asked, a key of relations.RELATIONS or "flag_meaning".
        text: the question in words.
        canonical: the answer as it stands in the positive passages (see relations.find_answer).
        variants: accepted answers, the canonical one first; of look-alike flags, those of every member.
        positive_ids: ids of the passages that hold the answer, the main one first.
    """

    code: str
    relation: str
    text: str
    canonical: str
    variants: tuple[str, ...]
    positive_ids: tuple[str, ...]


def is_held_out(code: str, relation: str) -> bool:
    """Whether this country-relation pair, one in five, is kept out of training."""
    return hashlib.sha256(f"held out: {code}/{relation}".encode()).digest()[0] % 5 == 0


def load_look_alikes(kind: str = "identical") -> list[tuple[str, ...]]:
    """Groups of codes whose flags cannot be told apart ("identical") or are easily mixed up ("similar")."""
    groups = json.loads(LOOK_ALIKES_PATH.read_text(encoding="utf-8"))
    return [tuple(group) for group in groups[kind]]


def questions_about(facts: CountryFacts, rng: random.Random, *, split: str = "train") -> list[Question]:
    """One question for everything that can be asked about a country, real or invented, each in random words."""
    phrasings = load_phrasings()
    return [_ask(facts, ask, rng.choice(phrasings[ask.relation][split])) for ask in asks_about(facts)]


def build_split(countries: Mapping[str, CountryFacts], split: str) -> list[dict[str, object]]:
    """The rows of a committed split: every relation alike, half of them held-out pairs, in phrasings of its own."""
    rng = random.Random(f"World Flags, {split}")
    phrasings = load_phrasings()
    names = sorted(phrasings)
    pools = {(relation, held): _pool(countries, relation, held, rng) for relation in names for held in (False, True)}
    chosen: list[tuple[str, Ask]] = []
    while len(chosen) < SPLIT_SIZES[split]:
        for relation in names:
            for held in (False, True):
                pool = pools[relation, held]
                if pool:
                    chosen.append(pool.pop())
    order: dict[str, list[str]] = {}
    rows = []
    for code, ask in chosen[: SPLIT_SIZES[split]]:
        waiting = order.setdefault(ask.relation, [])
        if not waiting:
            waiting.extend(rng.sample(phrasings[ask.relation][split], len(phrasings[ask.relation][split])))
        question = _with_look_alikes(_ask(countries[code], ask, waiting.pop()), ask, countries)
        rows.append(to_row(question, split, picture=rng.randrange(PICTURES_A_COUNTRY)))
    rng.shuffle(rows)
    return [{"question_id": f"wf-{split}-{number:04d}", **row} for number, row in enumerate(rows)]


def build_own_words(countries: Mapping[str, CountryFacts]) -> list[dict[str, object]]:
    """The rows of the handwritten questions in their table's order, each with a picture that no split has.

    Raises:
        ValueError: a line asks what cannot be asked about its country.
    """
    rows: list[dict[str, object]] = []
    asked: Counter[str] = Counter()
    for line in OWN_WORDS_PATH.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        code, relation, *part, words = (field.strip() for field in line.split("|"))
        wanted = (relation, "".join(part))
        asks = asks_about(countries[code]) if code in countries else []
        ask = next((ask for ask in asks if (ask.relation, ask.part) == wanted), None)
        if ask is None:
            raise ValueError(f"{OWN_WORDS_PATH}: {line!r} asks what is not known of {code}; change code or relation")
        question = _with_look_alikes(_ask(countries[code], ask, words), ask, countries)
        row = to_row(question, "own_words", picture=PICTURES_A_COUNTRY + asked[code])
        rows.append({"question_id": f"wf-own-words-{len(rows):04d}", **row})
        asked[code] += 1
    return rows


def to_row(question: Question, split: str, *, picture: int) -> dict[str, object]:
    """A row in the format that `evaluate` reads, without its question_id."""
    return {
        "image": f"{split}/{question.code}-{picture}.jpg",
        "question": question.text,
        "answers": ten_answers(question.variants),
        "pos_passage_ids": list(question.positive_ids),
        "question_type": question.relation,
    }


def ten_answers(variants: Sequence[str]) -> list[str]:
    """Ten annotators' answers: the first variant scores 1.0 in VQA accuracy, the others as much as room allows.

    Variants that the metric's own clean-up makes equal ("the euro", "Euro") count once.
    """
    distinct: dict[str, str] = {}
    for variant in variants:
        distinct.setdefault(_normalise(variant), variant)
    kept = list(distinct.values())[: max(COUNTS)]
    return [variant for variant, count in zip(kept, COUNTS[len(kept)], strict=True) for _ in range(count)]


def _ask(facts: CountryFacts, ask: Ask, phrasing: str) -> Question:
    return Question(
        code=facts.code,
        relation=ask.relation,
        text=ask.phrase(phrasing),
        canonical=ask.canonical,
        variants=ask.variants,
        positive_ids=tuple(passage_id(facts.code, side) for side in ask.sides),
    )


def _pool(
    countries: Mapping[str, CountryFacts], relation: str, held_out: bool, rng: random.Random
) -> list[tuple[str, Ask]]:
    pool = [
        (code, ask)
        for code, facts in countries.items()
        if is_held_out(code, relation) == held_out
        for ask in asks_about(facts)
        if ask.relation == relation
    ]
    rng.shuffle(pool)
    return pool


def _with_look_alikes(question: Question, ask: Ask, countries: Mapping[str, CountryFacts]) -> Question:
    """Accepts the answers of every country that flies the same flag."""
    group = next((group for group in load_look_alikes() if question.code in group), (question.code,))
    own = list(question.variants)
    others: list[str] = []
    positive = list(question.positive_ids)
    for code in (code for code in group if code != question.code):
        for other in asks_about(countries[code]):
            if other.relation == ask.relation and other.part == ask.part:
                others.extend(other.variants)
                positive.extend(passage_id(code, side) for side in other.sides)
    variants = (own[0], *others[:1], *own[1:], *others[1:])
    return Question(**{**vars(question), "variants": variants, "positive_ids": tuple(positive)})


def _normalise(answer: str) -> str:
    """About what the VQA metric does before it compares."""
    text = re.sub(r"(?<=\d),(?=\d)", "", answer.lower())
    words = re.sub(r"[^\w\s.]|\.(?!\d)", " ", text).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))
