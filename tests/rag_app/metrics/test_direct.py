from __future__ import annotations

import pytest

from rag_app.metrics.direct import aokvqa_accuracy, aokvqa_choice, gqa_exact_match


@pytest.mark.parametrize(
    ("prediction", "answers", "expected"),
    [
        ("ski", ["ski"] * 10, 1.0),
        ("ski", ["ski"] * 3 + ["snow"] * 7, 1.0),
        ("ski", ["ski"] * 2 + ["snow"] * 8, 2 / 3),  # nobody is set aside
        ("ski", ["ski"], 1 / 3),
        ("Ski", ["ski"] * 10, 0.0),  # nothing is normalised
        ("ski ", ["ski"] * 10, 0.0),
        ("two", ["2"] * 10, 0.0),
        ("", ["", "", "x"], 2 / 3),
    ],
)
def test_aokvqa(prediction: str, answers: list[str], expected: float) -> None:
    assert aokvqa_accuracy(prediction, answers) == pytest.approx(expected)


def test_aokvqa_needs_answers() -> None:
    with pytest.raises(ValueError, match="no answers"):
        aokvqa_accuracy("x", [])


@pytest.mark.parametrize(
    ("prediction", "correct", "expected"),
    [
        ("cab", 1, 1.0),
        ("train", 1, 0.0),
        ("Cab", 1, 0.0),
        ("cab ", 1, 0.0),
        ("bus", 0, 0.0),
        ("cab", 2, 1.0),
        ("", 0, 0.0),
    ],
)
def test_aokvqa_multiple_choice(prediction: str, correct: int, expected: float) -> None:
    assert aokvqa_choice(prediction, ["train", "cab", "cab", "van"], correct) == expected


@pytest.mark.parametrize("correct", [-1, 2])
def test_the_right_choice_must_be_there(correct: int) -> None:
    with pytest.raises(ValueError, match=f"choice {correct} is right, but there are 2 choices"):
        aokvqa_choice("x", ["x", "y"], correct)


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [("yes", "yes", 1.0), ("Yes", "yes", 0.0), ("yes.", "yes", 0.0), ("", "", 1.0), ("left ", "left", 0.0)],
)
def test_gqa_compares_letter_by_letter(prediction: str, answer: str, expected: float) -> None:
    assert gqa_exact_match(prediction, answer) == expected
