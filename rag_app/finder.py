"""Finds passages: encoder, index and store put together."""

from __future__ import annotations

from collections.abc import Sequence

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


class PassageFinder:
    """Questions in, scored passages out."""

    def __init__(self, *, encoder: Encoder, index: PassageIndex, store: SharedStore) -> None:
        self._encoder = encoder
        self._index = index
        self._store = store

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
            queries = self._encoder.encode_queries(questions)
        with watch.stage("search"), reported_as_input("", kinds=(IndexDamagedError,)):
            hits_of_each = self._index.search_batch(queries, k=k)
        with watch.stage("fetch"):
            return [self._fetch(hits) for hits in hits_of_each]

    def explain(self, question: VisualQuestion, passage: Passage) -> Explanation:
        """Why a passage scores as it does, from both encoded again; within the index's rounding of its score."""
        return explain(self._encoder, question, passage.content)

    def _check_instruction(self, question: VisualQuestion) -> None:
        if not question.instruction or not question.text.strip():
            return
        if not any(span for _, span in self._encoder.processor.question_pieces(question)):
            raise InputError("the instruction is so long that nothing of the question is read; shorten it")

    def _fetch(self, hits: Sequence[tuple[str, float]]) -> tuple[ScoredPassage, ...]:
        passages = self._store.get([passage_id_of(key) for key, _ in hits])
        return tuple(
            ScoredPassage(passage=passage, score=score) for passage, (_, score) in zip(passages, hits, strict=True)
        )
