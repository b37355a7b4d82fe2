"""The choice among candidates, its confidence, and abstaining."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from generator.calibration import Calibration, calibration_of, fit_calibration, pick_threshold
from generator.choosing import choose
from generator.protocol import Candidate


def candidate(answer: str, probability: float, index: int | None, no_answer: float = 0.0) -> Candidate:
    return Candidate(
        answer=answer, log_likelihood=math.log(probability), passage_index=index, no_answer_probability=no_answer
    )


def test_choice_maximises_the_product_of_retrieval_and_reading() -> None:
    candidates = [candidate("Paris", 0.5, 0), candidate("Lyon", 0.9, 1), candidate("Nice", 0.2, 2)]
    scores = [2.0, 1.0, -1.0]
    total = sum(math.exp(score) for score in scores)
    expected = [math.exp(s) / total * p for s, p in zip(scores, [0.5, 0.9, 0.2], strict=True)]
    choice = choose(candidates, scores)
    assert [math.exp(score) for score in choice.scores] == pytest.approx(expected)
    assert (choice.index, choice.answer) == (0, "Paris")
    assert choice.confidence == pytest.approx(expected[0])
    # a flatter distribution over passages lets the surer reading win
    assert choose(candidates, scores, calibration=Calibration(temperature=10.0)).answer == "Lyon"


def test_scores_far_apart_do_not_overflow() -> None:
    choice = choose([candidate("a", 0.5, 0), candidate("b", 0.5, 1)], [5000.0, -5000.0])
    assert choice.answer == "a"
    assert choice.confidence == pytest.approx(0.5)


def test_an_empty_answer_wins_only_among_empty_ones() -> None:
    empty, weak = candidate("", 1.0, 0), candidate("Lyon", 0.01, 1)
    assert choose([empty, weak], [5.0, 1.0]).answer == "Lyon"
    assert choose([empty, candidate("", 1.0, 1)], [5.0, 1.0]).abstained


def test_equal_answers_are_merged_only_on_request() -> None:
    candidates = [candidate("Rome", 0.5, 0), candidate("Paris", 0.4, 1), candidate("paris.", 0.4, 2)]
    assert choose(candidates, [0.0, 0.0, 0.0]).answer == "Rome"
    merged = choose(candidates, [0.0, 0.0, 0.0], merge_equal=True)
    assert merged.answer == "Paris"
    assert merged.confidence == pytest.approx(0.8 / 3)


def test_abstains_when_every_passage_lacks_the_answer() -> None:
    lacking = [candidate("x", 0.1, 0, no_answer=0.8), candidate("y", 0.2, 1, no_answer=0.7)]
    assert choose(lacking, [0.0, 0.0]).abstained
    assert not choose([*lacking, candidate("z", 0.9, 2, no_answer=0.1)], [0.0, 0.0, 0.0]).abstained


@pytest.mark.parametrize("threshold", [0.1, 0.87])
def test_what_every_passage_lacks_is_reported_below_the_threshold(threshold: float) -> None:
    calibration = Calibration(weights={"no_answer": 1.0}, intercept=4.0, threshold=threshold)
    lacking = choose([candidate("x", 0.9, 0, no_answer=0.6)], [0.0], calibration=calibration)
    assert lacking.abstained
    assert lacking.confidence == pytest.approx(0.4 * threshold)
    surer = choose([candidate("x", 0.9, 0, no_answer=0.9)], [0.0], calibration=calibration)
    assert 0 < surer.confidence < lacking.confidence
    given = choose([candidate("x", 0.9, 0, no_answer=0.5)], [0.0], calibration=calibration)
    assert not given.abstained
    assert given.confidence == pytest.approx(1 / (1 + math.exp(-4.5)))


def test_abstains_below_the_threshold_only() -> None:
    candidates = [candidate("x", 0.6, 0)]
    assert choose(candidates, [1.0], calibration=Calibration(threshold=0.7)).abstained
    assert not choose(candidates, [1.0], calibration=Calibration(threshold=0.5)).abstained


def test_without_knowledge_a_reader_abstains_and_a_generator_answers() -> None:
    nothing = Candidate(answer="", log_likelihood=0.0, passage_index=None, no_answer_probability=1.0)
    choice = choose([nothing], [])
    assert (choice.abstained, choice.confidence) == (True, 0.0)
    known = choose([candidate("blue", 0.3, None)], [])
    assert not known.abstained
    assert known.confidence == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("candidates", "scores", "message"),
    [([], [], "no candidate"), ([candidate("a", 0.5, 1)], [1.0], "beyond the 1 retrieval scores")],
)
def test_wrong_calls_are_named(candidates: list[Candidate], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(candidates, scores)


def test_calibration_finds_the_probability_behind_the_features() -> None:
    import random

    rng = random.Random(4)
    rows, right = [], []
    for _ in range(6000):
        reading = rng.uniform(-4, 0)
        rows.append({"reading": reading, "no_answer": rng.random()})
        right.append(rng.random() < 1 / (1 + math.exp(-(2 + 1.5 * reading))))
    fitted = fit_calibration(rows, right, features=("reading", "no_answer"))
    for reading in (-3.5, -1.5, -0.2):
        expected = 1 / (1 + math.exp(-(2 + 1.5 * reading)))
        assert fitted.confidence({"reading": reading, "no_answer": 0.5}) == pytest.approx(expected, abs=0.04)


def test_calibration_needs_both_kinds_of_answers() -> None:
    with pytest.raises(ValueError, match="right and wrong"):
        fit_calibration([{"reading": 0.0}], [True], features=("reading",))
    with pytest.raises(ValueError, match="1 rows of features came with 2 labels"):
        fit_calibration([{"reading": 0.0}], [True, False], features=("reading",))


def test_threshold_loses_no_more_than_allowed() -> None:
    confidences = [i / 100 for i in range(100)]
    right, answerable = [True] * 100, [True] * 100
    threshold = pick_threshold(confidences, right, answerable, most_lost=0.03)
    assert sum(confidence < threshold for confidence in confidences) == 3


def test_calibration_survives_its_file(tmp_path: Path) -> None:
    made = Calibration(temperature=2.5, weights={"reading": 0.5}, intercept=-1.0, threshold=0.4)
    made.save(tmp_path)
    assert Calibration.load(tmp_path) == made
    both = replace(made, without_picture=Calibration(temperature=1.5, threshold=0.7))
    both.save(tmp_path)
    assert Calibration.load(tmp_path) == both
    assert (both.of(pictured=True).threshold, both.of(pictured=False).threshold) == (0.4, 0.7)
    assert made.of(pictured=False) == made
    assert Calibration.load(tmp_path / "elsewhere") == Calibration()
    (tmp_path / "calibration.json").write_text('{"temperatur": 1}')
    with pytest.raises(ValueError, match=r"calibration\.json is damaged .*fit it again or delete it"):
        Calibration.load(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"temperature": 0.0}, "positive"), ({"threshold": 1.5}, r"\[0, 1\]"), ({"weights": {"luck": 1.0}}, "luck")],
)
def test_calibration_refuses_nonsense(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration(**values)  # type: ignore[arg-type]


def test_a_generator_without_calibration_gets_the_neutral_one() -> None:
    assert calibration_of(object()) == Calibration()


def test_a_picture_without_an_object_takes_confidence_away() -> None:
    candidates, scores = [candidate("Paris", 0.5, 0), candidate("Lyon", 0.3, 1)], [2.0, 1.0]
    calibration = Calibration(weights={"object": 0.5}, means={"object": 2.0}, threshold=0.4)
    by_score = {
        score: choose(candidates, scores, object_scores=[score, None], calibration=calibration) for score in (-3, 3, 99)
    }
    assert by_score[-3].confidence == pytest.approx(1 / (1 + math.exp(1.5)))
    assert by_score[-3].abstained
    assert by_score[3].confidence == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert not by_score[3].abstained
    assert by_score[99].features["object"] == 6.0  # as sure as it can be
    for unknown in ((), (None, -3.0)):
        choice = choose(candidates, scores, object_scores=unknown, calibration=calibration)
        assert "object" not in choice.features
        assert choice.confidence == pytest.approx(1 / (1 + math.exp(-1.0)))
