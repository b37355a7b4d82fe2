from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.metrics.vqa import exact_match, normalise_answer, vqa_accuracy, vqa_accuracy_of_annotations


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
        ("", ""),
        ("  \t\n ", ""),
        ("the", ""),
        ("none", "0"),
        ("None.", "0"),
        ("twenty one", "twenty 1"),
        ("five,six", "5 6"),
        ("five, six", "5 6"),
        ("1,5", "15"),
        ("１,０", "１０"),  # any Unicode digit counts as one
        ("a,1 b", "1 b"),  # the comma is spaced, which leaves an article
        ("one-way", "1 way"),
        ("5.", "5"),
        ("5.0.", "5.0"),
        (".5", ".5"),
        ("e.g. this", "eg this"),
        ("Ive been", "ive been"),  # the table's capital letters are never met in lower case
        ("shed've", "she'd've"),
        ("twas", "'twas"),
        ("lets", "lets"),
        ("dont?", "don't"),
        ("İzmir", "i̇zmir"),
        ("naïve café", "naïve café"),
        ("“quoted”", "“quoted”"),  # only the ASCII marks are known
        ("red\u00a0wine", "red wine"),  # a no-break space separates words
        ("<unk>", "unk"),
        ("[unk]", "unk"),
        ("c++", "c"),
        ("a_b`c", "b c"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalise_answer(text) == expected


def test_only_32_full_stops_are_dropped() -> None:
    assert normalise_answer("x" + "." * 40) == "x" + "." * 8


@pytest.mark.parametrize("confidences", [("yes", "yes", "yes", "yes"), ("yes", "maybe", "no", "yes")])
def test_annotations_are_told_apart_as_a_whole(confidences: tuple[str, ...]) -> None:
    annotations = [{"answer": "teal", "answer_confidence": one} for one in confidences]
    annotations += [{"answer": f"other {i}", "answer_confidence": "yes"} for i in range(6)]
    kept = [4 - confidences.count(one) for one in confidences]  # what is left of the four when one is set aside
    expected = (sum(min(1.0, left / 3) for left in kept) + 6) / 10
    assert vqa_accuracy_of_annotations("teal", annotations) == pytest.approx(expected)


def test_equal_answers_are_told_apart_after_normalisation() -> None:
    """Without ids, "Teal" and "teal." become the same annotation, since the scorer compares them normalised."""
    answers = ["Teal", "teal.", "the teal", "teal", *(f"other {i}" for i in range(6))]
    assert vqa_accuracy("teal", answers, answers_have_ids=False) == pytest.approx(0.6)
    assert vqa_accuracy("teal", answers) == 1.0


def test_an_annotation_without_text_is_refused() -> None:
    with pytest.raises(TypeError, match="no text as 'answer'"):
        vqa_accuracy_of_annotations("x", [{"answer": None}])


def test_accuracy_needs_answers() -> None:
    with pytest.raises(ValueError, match="no answers"):
        vqa_accuracy("x", [])


@given(st.text(max_size=30), st.lists(st.text(max_size=12), min_size=1, max_size=10))
def test_accuracy_lies_between_0_and_1(prediction: str, answers: list[str]) -> None:
    assert 0.0 <= vqa_accuracy(prediction, answers) <= 1.0


def test_exact_match_normalises_both_sides() -> None:
    assert exact_match("The Euro!", ["dollar", "euro"]) == 1.0
    assert exact_match("pound", ["dollar", "euro"]) == 0.0
