"""The extractive reader over a tiny random model."""

from __future__ import annotations

import math
from itertools import chain

import pytest
import torch

from generator.encoding import encode_pairs
from generator.extractive import ExtractiveReader, ExtractiveSettings
from generator.fitting import shorten
from generator.protocol import Generator
from generator.spans import span_log_probabilities
from knowledge_bases.records import Passage, VisualQuestion
from tests.generator.tiny import reader_parts

SETTINGS = ExtractiveSettings(max_tokens=96, max_question_tokens=32, stride=16, max_answer_tokens=6)


@pytest.fixture(scope="module")
def reader() -> ExtractiveReader:
    return ExtractiveReader(*reader_parts(), SETTINGS)


def passage(text: str, title: str = "") -> Passage:
    return Passage(passage_id=text[:8] or "empty", title=title, text=text)


FRANCE = passage("Paris is the capital of France, and it has many people.", title="France")
ITALY = passage("Rome is the capital of Italy.")
QUESTION = VisualQuestion(text="What is the capital?")


def test_is_a_generator(reader: ExtractiveReader) -> None:
    assert isinstance(reader, Generator)


def test_best_span_has_its_exact_probability(reader: ExtractiveReader) -> None:
    """The candidate against a sum over all spans that one can form by hand."""
    content = ITALY.content
    pairs = encode_pairs(reader.tokenizer, [QUESTION.text], [content], max_tokens=96, max_question_tokens=32, stride=16)
    with torch.inference_mode():
        output = reader.model(**pairs.inputs)
    start, end = output.start_logits[0].double(), output.end_logits[0].double()
    masses = {}
    for first in pairs.starts[0].nonzero()[:, 0].tolist():
        for last in pairs.ends[0].nonzero()[:, 0].tolist():
            if first <= last < first + SETTINGS.max_answer_tokens:
                text = content[pairs.offsets[0][first, 0] : pairs.offsets[0][last, 1]]
                masses[first, last] = (float(start[first] + end[last]), text)
    none = float(start[0] + end[0])
    total = math.log(math.exp(none) + sum(math.exp(mass) for mass, _ in masses.values()))
    best, text = max(masses.values())
    (found,) = reader.propose(QUESTION, [ITALY])
    assert found.answer == text
    assert found.log_likelihood == pytest.approx(best - total, abs=1e-4)
    assert found.no_answer_probability == pytest.approx(math.exp(none - total), abs=1e-4)
    assert len(masses) > 20


def test_answers_are_substrings_of_their_passages_in_order(reader: ExtractiveReader) -> None:
    found = reader.propose(QUESTION, [FRANCE, ITALY, FRANCE])
    assert [candidate.passage_index for candidate in found] == [0, 1, 2]
    assert found[0].answer == found[2].answer
    for candidate, source in zip(found, [FRANCE, ITALY, FRANCE], strict=True):
        assert candidate.answer
        assert candidate.answer in source.content


def test_batches_give_what_single_calls_give(reader: ExtractiveReader) -> None:
    questions = [QUESTION, VisualQuestion(text="which city"), VisualQuestion(text="")]
    passages = [[FRANCE, ITALY], [], [ITALY]]
    together = reader.propose_batch(questions, passages)
    apart = [reader.propose(q, p) for q, p in zip(questions, passages, strict=True)]
    for one, other in zip(chain(*together), chain(*apart), strict=True):
        assert (one.answer, one.passage_index) == (other.answer, other.passage_index)
        assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-4)


def test_without_passages_it_claims_no_knowledge(reader: ExtractiveReader) -> None:
    (candidate,) = reader.propose(QUESTION, [])
    assert (candidate.answer, candidate.passage_index, candidate.no_answer_probability) == ("", None, 1.0)


@pytest.mark.parametrize("text", ["", "   "])
def test_a_passage_without_words_holds_no_answer(reader: ExtractiveReader, text: str) -> None:
    (candidate,) = reader.propose(QUESTION, [passage(text)])
    assert (candidate.answer, candidate.no_answer_probability) == ("", 1.0)


def test_answers_begin_and_end_at_words(reader: ExtractiveReader) -> None:
    content = "unbreakable zyxwvut, 1,234 people"
    pairs = encode_pairs(reader.tokenizer, ["what"], [content], max_tokens=96)
    starts = pairs.offsets[0][pairs.starts[0].numpy(), 0].tolist()
    ends = pairs.offsets[0][pairs.ends[0].numpy(), 1].tolist()
    assert starts == [0, 12, 19, 21, 22, 23, 27]
    assert ends == [11, 19, 20, 22, 23, 26, 33]
    assert int(pairs.starts.sum()) < int(pairs.inputs["attention_mask"].sum()) - 4  # words were split into pieces


def test_long_passages_are_read_to_the_end(reader: ExtractiveReader) -> None:
    long = passage(" ".join(f"word{number}" for number in range(200)))
    pairs = encode_pairs(reader.tokenizer, ["what"], [long.content], max_tokens=96, stride=16)
    assert len(pairs.owner) > 5
    assert int(pairs.offsets[-1].max()) == len(long.content)
    (candidate,) = reader.propose(QUESTION, [long])
    assert candidate.answer in long.content
    best = -math.inf
    with torch.inference_mode():
        pairs = encode_pairs(
            reader.tokenizer, [QUESTION.text], [long.content], max_tokens=96, max_question_tokens=32, stride=16
        )
        output = reader.model(**pairs.inputs)
        spans, none = span_log_probabilities(
            output.start_logits, output.end_logits, pairs.starts, pairs.ends, width=SETTINGS.max_answer_tokens
        )
        best = float(spans.max())
    assert candidate.log_likelihood == pytest.approx(best, abs=1e-4)
    assert candidate.no_answer_probability == pytest.approx(float(none.exp().min()), abs=1e-4)


def test_questions_of_any_length_and_script_are_read(reader: ExtractiveReader) -> None:
    texts = ["why " * 2500, "首都はどこですか", "Какая столица?", "🏳️‍🌈", "\n\t"]
    found = reader.propose_batch([VisualQuestion(text=text) for text in texts], [[FRANCE]] * len(texts))
    assert all(candidate.answer in FRANCE.content for (candidate,) in found)
    assert shorten(reader.tokenizer, texts[0], 32) == "why " * 10 + "wh"  # three pieces a word


def test_mismatched_batches_are_named(reader: ExtractiveReader) -> None:
    with pytest.raises(ValueError, match="1 questions came with 2 lists"):
        reader.propose_batch([QUESTION], [[], []])


def test_settings_leave_room_for_the_passage() -> None:
    with pytest.raises(ValueError, match="leaves 29 tokens"):
        ExtractiveSettings(max_tokens=96, max_question_tokens=64, stride=64)
