from __future__ import annotations

import copy
import threading
from dataclasses import replace

import pytest
import torch
from PIL import Image

from generator.calibration import Calibration
from knowledge_bases.records import VisualQuestion
from rag_app.answers import Answer
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.finder import RowKind
from rag_app.pipeline import RagPipeline
from rag_app.retriever_adapter import PassageRetriever
from tests.tiny import PASSAGES

RED = Image.new("RGB", (60, 40), "red")
BLUE = Image.new("RGB", (40, 60), "blue")
QUESTIONS = [
    VisualQuestion(text="what is the capital?", image=RED),
    VisualQuestion(text="how do people pay?"),
    VisualQuestion(image=BLUE),
    VisualQuestion(text="首都はどこですか", image=BLUE),
]


def essence(answer: Answer) -> tuple[object, ...]:
    """What must not depend on how the question was asked; scores to four digits."""
    return (
        answer.text,
        round(answer.confidence, 4),
        [(found.passage.passage_id, round(found.score, 3)) for found in answer.passages],
        [(one.passage_id, one.answer, round(one.score, 4)) for one in answer.candidates],
        answer.abstained,
    )


def test_answers_have_evidence(application: Application) -> None:
    answer = application.pipeline.invoke(QUESTIONS[0])
    texts = {str(row["passage_id"]): f"{row['title']}. {row['text']}" for row in PASSAGES}
    assert len(answer.passages) == len(answer.candidates) == 3
    scores = [found.score for found in answer.passages]
    assert scores == sorted(scores, reverse=True)
    for found, candidate in zip(answer.passages, answer.candidates, strict=True):
        assert candidate.passage_id == found.passage.passage_id
        assert candidate.answer in texts[found.passage.passage_id]
    assert answer.text in {candidate.answer for candidate in answer.candidates}
    assert 0.0 <= answer.confidence <= 1.0
    assert list(answer.timings_ms) == ["encode", "search", "fetch", "read", "choose", "total"]
    assert answer.timings_ms["total"] >= answer.timings_ms["read"] > 0


def test_a_question_without_a_picture_has_a_threshold_of_its_own(application: Application) -> None:
    generator = copy.copy(application.pipeline.generator)
    generator.calibration = Calibration(threshold=0.3, without_picture=Calibration(threshold=0.6))  # type: ignore[attr-defined]
    pipeline = RagPipeline(finder=application.pipeline.finder, generator=generator, k=2)
    assert [answer.threshold for answer in pipeline.batch(QUESTIONS)] == [0.3, 0.6, 0.3, 0.3]
    assert [*pipeline.stream(QUESTIONS[1])][-1].threshold == 0.6


