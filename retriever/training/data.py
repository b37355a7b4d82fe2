"""What the retriever is trained on: a corpus, questions about its entities, and batches drawn from them.

An *entity* is what a picture shows (a country); a *side* is what a passage tells of it (its currency). A passage is
the right one for a question when both fit. Passages that are right as well, but are not the one that was drawn, are
never counted as negatives.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from retriever.training.cloze import question_about

__all__ = ["BLANK", "Batch", "Corpus", "KnowledgeSampler", "Pair", "PassageSampler", "Query", "TaskMix", "misspell"]

BLANK = -2  # instead of a place in the atlas: a picture that shows no entity
_SENTENCE_END = re.compile(r"(?<=[.!?])(?:\[\d+\])*\s+(?=[A-Z0-9])")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Passages about entities.

    Attributes:
        texts: what is encoded.
        entity: the entity of each passage.
        side: the side of its entity that each passage tells.
    """

    texts: tuple[str, ...]
    entity: tuple[int, ...]
    side: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An entity and something that is asked of it.

    Attributes:
        entity: the entity.
        name: how people call it; put beside a question that has no picture.
        picture: place of its picture in the atlas, or -1.
        relation: what is asked.
        phrasings: questions that ask it without naming the entity.
        positives: places in the corpus of the passages that answer.
    """

    entity: int
    name: str
    picture: int
    relation: str
    phrasings: tuple[str, ...]
    positives: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query of a batch.

    Attributes:
        text: question, may be empty.
        picture: place in the atlas, -1 for none, or `BLANK`.
    """

    text: str
    picture: int = -1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Queries and the passages that they are contrasted against.

    Attributes:
        queries: the queries.
        texts: the passages' texts.
        places: the passages' places in the corpus, or None where the texts are not of the corpus.
        target: (n_queries,) int64, the right passage of each query; -1 where the picture shows no entity.
        counted: (n_queries, n_passages) bool, False at passages that are right too and must not push; where the picture
            shows no entity, True at those of the side that is asked for.
        pictures: place in the atlas of the picture beside each passage, -1 for none; empty where none has one.
    """

    queries: tuple[Query, ...]
    texts: tuple[str, ...]
    places: tuple[int, ...] | None
    target: Tensor
    counted: Tensor
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskMix:
    """Weights of the tasks in a batch of knowledge questions."""

    picture_and_question: float = 1.0
    picture: float = 0.0
    name_and_question: float = 0.0
    question: float = 0.0

    def draw(self, rng: random.Random) -> str:
        """The name of one task."""
        tasks = vars(self)
        return rng.choices(list(tasks), weights=list(tasks.values()))[0]


def misspell(text: str, rng: random.Random) -> str:
    """What fingers do to a question: letters swapped, dropped or doubled, words lost, the question mark left out."""
    words = text.split()
    if len(words) > 4 and rng.random() < 0.2:
        words.pop(rng.randrange(len(words)))
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        place = rng.randrange(len(words))
        word = words[place]
        if len(word) < 4:
            continue
        at = rng.randrange(1, len(word) - 1)
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        words[place] = rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
    spoiled = " ".join(words)
    return spoiled.rstrip("?") if rng.random() < 0.5 else spoiled


class KnowledgeSampler:
    """Draws batches in which several entities are asked the same things, so that both must be told apart.

    Args:
        corpus: the passages.
        pairs: what may be asked.
        rivals: for an entity, entities that are easily taken for it; they share batches.
        disguises: places in the atlas of pictures that show none of the entities, to stand for one of them.
    """

    def __init__(
        self,
        corpus: Corpus,
        pairs: Sequence[Pair],
        rivals: Mapping[int, Sequence[int]],
        disguises: Sequence[int] = (),
    ) -> None:
        self._corpus, self._rivals = corpus, rivals
        self._entities = torch.tensor(corpus.entity)
        self._disguises = tuple(disguises)
        self._pairs: dict[int, dict[str, Pair]] = {}
        for pair in pairs:
            self._pairs.setdefault(pair.entity, {})[pair.relation] = pair
        self._relations = sorted({pair.relation for pair in pairs})
        self._of_entity: dict[int, list[int]] = {}
        for place, entity in enumerate(corpus.entity):
            self._of_entity.setdefault(entity, []).append(place)

    def draw(
        self,
        rng: random.Random,
        *,
        n_entities: int,
        n_relations: int,
        n_extra: int,
        mix: TaskMix,
        shown_share: float = 0.0,
        disguised_share: float = 0.0,
        n_blank: int = 0,
    ) -> Batch:
        """A batch of `n_entities` x `n_relations` queries (fewer where a pair does not exist), and `n_blank` more.

        Args:
            rng: all randomness.
            n_entities: entities asked about; about half are rivals of others in the batch.
            n_relations: relations asked of each.
            n_extra: more passages, of the sides that are asked for: the same of other entities.
            mix: how often each task is drawn.
            shown_share: part of the entities whose passages come with a picture of their own.
            disguised_share: part of the entities that another picture stands for, in questions and beside passages, so
                that only the picture finds them.
            n_blank: questions of the last entity's pairs beside a picture that shows no entity.
        """
        relations = rng.sample(self._relations, n_relations)
        entities = self._draw_entities(rng, n_entities)
        disguises = {one: rng.choice(self._disguises) for one in entities if rng.random() < disguised_share}
        asked = [
            self._ask(_shown_as(self._pairs[entity][relation], disguises), mix.draw(rng), rng)
            for entity in entities
            for relation in relations
            if relation in self._pairs[entity]
        ]
        places = list(dict.fromkeys([place for _, place, _, _ in asked]))
        asked_sides = {self._corpus.side[place] for place in places}
        likely = [place for place, side in enumerate(self._corpus.side) if side in asked_sides]
        others = rng.sample(likely, min(n_extra, len(likely)))
        places = list(dict.fromkeys([*places, *others]))
        columns = {place: column for column, place in enumerate(places)}
        target = torch.tensor([columns[place] for _, place, _, _ in asked])
        counted = torch.stack([self._counted(places, *one[1:]) for one in asked])
        blank, sides_asked = self._blank(rng, entities[-1], relations, n_blank)
        if blank:
            target = torch.cat([target, torch.full((len(blank),), -1)])
            fitting = [[self._corpus.side[place] in sides for place in places] for sides in sides_asked]
            counted = torch.cat([counted, torch.tensor(fitting)])
        shown = {one: next(iter(self._pairs[one].values())).picture for one in entities if rng.random() < shown_share}
        shown |= disguises
        return Batch(
            queries=(*(query for query, _, _, _ in asked), *blank),
            texts=tuple(self._corpus.texts[place] for place in places),
            places=tuple(places),
            target=target,
            counted=counted,
            pictures=tuple(shown.get(self._corpus.entity[place], -1) for place in places),
        )

    def _counted(self, places: Sequence[int], right: int, entity: int, sides: frozenset[int]) -> Tensor:
        """(n_places,) bool: the right passage, and those that do not answer as well."""
        there = torch.tensor(places)
        fits = torch.tensor([not sides or self._corpus.side[place] in sides for place in places])
        if entity >= 0:
            fits &= self._entities[there] == entity
        return (there == right) | ~fits

    def _blank(
        self, rng: random.Random, entity: int, relations: Sequence[str], n: int
    ) -> tuple[list[Query], list[frozenset[int]]]:
        """Questions beside pictures that show no entity, and the sides that would answer each."""
        pairs = [self._pairs[entity][relation] for relation in relations if relation in self._pairs[entity]]
        chosen = rng.choices(pairs, k=n) if pairs and n else []
        queries = [Query(text=rng.choice(pair.phrasings), picture=BLANK) for pair in chosen]
        return queries, [frozenset(self._corpus.side[place] for place in pair.positives) for pair in chosen]

    def _draw_entities(self, rng: random.Random, n_entities: int) -> list[int]:
        entities = list(self._pairs)
        chosen: list[int] = []
        while len(chosen) < n_entities:
            rivals = [rival for one in chosen for rival in self._rivals.get(one, ()) if rival in self._pairs]
            new = rng.choice(rivals) if rivals and rng.random() < 0.5 else rng.choice(entities)
            if new not in chosen:
                chosen.append(new)
        return chosen

    def _ask(self, pair: Pair, task: str, rng: random.Random) -> tuple[Query, int, int, frozenset[int]]:
        """A query, its right passage, the entity that it tells (-1: none) and the sides that answer it (none: all)."""
        if task == "picture":
            right = rng.choice(self._of_entity[pair.entity])
            return Query(text="", picture=pair.picture), right, pair.entity, frozenset()
        text = rng.choice(pair.phrasings)
        if rng.random() < 0.3:
            text = misspell(text, rng)
        right = rng.choice(pair.positives)
        sides = frozenset(self._corpus.side[place] for place in pair.positives)
        if task == "question":
            return Query(text=text), right, -1, sides
        if task == "name_and_question":
            text = f"{text} ({pair.name})" if rng.random() < 0.5 else f"{pair.name}: {text}"
            return Query(text=text), right, pair.entity, sides
        return Query(text=text, picture=pair.picture), right, pair.entity, sides


def _shown_as(pair: Pair, disguises: Mapping[int, int]) -> Pair:
    """The pair, with another picture where its entity is disguised."""
    return replace(pair, picture=disguises.get(pair.entity, pair.picture))


class PassageSampler:
    """Draws queries for passages: a sentence for the rest of its passage (inverse cloze), or a question made of one.

    Args:
        texts: any passages; neighbours are likely about the same thing, and share batches.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._sentences = [parts for text in texts if len(parts := _SENTENCE_END.split(text)) >= 3]

    def draw(self, rng: random.Random, n: int, *, asked_share: float = 0.0, questions: int = 0) -> Batch:
        """A batch of `n` passages and their queries.

        Args:
            rng: all randomness.
            n: passages, with a query each.
            asked_share: part of these queries that are questions which their passage answers.
            questions: how many more such questions each passage has.
        """
        queries, texts = [], []
        for place in self._draw_places(rng, n):
            sentences = list(self._sentences[place])
            at = rng.randrange(len(sentences))
            if rng.random() < asked_share:
                queries.append(Query(text=question_about(sentences[at], rng)))
            else:
                words = (sentences[at] if rng.random() < 0.2 else sentences.pop(at)).split()
                if len(words) > 12 and rng.random() < 0.7:  # questions are short
                    start = rng.randrange(len(words) - 8)
                    words = words[start : start + rng.randint(6, 14)]
                queries.append(Query(text=" ".join(word for word in words if rng.random() > 0.1)))
            queries.extend(Query(text=question_about(rng.choice(sentences), rng)) for _ in range(questions))
            texts.append(" ".join(sentences))
        return Batch(
            queries=tuple(queries),
            texts=tuple(texts),
            places=None,
            target=torch.arange(n).repeat_interleave(1 + questions),
            counted=torch.ones(len(queries), n, dtype=torch.bool),
        )

    def _draw_places(self, rng: random.Random, n: int) -> list[int]:
        """Different passages; after every other one comes its neighbour."""
        total = len(self._sentences)
        if n > total:
            raise ValueError(f"a batch of {n} passages was asked for and only {total} have three sentences or more")
        chosen = dict[int, None]()
        while len(chosen) < n:
            place = rng.randrange(total)
            chosen.update(dict.fromkeys((place, (place + 1) % total)))
        return list(chosen)[:n]
