from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.metrics.questions import mean_scores, score_question
from rag_app.metrics.retrieval import cutoffs, pseudo_recall_at_k, recall_at_k


def test_recall_is_a_hit_rate() -> None:
    assert recall_at_k(["p1", "p2", "p3"], ["p3", "p9"], k=3) == 1.0
    assert recall_at_k(["p1", "p2", "p3"], ["p3", "p9"], k=2) == 0.0


def test_pseudo_recall_is_a_plain_substring() -> None:
    assert pseudo_recall_at_k(["The Parisian way"], [" PARIS "], k=1) == 1.0  # no word boundary
    assert pseudo_recall_at_k(["London", "Paris"], ["paris"], k=1) == 0.0
    assert pseudo_recall_at_k(["London"], [""], k=1) == 1.0  # an empty answer always hits, as in the source


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
    st.lists(st.sampled_from("abcdefgh"), max_size=3),
    st.integers(1, 7),
)
def test_recall_never_falls_as_k_grows(found: list[str], positives: list[str], k: int) -> None:
    assert recall_at_k(found, positives, k=k) <= recall_at_k(found, positives, k=k + 1)
    assert pseudo_recall_at_k(found, positives, k=k) <= pseudo_recall_at_k(found, positives, k=k + 1)


@pytest.mark.parametrize(("k", "expected"), [(1, [1]), (3, [1, 3]), (5, [1, 5]), (12, [1, 5, 10, 12])])
def test_cutoffs_reach_k(k: int, expected: list[int]) -> None:
    assert cutoffs(k) == expected


def test_scores_of_a_question_name_what_applies() -> None:
    scores = score_question(
        "lima", ["Lima", "lima"], passage_ids=["p1", "p2"], contents=["x", "Lima is"], pos_passage_ids=["p2"], k=5
    )
    assert scores["Recall@1"] == 0.0
    assert scores["Recall@5"] == 1.0
    assert scores["Pseudo-Recall@5"] == 1.0
    assert scores["Exact match"] == 1.0
    without = score_question("lima", ["Lima"], passage_ids=None, contents=[], pos_passage_ids=["p2"], k=5)
    assert set(without) == {"VQA accuracy", "Exact match"}


def test_means_count_only_where_a_metric_applies() -> None:
    means = mean_scores([{"A": 1.0, "B": 0.5}, {"A": 0.0}])
    assert means == {"A": {"value": 0.5, "count": 2}, "B": {"value": 0.5, "count": 1}}