def full(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_memory_that_runs_out_while_reading_says_what_takes_less(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = application.pipeline
    monkeypatch.setattr(pipeline.generator, "propose_batch", full)
    message = r"ran out while the answer was generated; try .*quantization=4-bit.*max_prompt_tokens=256.*--device cpu"
    with pytest.raises(InputError, match=message):
        pipeline.invoke(QUESTIONS[0])
    with pytest.raises(InputError, match=message):
        list(pipeline.stream(QUESTIONS[0]))


def test_memory_that_runs_out_in_the_encoder_says_what_takes_less(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = application.pipeline.invoke(QUESTIONS[0])
    monkeypatch.setattr("retriever.encoder.Encoder.encode_queries", full)
    message = r"ran out while passages were looked for; try fewer .*--set batch_size=1\), or --device cpu"
    with pytest.raises(InputError, match=message):
        application.pipeline.batch(QUESTIONS)
    with pytest.raises(InputError, match="while passages were looked for; try --device cpu"):
        application.pipeline.invoke(QUESTIONS[0])
    monkeypatch.setattr("rag_app.finder.explain", full)
    with pytest.raises(InputError, match="while passages were looked for; try --device cpu"):
        application.pipeline.explain(QUESTIONS[0], answer.passages[0].passage)


def test_candidates_say_their_two_probabilities(application: Application) -> None:
    answer = application.pipeline.invoke(QUESTIONS[0])
    assert sum(one.passage_probability for one in answer.candidates) == pytest.approx(1.0)
    assert all(0.0 < one.answer_probability <= 1.0 for one in answer.candidates)
    (chosen,) = (one for one in answer.candidates if one.chosen)
    assert chosen.answer == answer.text
    assert chosen.score == max(one.score for one in answer.candidates if one.answer)
    by_rank = [one.passage_probability for one in answer.candidates]
    assert by_rank == sorted(by_rank, reverse=True)  # the passages come best first


def test_a_passage_is_explained_on_demand(application: Application) -> None:
    for question in QUESTIONS:
        answer = application.pipeline.invoke(question)
        for found in answer.passages:
            explanation = application.pipeline.explain(question, found.passage)
            # the index keeps float16 rows
            assert explanation.score == pytest.approx(found.score, abs=1e-3 * len(explanation.rows))
    with pytest.raises(InputError, match="no score to explain"):
        application.pipeline.without_retrieval().explain(QUESTIONS[0], answer.passages[0].passage)


def test_k_and_retrieval_can_differ_for_one_question(application: Application) -> None:
    assert len(application.pipeline.taking(5).invoke(QUESTIONS[0]).passages) == 5
    assert len(application.pipeline.invoke(QUESTIONS[0]).passages) == 3
    with pytest.raises(InputError, match="at least 1 passage"):
        application.pipeline.taking(0)
    assert application.pipeline.needs_passages
    assert application.pipeline.without_retrieval().invoke(QUESTIONS[0]).passages == ()


def test_an_instruction_changes_the_search_and_must_leave_room(application: Application) -> None:
    plain, told = (
        application.pipeline.invoke(VisualQuestion(text="what is the capital?", image=RED, instruction=instruction))
        for instruction in (None, "Name the people")
    )
    assert [found.score for found in plain.passages] != [found.score for found in told.passages]
    with pytest.raises(InputError, match="nothing of the question is read; shorten it"):
        application.pipeline.invoke(VisualQuestion(text="what is it?", instruction="find the page " * 20))


def test_batch_equals_one_by_one(application: Application) -> None:
    together = application.pipeline.batch(QUESTIONS)
    assert [essence(answer) for answer in together] == [
        essence(application.pipeline.invoke(question)) for question in QUESTIONS
    ]


def test_the_answer_depends_on_the_picture(application: Application) -> None:
    red, blue = (
        application.pipeline.invoke(VisualQuestion(text="what is it?", image=picture)) for picture in (RED, BLUE)
    )
    assert [found.score for found in red.passages] != [found.score for found in blue.passages]


def test_stream_gives_passages_first(application: Application) -> None:
    first, last = application.pipeline.stream(QUESTIONS[0])
    assert (first.complete, first.text, first.candidates) == (False, "", ())
    assert first.passages == last.passages
    assert last.complete
    assert essence(last) == essence(application.pipeline.invoke(QUESTIONS[0]))


def test_it_composes_as_a_runnable(application: Application) -> None:
    chain = application.pipeline | (lambda answer: answer.text.upper())
    assert chain.invoke(QUESTIONS[0]) == application.pipeline.invoke(QUESTIONS[0]).text.upper()


def test_a_question_needs_a_text_or_a_picture(application: Application) -> None:
    with pytest.raises(InputError, match="neither a text nor a picture"):
        application.pipeline.invoke(VisualQuestion(text=" "))
    with pytest.raises(InputError, match="neither a text nor a picture"):
        application.pipeline.batch([*QUESTIONS, VisualQuestion()])


def test_without_retrieval_there_is_no_evidence(application: Application) -> None:
    answer = application.pipeline.without_retrieval().invoke(QUESTIONS[0])
    assert answer.passages == ()
    assert [candidate.passage_id for candidate in answer.candidates] == [None]
    assert answer.abstained  # an extractive reader knows nothing by itself


def test_other_threads_may_ask(application: Application) -> None:
    expected, answers = essence(application.pipeline.invoke(QUESTIONS[0])), []
    threads = [
        threading.Thread(target=lambda: answers.append(essence(application.pipeline.invoke(QUESTIONS[0]))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 3


def test_the_picture_has_its_part_in_a_score(application: Application) -> None:
    finder = application.pipeline.finder
    assert finder is not None
    with_picture = next(question for question in QUESTIONS if question.image is not None)
    best = finder.find([with_picture], k=1)[0][0]
    explained = finder.explain(with_picture, best.passage).part(RowKind.PICTURE, RowKind.PATCH)
    assert best.picture_score == pytest.approx(explained, abs=0.1)
    assert finder.find([replace(with_picture, image=None, text="capital?")], k=1)[0][0].picture_score is None


def test_langchain_retriever(application: Application) -> None:
    assert application.pipeline.finder is not None
    retriever = PassageRetriever(finder=application.pipeline.finder, k=2)
    documents = retriever.invoke("what is the capital?")
    found = application.pipeline.finder.find([VisualQuestion(text="what is the capital?")], k=2)[0]
    assert [document.id for document in documents] == [one.passage.passage_id for one in found]
    assert documents[0].page_content == found[0].passage.text
    assert documents[0].metadata["score"] == found[0].score
    assert len(retriever.find(QUESTIONS[2])) == 2
