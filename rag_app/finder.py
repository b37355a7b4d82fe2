"""Finds passages: encoder, index and store put together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from knowledge_bases.records import Passage, ScoredPassage, VisualQuestion
from rag_app.errors import InputError, reported_as_input
from rag_app.indexing import passage_id_of
from rag_app.stores import SharedStore
from rag_app.timing import Stopwatch
from retriever.encoder import Encoder
from retriever.explanation import Explanation, QueryRow, RowKind, explain
from retriever.index.manifest import IndexDamagedError
from retriever.index.opening import PassageIndex

__all__ = ["Explanation", "PassageFinder", "QueryRow", "RowKind"]

Hit = tuple[str, float]  # index key and score


class PassageFinder:
    """Questions in, scored passages out."""

    def __init__(self, *, encoder: Encoder, index: PassageIndex, store: SharedStore) -> None:
        self.encoder = encoder
        self._index = index
        self.store = store

    def find(
        self, questions: Sequence[VisualQuestion], *, k: int, watch: Stopwatch | None = None
    ) -> list[tuple[ScoredPassage, ...]]:
        """The k best passages of each question, best first.

        Args:
            questions: what is asked.
            k: passages a question.
            watch: gets the stages `encode`, `search` and `fetch`.

        Raises:
            InputError: the index on disk is damaged, or an instruction leaves no room for its question.
        """
        watch = watch or Stopwatch()
        for question in questions:
            self._check_instruction(question)
        with watch.stage("encode"):
            queries = self.encoder.encode_queries(questions)
        with watch.stage("search"), reported_as_input("", kinds=(IndexDamagedError,)):
            hits_of_each = self._index.search_batch(queries, k=k)
        with watch.stage("fetch"):
            n_rows = [self.encoder.picture_rows(question) for question in questions]
            return [self._fetch(*found) for found in zip(hits_of_each, queries, n_rows, strict=True)]

    def explain(self, question: VisualQuestion, passage: Passage) -> Explanation:
        """Why a passage scores as it does, from both encoded again; within the index's rounding of its score."""
        return explain(self.encoder, question, passage.content)

    def _check_instruction(self, question: VisualQuestion) -> None:
        if not question.instruction or not question.text.strip():
            return
        if not any(span for _, span in self.encoder.processor.question_pieces(question)):
            raise InputError("the instruction is so long that nothing of the question is read; shorten it")

    def _fetch(self, hits: Sequence[Hit], query: Tensor, n_picture_rows: int) -> tuple[ScoredPassage, ...]:
        passages = self.store.get([passage_id_of(key) for key, _ in hits])
        return tuple(
            ScoredPassage(passage=passage, score=score, picture_score=self._picture_score(key, query, n_picture_rows))
            for passage, (key, score) in zip(passages, hits, strict=True)
        )

    def _picture_score(self, key: str, query: Tensor, n_picture_rows: int) -> float | None:
        if n_picture_rows == 0:
            return None
        return float(self._index.contributions(query[-n_picture_rows:], key).sum())
