"""Asks one batch of a dataset's questions: with retrieval, without, or with the right passages given."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from knowledge_bases.records import ScoredPassage, VisualQuestion, VqaExample
from knowledge_bases.store import StoreError
from rag_app.answers import Answer
from rag_app.benchmarks.regions import cut_regions
from rag_app.datasets import Dataset, RowProblem
from rag_app.errors import InputError, RefusedError, one_line
from rag_app.evaluation.black_picture import as_without_picture, with_black_picture
from rag_app.evaluation.modes import Mode
from rag_app.pictures import open_picture
from rag_app.pipeline import RagPipeline
from rag_app.stores import Passages

__all__ = ["Asked", "Asker", "Prepared"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A batch with its pictures opened.

    Attributes:
        examples: those that can be asked.
        questions: one an example, in the same order.
        problems: why the others cannot.
    """

    examples: tuple[VqaExample, ...]
    questions: tuple[VisualQuestion, ...]
    problems: tuple[RowProblem, ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came of a batch.

    Attributes:
        answered: the examples with their answers, in order.
        problems: why the others were not answered.
    """

    answered: tuple[tuple[VqaExample, Answer], ...]
    problems: tuple[RowProblem, ...] = ()


class Asker:
    """Turns examples into questions and questions into answers."""

    def __init__(
        self,
        pipeline: RagPipeline,
        dataset: Dataset,
        *,
        mode: Mode,
        store: Passages | None,
        depth: int = 0,
        black_picture: bool = False,
    ) -> None:
        """Puts the parts together.

        Args:
            pipeline: what answers.
            dataset: what is asked.
            mode: where the passages come from.
            store: the passages; None where none are used.
            depth: passages that are found for a question, where these are more than are read.
            black_picture: whether a question without a picture is searched with a black one.
        """
        self._pipeline = pipeline
        self._dataset = dataset
        self._mode = mode
        self._store = store
        self._depth = depth
        self._black_picture = black_picture

    def prepare(self, batch: Sequence[VqaExample], done: Container[str]) -> Prepared:
        """Opens a batch. What is done already is asked along where something is still open, so that the batch is the
        same as without an interruption.

        Args:
            batch: the examples.
            done: question_ids that are answered already.
        """
        questions, problems = self._open([one for one in batch if one.question_id not in done])
        if questions:
            questions |= self._open([one for one in batch if one.question_id in done])[0]
        asked = [example for example in batch if example.question_id in questions]
        return Prepared(
            examples=tuple(asked),
            questions=tuple(questions[example.question_id] for example in asked),
            problems=tuple(problems),
        )

    def question_of(self, example: VqaExample) -> VisualQuestion:
        """The question with its opened picture.

        Raises:
            InputError: the picture cannot be opened, or a region does not lie in it.
        """
        path = self._dataset.picture_of(example)
        image = None if path is None else open_picture(path)
        return VisualQuestion(
            text=example.question,
            image=image,
            instruction=example.instruction,
            regions=() if image is None else cut_regions(image, example.regions),
            description=example.description,
        )

    def _open(self, examples: Sequence[VqaExample]) -> tuple[dict[str, VisualQuestion], list[RowProblem]]:
        questions, problems = {}, []
        for example in examples:
            try:
                self._check(example)
                questions[example.question_id] = self.question_of(example)
            except InputError as error:
                problems.append(self._problem(example, error))
        return questions, problems

    def _check(self, example: VqaExample) -> None:
        """An InputError says why an example cannot be asked in this mode."""
        if self._mode is not Mode.ORACLE:
            return
        if not example.pos_passage_ids:
            raise InputError("it names no pos_passage_ids, which --oracle needs")
        try:
            self._given(example)
        except StoreError as error:
            raise InputError(f"its pos_passage_ids: {one_line(error)}") from error

    def _problem(self, example: VqaExample, error: InputError) -> RowProblem:
        line = self._dataset.lines[example.question_id]
        return RowProblem(line=line, question_id=example.question_id, problem=one_line(error))

    def ask(self, prepared: Prepared) -> Asked:
        """Answers a batch in one pass; where the generator's server refuses a question, reads them one by one.

        Passages are found for the whole batch in either case, so what the others get does not depend on it, nor on the
        batches before.

        Raises:
            InputError: the index, the store or the generator's server fails.
        """
        if self._pipeline.finder is not None:
            self._pipeline.finder.encoder.forget_pictures()
        try:
            return Asked(answered=tuple(zip(prepared.examples, self._at_once(prepared), strict=True)))
        except RefusedError:
            return self._one_by_one(prepared)

    def _at_once(self, prepared: Prepared) -> list[Answer]:
        finder = self._pipeline.finder
        as_in_the_app = self._depth <= self._pipeline.k and not self._black_picture
        if self._mode is not Mode.ORACLE and (finder is None or as_in_the_app):
            return self._pipeline.batch(list(prepared.questions))
        return self._read(prepared.questions, self._found(prepared))

    def _one_by_one(self, prepared: Prepared) -> Asked:
        answered, problems = [], []
        for example, question, passages in zip(
            prepared.examples, prepared.questions, self._found(prepared), strict=True
        ):
            try:
                answered.append((example, self._read([question], [passages])[0]))
            except RefusedError as error:
                problems.append(self._problem(example, error))
        return Asked(answered=tuple(answered), problems=tuple(problems))

    def _found(self, prepared: Prepared) -> list[tuple[ScoredPassage, ...]]:
        """The passages of each question: given, found, or none."""
        if self._mode is Mode.ORACLE:
            return [self._given(example) for example in prepared.examples]
        if self._pipeline.finder is None:
            return [() for _ in prepared.examples]
        depth = max(self._depth, self._pipeline.k)
        if not self._black_picture:
            return self._pipeline.finder.find(prepared.questions, k=depth)
        found_of_each = self._pipeline.finder.find(list(map(with_black_picture, prepared.questions)), k=depth)
        return [
            found if question.image is not None else as_without_picture(found)
            for question, found in zip(prepared.questions, found_of_each, strict=True)
        ]

    def _read(self, questions: Sequence[VisualQuestion], found: Sequence[tuple[ScoredPassage, ...]]) -> list[Answer]:
        """Answers from the first passages of each question; all of them stand in the answers."""
        answers = self._pipeline.read(questions, [passages[: self._pipeline.k] for passages in found])
        return [replace(answer, passages=passages) for answer, passages in zip(answers, found, strict=True)]

    def _given(self, example: VqaExample) -> tuple[ScoredPassage, ...]:
        """The right passages, as equally likely ones."""
        if self._store is None:
            raise InputError("the oracle needs the knowledge base's passages")
        wanted = list(dict.fromkeys(example.pos_passage_ids))[: self._pipeline.k]
        return tuple(ScoredPassage(passage=passage, score=0.0) for passage in self._store.get(wanted))
