from __future__ import annotations

from dataclasses import replace

from knowledge_bases.records import Passage, ScoredPassage
from rag_app.answers import Answer, AnswerCandidate
from ui.rendering import answer_card, candidates_table, error_card, passage_cards, timing_line

HOSTILE = "<script>alert(1)</script>&\"'"


def answer(*, abstained: bool = False, text: str = HOSTILE, complete: bool = True) -> Answer:
    passage = Passage(passage_id="p", title=HOSTILE, text=f"before {HOSTILE} after <b>", source=HOSTILE)
    return Answer(
        text=text,
        confidence=0.42,
        passages=(ScoredPassage(passage=passage, score=12.345),),
        candidates=(AnswerCandidate(passage_id="p", answer=HOSTILE, passage_probability=0.8, answer_probability=0.5),),
        timings_ms={"encode": 12.4, HOSTILE: 1.0},
        abstained=abstained,
        complete=complete,
    )


def test_every_text_is_escaped() -> None:
    one = answer()
    for html in (
        answer_card(one),
        answer_card(answer(abstained=True)),
        passage_cards(one),
        timing_line(one.timings_ms),
        error_card(HOSTILE),
    ):
        assert "<script" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;" in html


def test_the_answer_is_marked_in_its_passage() -> None:
    html = passage_cards(answer())
    assert "before <mark>&lt;script&gt;" in html
    assert "</mark> after &lt;b&gt;" in html
    assert "score 12.35" in html or "score 12.34" in html


def test_confidence_and_state() -> None:
    assert "42 % sure" in answer_card(answer())
    assert "99 % sure" in answer_card(replace(answer(), confidence=0.998))
    assert 'data-state="answered"' in answer_card(answer())
    assert 'data-state="waiting"' in answer_card(answer(complete=False))


def test_what_is_written_so_far_is_shown() -> None:
    card = answer_card(answer(text="It is <b>", complete=False))
    assert '<div class="answer-text">It is &lt;b&gt;<span' in card
    assert "% sure" not in card
    assert "Reading them" in answer_card(answer(text="", complete=False))


def test_candidates_are_shown_as_they_come() -> None:
    one = answer(complete=False)
    assert "the best answer of 1 of 1 passage" in answer_card(one)
    assert "40.0 %</span>" in passage_cards(one)
    assert "the best answer" not in answer_card(replace(one, candidates=()))
    bare = tuple(replace(candidate, passage_id=None) for candidate in one.candidates)
    assert "the best answer" not in answer_card(replace(one, candidates=bare))


def test_a_passage_says_which_of_several_knowledge_bases_it_is_from() -> None:
    one = answer()
    assert "passage-base" not in passage_cards(one)
    both = replace(one, passages=tuple(replace(found, knowledge_base="notes<b>") for found in one.passages))
    assert '<span class="passage-base">notes&lt;b&gt;</span>' in passage_cards(both)
    assert " (notes&lt;b&gt;)</td>" in candidates_table(both)


def test_abstaining_is_said_kindly() -> None:
    html = answer_card(answer(abstained=True, text="Lima"))
    assert "I am not sure enough to answer." in html
    assert "My best guess is “Lima”." in html
    assert "My best guess" not in answer_card(answer(abstained=True, text=""))


def test_the_meter_of_a_guess_does_not_say_sure() -> None:
    guess = replace(answer(abstained=True, text="Lima"), threshold=0.8703)
    assert "42 % for this guess; answers are given from 87 % on" in answer_card(guess)
    assert 'aria-valuenow="86"' in answer_card(replace(guess, confidence=0.8702))  # never as high as what is needed
    assert "<span>42 % for this guess</span>" in answer_card(replace(guess, threshold=0.0))
    for html in (answer_card(guess), answer_card(replace(guess, threshold=0.0)), answer_card(replace(guess, text=""))):
        assert "% sure" not in html
    assert "meter" not in answer_card(replace(guess, text=""))
    assert "87 % sure" in answer_card(replace(guess, confidence=0.8704, abstained=False))


def test_an_abstention_says_so_in_json() -> None:
    assert answer().as_json()["abstained"] is False
    told = answer(abstained=True).as_json()
    assert (told["answer"], told["abstained"]) == ("", True)


def test_no_passages_no_cards() -> None:
    assert passage_cards(Answer(text="x", confidence=0.5)) == ""


def test_whole_words_are_marked_first() -> None:
    passage = Passage(passage_id="p", text="Paid in kroner. The krone is the currency.")
    one = Answer(
        text="krone",
        confidence=1.0,
        passages=(ScoredPassage(passage=passage, score=1.0),),
        candidates=(AnswerCandidate(passage_id="p", answer="krone", passage_probability=1.0, answer_probability=1.0),),
    )
    assert "kroner. The <mark>krone</mark> is" in passage_cards(one)
