from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.metrics.okvqa import STEMMED, UNSTEMMED, okvqa_accuracies, published_stems
from rag_app.metrics.stemming import stem_answer


def annotated(answer: str, *, raw: str | None = None) -> list[dict[str, object]]:
    first = {"answer": answer} if raw is None else {"answer": answer, "raw_answer": raw}
    rows = [first] * 5 + [{"answer": "other"}] * 5
    return [{**row, "answer_id": number} for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("Riding  Horses", "ride horse"),
        ("playing tennis", "play tennis"),
        ("swimming", "swim"),
        ("falling", "fall"),
        ("dancing", "dance"),
        ("juggling", "juggle"),
        ("skiing", "ski"),
        ("flying kites", "fly kite"),
        ("snowing", "snow"),
        ("repairing", "repair"),
        ("charging", "charge"),
        ("lying", "lie"),
        ("morning", "morning"),
        ("string", "string"),
        ("ing", "ing"),
        ("ponies", "pony"),
        ("cookies", "cookie"),
        ("churches", "church"),
        ("shoes", "shoe"),
        ("tomatoes", "tomato"),
        ("women", "woman"),
        ("knives", "knife"),
        ("glass", "glass"),
        ("bus", "bus"),
        ("christmas", "christmas"),
        ("1990s", "1990s"),
        ("", ""),
    ],
)
def test_words_are_stemmed(text: str, stem: str) -> None:
    assert stem_answer(text) == stem


@given(st.text(max_size=20))
def test_stemming_adds_and_drops_no_word(text: str) -> None:
    assert len(stem_answer(text).split()) == len(text.lower().split())


def test_both_numbers_are_reported() -> None:
    assert okvqa_accuracies("riding horses", annotated("ride horse")) == {STEMMED: 1.0, UNSTEMMED: 0.0}
    assert okvqa_accuracies("ride horse", annotated("ride horse")) == {STEMMED: 1.0, UNSTEMMED: 1.0}
    assert okvqa_accuracies("cow", annotated("ride horse")) == {STEMMED: 0.0, UNSTEMMED: 0.0}


def test_the_published_stem_comes_before_the_rule() -> None:
    rows = annotated("poni tail", raw="Pony tails")
    stems = published_stems(rows)
    assert stems == {"pony tails": "poni tail"}
    assert okvqa_accuracies("pony tails ", rows)[STEMMED] == 0.0  # the rule says "pony tail"
    assert okvqa_accuracies("pony tails ", rows, stems=stems)[STEMMED] == 1.0


@pytest.mark.parametrize("text", ["Horses.", "horses!", "(horses)", "the Horses,", "horses"])
def test_words_are_stemmed_as_normalising_leaves_them(text: str) -> None:
    rows: list[dict[str, object]] = [{"answer": "horse", "answer_id": number} for number in range(9)]
    rows.append({"answer": "pony", "answer_id": 9})
    assert okvqa_accuracies(text, rows)[STEMMED] == 1.0


def test_parted_words_are_stemmed_each() -> None:
    assert okvqa_accuracies("riding/horses", annotated("ride horse")) == {STEMMED: 1.0, UNSTEMMED: 0.0}
    stems = {"pony tails": "poni tail"}
    assert okvqa_accuracies("Pony tails.", annotated("poni tail"), stems=stems)[STEMMED] == 1.0


def test_where_annotators_agree_nothing_is_normalised() -> None:
    rows: list[dict[str, object]] = [{"answer": "two", "answer_id": number} for number in range(10)]
    assert okvqa_accuracies("Two", rows)[STEMMED] == 1.0
    assert okvqa_accuracies("two.", rows)[STEMMED] == 0.0
