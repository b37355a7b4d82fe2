from __future__ import annotations

import pytest

from rag_app.metrics.direct import aokvqa_accuracy, gqa_exact_match


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
    ("prediction", "answer", "expected"),
    [("yes", "yes", 1.0), ("Yes", "yes", 0.0), ("yes.", "yes", 0.0), ("", "", 1.0), ("left ", "left", 0.0)],
)
def test_gqa_compares_letter_by_letter(prediction: str, answer: str, expected: float) -> None:
    assert gqa_exact_match(prediction, answer) == expected
