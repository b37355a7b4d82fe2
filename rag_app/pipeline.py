"""The pipeline: a question about a picture in, an answer with its evidence out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from generator.calibration import calibration_of
from generator.choosing import choose
from generator.extractive import ExtractiveReader
from generator.protocol import Candidate, Generator
from generator.remote import PromptRefusedError, RemoteError
from generator.streaming import stream_candidates
from knowledge_bases.records import Passage, ScoredPassage, VisualQuestion
from rag_app.answers import Answer, AnswerCandidate
from rag_app.devices import out_of_memory_reported
from rag_app.errors import InputError, RefusedError, reported_as_input
from rag_app.finder import Explanation, Finder
from rag_app.timing import Stopwatch

__all__ = ["RagPipeline"]

Passages = tuple[ScoredPassage, ...]

# What takes less memory of the device.
_FEWER = "fewer questions at once (--set batch_size=1)"
_READING_LESS = ("a generator in 4 bits (--set quantization=4-bit)", "shorter prompts (--set max_prompt_tokens=256)")


def _finding(n_questions: int) -> AbstractContextManager[None]:
    """Turns want of memory into an `InputError`."""
    return out_of_memory_reported("passages were looked for", *_fewer(n_questions))


def _fewer(n_questions: int) -> tuple[str, ...]:
    return (_FEWER,) if n_questions > 1 else ()


@contextmanager
def _reading(n_questions: int) -> Iterator[None]:
    """Turns what a generator's server does wrong, and want of memory, into an `InputError`."""
    memory = out_of_memory_reported("the answer was generated", *_READING_LESS, *_fewer(n_questions))
    try:
        with reported_as_input("generator", kinds=(RemoteError,)), memory:
            yield
    except InputError as error:
        if isinstance(error.__cause__, PromptRefusedError):
            raise RefusedError(str(error)) from error.__cause__
        raise


