"""Fitting the calibration: the temperature that answers best, a confidence that tells right from wrong, a threshold."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from generator.calibration import Calibration
from generator.protocol import Candidate
from rag_app.calibrating import Read, fit
from rag_app.errors import InputError


def _candidate(answer: str, log_likelihood: float, place: int) -> Candidate:
    return Candidate(answer=answer, log_likelihood=log_likelihood, passage_index=place, no_answer_probability=0.1)


def _reads(n: int, picture: float | None = None) -> list[Read]:
    """Right answers come from the first passage; the second is read more surely, so only retrieval can tell."""
    rng = random.Random(4)
    reads = []
    for number in range(n):
        good = number % 5 != 0
        margin = rng.uniform(4, 8) if good else rng.uniform(0, 1)
        candidates = (_candidate(f"right{number}", -1.0 - rng.random(), 0), _candidate(f"wrong{number}", -0.5, 1))
        scores, answers = (20.0 + margin, 20.0), (f"right{number}",) * 10
        reads.append(Read(candidates=candidates, scores=scores, picture_scores=(picture, picture), answers=answers))
    return reads


def test_the_fit_trusts_retrieval_where_it_helps() -> None:
    reads = _reads(100)
    calibration, accuracy = fit(reads)
    chosen = [read.choose(calibration) for read in reads]
    assert accuracy[str(calibration.temperature)] >= max(accuracy.values()) - 0.005 >= 0.795
    right = [choice.confidence for choice, score in chosen if score == 1]
    wrong = [choice.confidence for choice, score in chosen if score == 0]
    assert sum(right) / len(right) > sum(wrong) / len(wrong) + 0.3
    withheld = sum(choice.confidence < calibration.threshold for choice, score in chosen if score == 1)
    assert withheld <= 0.03 * len(reads)


def test_scores_are_those_of_the_official_metric() -> None:
    read = _reads(2)[1]
    choice, score = read.choose(Calibration())
    assert (choice.answer, score) == ("right1", 1.0)


def test_one_kind_of_outcome_cannot_be_calibrated() -> None:
    read = _reads(2)[1]
    with pytest.raises(InputError, match="right and wrong answers"):
        fit([read, read])


def test_questions_without_a_picture_have_a_calibration_of_their_own() -> None:
    """Their scores are smaller: what is a wide lead for them would be a narrow one with a picture."""
    few_rows = [replace(read, scores=(read.scores[0] / 8, read.scores[1] / 8), pictured=False) for read in _reads(100)]
    both, _ = fit([*_reads(100), *few_rows])
    assert replace(both, without_picture=None) == fit(_reads(100))[0]
    assert both.without_picture == fit([replace(read, pictured=True) for read in few_rows])[0]
    chosen = [read.choose(both) for read in few_rows]
    right = [choice.confidence for choice, score in chosen if score == 1]
    wrong = [choice.confidence for choice, score in chosen if score == 0]
    assert sum(right) / len(right) > sum(wrong) / len(wrong) + 0.3
    assert [choice.abstained for choice, _ in chosen] == [
        choice.confidence < both.without_picture.threshold for choice, _ in chosen
    ]


def test_a_picture_that_matches_nothing_lowers_the_confidence() -> None:
    flagless = [replace(read, answers=()) for read in _reads(60, picture=5.0)]
    calibration, _ = fit([*_reads(60, picture=30.0), *flagless])
    seen, unseen, unknown = (_reads(2, picture=picture)[1].choose(calibration)[0] for picture in (30.0, 5.0, None))
    assert seen.confidence > 0.8 > unknown.confidence > unseen.confidence
    assert unseen.confidence < calibration.threshold


def test_the_confidence_is_right_on_average_where_there_is_an_answer() -> None:
    answerable = _reads(60, picture=30.0)
    flagless = [replace(read, answers=()) for read in _reads(60, picture=28.0)]
    calibration, _ = fit([*answerable, *flagless])
    chosen = [read.choose(calibration) for read in answerable]
    confidence = sum(choice.confidence for choice, _ in chosen) / len(chosen)
    assert confidence == pytest.approx(sum(score for _, score in chosen) / len(chosen), abs=0.02)
