from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.metrics.calibration import abstaining, expected_calibration_error, reliability

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30)


def test_bins_hold_their_upper_edge() -> None:
    groups = reliability([0.0, 0.05, 0.1, 0.95, 1.0], [0.0, 1.0, 0.5, 1.0, 0.0])
    assert [group.count for group in groups] == [3, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert groups[0].confidence == pytest.approx(0.05)
    assert groups[0].accuracy == pytest.approx(0.5)
    assert groups[9].confidence == pytest.approx(0.975)


@pytest.mark.parametrize("bins", [3, 7, 10, 15])
def test_an_edge_belongs_to_the_bin_below_it(bins: int) -> None:
    edges = [place / bins for place in range(1, bins + 1)]
    assert [group.count for group in reliability(edges, edges, bins=bins)] == [1] * bins


def test_ece_by_hand() -> None:
    # Two bins: |0.5 - 0.25| for two questions, |1.0 - 0.75| for one.
    assert expected_calibration_error([0.2, 0.3, 0.75], [0.0, 1.0, 1.0], bins=2) == pytest.approx(0.25)
    assert expected_calibration_error([1.0, 0.0], [1.0, 0.0]) == 0.0
    assert expected_calibration_error([1.0, 1.0], [0.0, 0.0]) == 1.0


@given(PAIRS)
def test_ece_lies_between_0_and_1_and_shrinks_in_one_bin(pairs: list[tuple[float, float]]) -> None:
    confidences, scores = [one for one, _ in pairs], [score for _, score in pairs]
    many, one = (expected_calibration_error(confidences, scores, bins=bins) for bins in (10, 1))
    assert 0.0 <= one <= many + 1e-9 <= 1.0 + 2e-9


@given(PAIRS)
def test_every_question_is_in_one_bin(pairs: list[tuple[float, float]]) -> None:
    groups = reliability([one for one, _ in pairs], [score for _, score in pairs])
    assert sum(group.count for group in groups) == len(pairs)


def test_faulty_values_are_refused() -> None:
    with pytest.raises(ValueError, match="2 confidences came with 1 scores"):
        reliability([0.1, 0.2], [1.0])
    with pytest.raises(ValueError, match="must lie in"):
        reliability([1.1], [1.0])
    with pytest.raises(ValueError, match="bins must be at least 1"):
        reliability([1.0], [1.0], bins=0)
    with pytest.raises(ValueError, match="no questions"):
        expected_calibration_error([], [])


def test_abstaining() -> None:
    assert abstaining([1.0, 0.5, 0.0, 0.2], [False, False, True, True]) == {
        "Coverage": 0.5,
        "Accuracy of answered": 0.75,
        "Accuracy of withheld": 0.1,
    }
    assert abstaining([1.0], [False]) == {"Coverage": 1.0, "Accuracy of answered": 1.0}
    assert abstaining([1.0], [True]) == {"Coverage": 0.0, "Accuracy of withheld": 1.0}
    with pytest.raises(ValueError, match="came with"):
        abstaining([1.0], [])
    with pytest.raises(ValueError, match="no questions"):
        abstaining([], [])