class RagPipeline(Runnable[VisualQuestion, Answer]):
    """Finds passages, reads an answer from each, and chooses among the answers.

    A langchain-core Runnable: `invoke` answers one question, `batch` answers many in one pass through the models, and
    `stream` yields first an `Answer` with the passages only; then, where the generator shows what it writes, some with
    more and more text, and with the candidates so far, of which `text` is the best (`complete` is False for these); and
    then the whole `Answer`.
    """

    def __init__(self, *, finder: Finder | None, generator: Generator, k: int) -> None:
        """Puts the parts together.

        Args:
            finder: finds passages; without one, questions are answered from the picture alone.
            generator: proposes an answer for each passage.
            k: passages a question.
        """
        self.finder = finder
        self.generator = generator
        self.k = k
        self._calibration = calibration_of(generator)

    @property
    def needs_passages(self) -> bool:
        """Whether the generator only reads passages, and so has no answer of its own without them."""
        return isinstance(self.generator, ExtractiveReader)

    def taking(self, k: int) -> RagPipeline:
        """The same models with another number of passages a question.

        Raises:
            InputError: k is below 1.
        """
        if k < 1:
            raise InputError(f"k is {k}; ask for at least 1 passage")
        return RagPipeline(finder=self.finder, generator=self.generator, k=k)

    def with_finder(self, finder: Finder | None) -> RagPipeline:
        """The same models with another finder."""
        return RagPipeline(finder=finder, generator=self.generator, k=self.k)

    def without_retrieval(self) -> RagPipeline:
        """The same generator, answering from the question and the picture alone."""
        return self.with_finder(None)

    def explain(self, question: VisualQuestion, passage: Passage) -> Explanation:
        """Why a passage was found: what each row of the question contributes to its score. For one passage on demand.

        Raises:
            InputError: this pipeline finds no passages.
        """
        if self.finder is None:
            raise InputError("nothing is retrieved here, so there is no score to explain")
        with _finding(1):
            return self.finder.explain(question, passage)

    def invoke(self, input: VisualQuestion, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:  # noqa: ANN401 - the base class's signature
        """Answers one question.

        Raises:
            InputError: the question has neither a text nor a picture.
        """
        return self._call_with_config(self._answer_one, input, config, **kwargs)

    def batch(
        self,
        inputs: list[VisualQuestion],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,  # noqa: ANN401 - the base class's signature
    ) -> list[Answer]:
        """Answers many questions in one pass; each answer's timings are its even share of the pass.

        Raises:
            InputError: a question has neither a text nor a picture.
        """
        return self._batch_with_config(self._answer_all, inputs, config, return_exceptions=return_exceptions, **kwargs)

    def stream(
        self,
        input: VisualQuestion,
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401 - the base class's signature
    ) -> Iterator[Answer]:
        """Yields the passages as soon as they are found, then text and candidates as they come, then the answer.

        Raises:
            InputError: the question has neither a text nor a picture.
        """
        yield from self._transform_stream_with_config(iter([input]), self._parts, config, **kwargs)

    def read(self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Passages]) -> list[Answer]:
        """Answers questions from passages that are given instead of found; in one pass, as `batch`.

        Raises:
            RefusedError: the generator's server refused one of the questions.
            InputError: it fails.
            ValueError: the two sequences differ in length.
        """
        return self._read(questions, passages_of_each, Stopwatch())

    def _answer_one(self, question: VisualQuestion) -> Answer:
        return self._answer_many([question])[0]

    def _answer_many(self, questions: list[VisualQuestion]) -> list[Answer]:
        watch = Stopwatch()
        found = self._find(questions, watch)
        return self._read(questions, found, watch)

    def _answer_all(self, questions: list[VisualQuestion]) -> list[Exception | Answer]:
        return [*self._answer_many(questions)]

    def _parts(self, questions: Iterator[VisualQuestion]) -> Iterator[Answer]:
        for question in questions:
            watch = Stopwatch()
            found = self._find([question], watch)
            yield Answer(text="", confidence=0.0, passages=found[0], timings_ms=watch.timings_ms(), complete=False)
            yield from self._growing(question, found[0], watch)

    def _growing(self, question: VisualQuestion, passages: Passages, watch: Stopwatch) -> Iterator[Answer]:
        """What is written, where the generator can show it, and then the whole answer."""
        so_far: list[Candidate] = []
        with watch.stage("read"), _reading(1):
            written = stream_candidates(self.generator, question, [one.passage for one in passages])
            while True:
                try:
                    part = next(written)
                except StopIteration as end:
                    candidates: list[Candidate] = end.value
                    break
                if isinstance(part, Candidate):
                    so_far.append(part)
                    shown = self._choose(question, so_far, passages)
                else:
                    shown = Answer(text=part, confidence=0.0, passages=passages)
                timings = watch.timings_ms()
                yield replace(shown, confidence=0.0, abstained=False, timings_ms=timings, complete=False)
        with watch.stage("choose"):
            answer = self._choose(question, candidates, passages)
        yield replace(answer, timings_ms=watch.timings_ms())

    def _find(self, questions: Sequence[VisualQuestion], watch: Stopwatch) -> list[Passages]:
        if any(question.image is None and not question.text.strip() for question in questions):
            raise InputError("the question has neither a text nor a picture; give at least one of them")
        if self.finder is None:
            return [() for _ in questions]
        with _finding(len(questions)):
            return self.finder.find(questions, k=self.k, watch=watch)

    def _read(self, questions: Sequence[VisualQuestion], found: Sequence[Passages], watch: Stopwatch) -> list[Answer]:
        with watch.stage("read"), _reading(len(questions)):
            proposed = self.generator.propose_batch(
                questions, [[one.passage for one in passages] for passages in found]
            )
        with watch.stage("choose"):
            answers = [self._choose(*one) for one in zip(questions, proposed, found, strict=True)]
        timings = watch.timings_ms(shared_by=len(questions))
        return [replace(answer, timings_ms=dict(timings)) for answer in answers]

    def _choose(self, question: VisualQuestion, candidates: Sequence[Candidate], passages: Passages) -> Answer:
        choice = choose(
            candidates,
            [found.score for found in passages],
            picture_scores=[found.picture_score for found in passages],
            object_scores=[found.object_score for found in passages],
            pictured=question.image is not None,
            calibration=self._calibration,
        )
        return Answer(
            text=choice.answer,
            confidence=choice.confidence,
            passages=passages,
            candidates=tuple(
                AnswerCandidate(
                    passage_id=(None if one.passage_index is None else passages[one.passage_index].passage.passage_id),
                    answer=one.answer,
                    passage_probability=math.exp(score - one.compared),
                    answer_probability=math.exp(one.log_likelihood),
                    chosen=number == choice.index,
                )
                for number, (one, score) in enumerate(zip(candidates, choice.scores, strict=True))
            ),
            abstained=choice.abstained,
            threshold=self._calibration.of(pictured=question.image is not None).threshold,
        )
