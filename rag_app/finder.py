"""Finds passages: encoder, index and store put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from knowledge_bases.records import Passage, ScoredPassage, VisualQuestion
from knowledge_bases.store import StoreError
from rag_app.errors import InputError, reported_as_input
from rag_app.indexing import index_key, passage_id_of
from rag_app.stores import Passages, SharedStore, passage_picture
from rag_app.timing import Stopwatch
from retriever.encoder import Encoder
from retriever.explanation import Explanation, QueryRow, RowKind, explain
from retriever.index.manifest import IndexDamagedError
from retriever.index.protocol import PassageIndex

__all__ = ["EncodedQuestion", "Explanation", "Finder", "PassageFinder", "QueryRow", "RowKind", "encoded", "explained"]

Hit = tuple[str, float]  # index key and score


@runtime_checkable
class Finder(Protocol):
    """Questions in, scored passages out."""

    @property
    def encoder(self) -> Encoder:
        """What questions and passages are encoded with."""

    @property
    def store(self) -> Passages:
        """The passages among which it looks."""

    def find(
        self, questions: Sequence[VisualQuestion], *, k: int, watch: Stopwatch | None = None
    ) -> list[tuple[ScoredPassage, ...]]:
        """The k best passages of each question, best first.

        Args:
            questions: what is asked.
            k: passages a question.
            watch: gets the stages `encode`, `search` and `fetch`.

        Raises:
            InputError: the index on disk or the store is damaged, nothing that was found is in the store any more, a
                question cannot be encoded, or its instruction leaves no room for it.
        """

    def explain(self, question: VisualQuestion, passage: Passage) -> Explanation:
        """Why a passage scores as it does, from both encoded again; within the index's rounding of its score."""


@dataclass(frozen=True, kw_only=True)
class EncodedQuestion:
    """A question as an index searches it.

    Attributes:
        rows: (n_rows, dim) unit rows.
        n_picture_rows: how many of them, the last ones, come from the picture.
        object_score: log odds of an object in the picture; None where there is none, or nothing that can tell.
    """

    rows: Tensor
    n_picture_rows: int
    object_score: float | None = None


def encoded(encoder: Encoder, questions: Sequence[VisualQuestion], watch: Stopwatch) -> list[EncodedQuestion]:
    """Questions in one pass through the encoder.

    Raises:
        InputError: a question cannot be encoded, or its instruction leaves no room for it.
    """
    for question in questions:
        _check_instruction(encoder, question)
    with watch.stage("encode"), reported_as_input(kinds=(ValueError,)):
        looks = encoder.look(questions)
        rows = encoder.encode_queries(questions, looks)
        return [
            EncodedQuestion(
                rows=one,
                n_picture_rows=encoder.picture_rows(question),
                object_score=None if look is None else look.object_score,
            )
            for one, question, look in zip(rows, questions, looks, strict=True)
        ]


class PassageFinder:
    """The finder of one knowledge base.

    Attributes:
        encoder: what questions and passages are encoded with.
        index: of the passages.
        store: the passages.
    """

    def __init__(self, *, encoder: Encoder, index: PassageIndex, store: SharedStore) -> None:
        self.encoder = encoder
        self.index = index
        self.store = store

    def find(
        self, questions: Sequence[VisualQuestion], *, k: int, watch: Stopwatch | None = None
    ) -> list[tuple[ScoredPassage, ...]]:
        """As `Finder.find`."""
        watch = watch or Stopwatch()
        return self.search(encoded(self.encoder, questions, watch), k=k, watch=watch)

    def search(
        self, questions: Sequence[EncodedQuestion], *, k: int, watch: Stopwatch
    ) -> list[tuple[ScoredPassage, ...]]:
        """`find` for questions that are encoded.

        Raises:
            InputError: the index on disk or the store is damaged, or nothing that was found is in the store any more.
        """
        with watch.stage("search"), reported_as_input(kinds=(IndexDamagedError,)):
            hits_of_each = self.index.search_batch([question.rows for question in questions], k=k)
        with watch.stage("fetch"), reported_as_input(kinds=(StoreError,)):
            return [self._fetch(*found) for found in zip(hits_of_each, questions, strict=True)]

    def explain(self, question: VisualQuestion, passage: Passage) -> Explanation:
        """As `Finder.explain`."""
        return explained(self, question, passage)

    def _fetch(self, hits: Sequence[Hit], question: EncodedQuestion) -> tuple[ScoredPassage, ...]:
        passages = self.store.lookup([passage_id_of(key) for key, _ in hits])  # one may have been deleted meanwhile
        if hits and not passages:
            raise InputError("the passages that were found are no longer in the knowledge base; run `kb sync`")
        return tuple(
            ScoredPassage(
                passage=passage,
                score=score,
                picture_score=self._picture_score(key, question),
                object_score=None if self._has_picture(key, passage) else question.object_score,
            )
            for key, score in hits
            if (passage := passages.get(passage_id_of(key))) is not None
        )

    def _has_picture(self, key: str, passage: Passage) -> bool:
        """Whether the passage was encoded with a picture of its own."""
        return self.encoder.passage_picture_rows > 0 and key != index_key(passage, "")

    def _picture_score(self, key: str, question: EncodedQuestion) -> float | None:
        if question.n_picture_rows == 0:
            return None
        return float(self.index.contributions(question.rows[-question.n_picture_rows :], key).sum())


def explained(finder: Finder, question: VisualQuestion, passage: Passage) -> Explanation:
    """`Finder.explain`, of any finder."""
    reads_pictures = finder.encoder.passage_picture_rows > 0
    picture = passage_picture(finder.store, passage.passage_id) if reads_pictures else None
    return explain(finder.encoder, question, passage.content, picture)


def _check_instruction(encoder: Encoder, question: VisualQuestion) -> None:
    if not question.instruction or not question.text.strip():
        return
    if not any(span for _, span in encoder.processor.question_pieces(question)):
        raise InputError("the instruction is so long that nothing of the question is read; shorten it")
