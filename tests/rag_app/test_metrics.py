from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.metrics import exact_match, mean_scores, pseudo_recall_at_k, recall_at_k, score_question
from rag_app.vqa_accuracy import normalise_answer, vqa_accuracy


def ten(**counts: int) -> list[str]:
    answers = [word for word, count in counts.items() for _ in range(count)]
    return answers + ["other"] * (10 - len(answers))


@pytest.mark.parametrize(("matches", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0)])
def test_accuracy_leaves_one_annotator_out(matches: int, expected: float) -> None:
    assert vqa_accuracy("teal", ten(teal=matches)) == pytest.approx(expected)


def test_annotations_without_ids_collapse() -> None:
    assert vqa_accuracy("teal", ten(teal=4), answers_have_ids=False) == pytest.approx(0.6)


def test_unanimous_answers_are_compared_as_they_are() -> None:
    assert vqa_accuracy("Orange", ["orange"] * 10) == 0.0
    assert vqa_accuracy("orange", ["orange"] * 10) == 1.0
    assert vqa_accuracy(" orange\n", ["orange"] * 10) == 1.0  # newlines, tabs and outer blanks go in any case
    assert vqa_accuracy("Orange.", ["orange"] * 9 + ["red"]) == 1.0  # one disagrees: everything is normalised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat", "cat"),
        ("Ten of none", "10 of 0"),
        ("dont", "don't"),
        ("yalld've", "yalld've"),  # two apostrophes missing of three: not in the table
        ("yall'd've", "y'all'd've"),
        ("somebody'd", "somebodyd"),  # the scorer's table has this one the wrong way round
        ("a-b", "b"),  # the hyphen becomes a blank, and then 'a' is an article
        ("well-known, old", "well known old"),  # the comma touches a blank and is deleted; the hyphen is spaced
        ("well -known", "well known"),
        ("1,000 km-long", "1000 kmlong"),  # digit,digit anywhere deletes every mark
        ("3.5 kg.", "3.5 kg"),
        ("U.S.A.", "usa"),
        ("semi;colon", "semi colon"),
        ("it's", "it's"),  # the apostrophe is no mark
        ("a:b", "a:b"),  # nor is the colon
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalise_answer(text) == expected


def test_only_32_full_stops_are_dropped() -> None:
    assert normalise_answer("x" + "." * 40) == "x" + "." * 8


def test_accuracy_needs_answers() -> None:
    with pytest.raises(ValueError, match="no answers"):
        vqa_accuracy("x", [])


@given(st.text(max_size=30), st.lists(st.text(max_size=12), min_size=1, max_size=10))
def test_accuracy_lies_between_0_and_1(prediction: str, answers: list[str]) -> None:
    assert 0.0 <= vqa_accuracy(prediction, answers) <= 1.0


def test_exact_match_normalises_both_sides() -> None:
    assert exact_match("The Euro!", ["dollar", "euro"]) == 1.0
    assert exact_match("pound", ["dollar", "euro"]) == 0.0


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
