"""Several knowledge bases asked at once.

One encoder made all their indexes, so that MaxSim scores compare: the best passages of each are ranked together. What
a passage is called then, `rag_app.stores.full_id` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from knowledge_bases.records import Passage, ScoredPassage, VisualQuestion
from rag_app.finder import Explanation, Finder, PassageFinder, encoded, explained
from rag_app.stores import JoinedStore, full_id, joined_passage
from rag_app.timing import Stopwatch
from retriever.encoder import Encoder
from retriever.index.protocol import PassageIndex

__all__ = ["JoinedFinder", "indexes_of", "join_finders", "own_id"]


def join_finders(parts: Mapping[str, PassageFinder]) -> Finder:
    """One finder for the knowledge bases of these names; the only one itself where there is only one."""
    return JoinedFinder(parts) if len(parts) > 1 else next(iter(parts.values()))


def indexes_of(finder: Finder) -> list[PassageIndex]:
    """The indexes that a finder searches."""
    if isinstance(finder, JoinedFinder):
        return [part.index for part in finder.parts.values()]
    return [finder.index] if isinstance(finder, PassageFinder) else []


def own_id(found: ScoredPassage) -> str:
    """What a passage that was found is called in its own knowledge base."""
    name, passage_id = found.knowledge_base, found.passage.passage_id
    return passage_id.removeprefix(full_id(name, "")) if name else passage_id


class JoinedFinder:
    """The finder of several knowledge bases.

    Attributes:
        parts: the finder of each, by its name.
        store: the passages of all.
    """

    def __init__(self, parts: Mapping[str, PassageFinder]) -> None:
        """Joins finders by the names of their knowledge bases.

        Raises:
            ValueError: two have different encoders, so that their scores do not compare.
        """
        if len({id(finder.encoder) for finder in parts.values()}) != 1:
            raise ValueError("knowledge bases are searched together only with one encoder")
        self.parts = dict(parts)
        self.store = JoinedStore({name: finder.store for name, finder in parts.items()})

    @property
    def encoder(self) -> Encoder:
        """As `Finder.encoder`."""
        return next(iter(self.parts.values())).encoder

    def find(
        self, questions: Sequence[VisualQuestion], *, k: int, watch: Stopwatch | None = None
    ) -> list[tuple[ScoredPassage, ...]]:
        """As `Finder.find`; the question is encoded once."""
        watch = watch or Stopwatch()
        queries = encoded(self.encoder, questions, watch)
        of_each = [
            [[_of(name, one) for one in found] for found in finder.search(queries, k=k, watch=watch)]
            for name, finder in self.parts.items()
        ]
        return [_best([one for part in parts for one in part], k) for parts in zip(*of_each, strict=True)]

    def explain(self, question: VisualQuestion, passage: Passage) -> Explanation:
        """As `Finder.explain`."""
        return explained(self, question, passage)


def _of(name: str, found: ScoredPassage) -> ScoredPassage:
    return replace(found, passage=joined_passage(name, found.passage), knowledge_base=name)


def _best(found: Sequence[ScoredPassage], k: int) -> tuple[ScoredPassage, ...]:
    return tuple(sorted(found, key=lambda one: -one.score)[:k])
