"""Answers and passages as HTML. Every text that comes from elsewhere is escaped here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from knowledge_bases.records import ScoredPassage
from rag_app.answers import Answer, AnswerCandidate
from rag_app.counting import number_of

__all__ = [
    "answer_card",
    "candidates_table",
    "error_card",
    "passage_cards",
    "passage_name",
    "percent_sure",
    "recognised_line",
    "timing_line",
    "waiting_card",
]

_STAGES = {
    "picture": "opening the picture",
    "encode": "encoding the question",
    "search": "searching",
    "fetch": "fetching",
    "read": "reading",
    "choose": "choosing",
    "total": "in all",
}


def waiting_card(text: str = "Your answer will appear here.") -> str:
    """The card before there is an answer."""
    return f'<div class="card answer-card waiting" data-state="waiting">{escape(text)}</div>'


def error_card(message: str) -> str:
    """The card of a picture or question that cannot be used."""
    return (
        '<div class="card answer-card unsure" data-state="error" role="alert">'
        f'<div class="answer-note">{escape(message)}</div></div>'
    )


def answer_card(answer: Answer) -> str:
    """The answer with its confidence; where the pipeline abstained, its guess as a guess."""
    if not answer.complete:
        return _writing_card(answer) if answer.text else waiting_card("Passages found. Reading them …")
    if not answer.abstained:
        return (
            '<div class="card answer-card" data-state="answered" aria-live="polite">'
            f'<div class="answer-text">{escape(answer.text)}</div>{_meter(answer)}</div>'
        )
    guess = f"My best guess is “{escape(answer.text)}”. " if answer.text else ""
    more = "The passages below are what I found; the answer may be among them." if answer.passages else ""
    return (
        '<div class="card answer-card unsure" data-state="abstained" aria-live="polite">'
        '<div class="answer-text">I am not sure enough to answer.</div>'
        f'<div class="answer-note">{guess}{more}</div>{_meter(answer) if answer.text else ""}</div>'
    )


def _writing_card(answer: Answer) -> str:
    """What is written so far, or the best of the candidates so far. It is not read out: it changes often."""
    read = sum(one.passage_id is not None for one in answer.candidates)
    told = f"the best answer of {read} of {number_of(len(answer.passages), 'passage')}" if read else ""
    note = f'<div class="answer-note">{told}</div>' if told else ""
    return (
        '<div class="card answer-card waiting" data-state="waiting"><div class="answer-text">'
        f'{escape(answer.text)}<span class="cursor" aria-hidden="true"></span></div>{note}</div>'
    )


def recognised_line(entity: str, *, corrected: bool = False, pictured: bool = True) -> str:
    """What the picture shows, or the question is about; an empty line of the same height where nothing tells."""
    words = "You said" if corrected else "Recognised" if pictured else "About"
    told = f"{words}: <b>{escape(entity)}</b>" if entity else ""
    return f'<div class="recognised">{told}</div>'


def percent_sure(confidence: float) -> int:
    """A confidence in percent, at most 99: no answer is quite sure."""
    return min(99, round(100 * max(0.0, confidence)))


def _meter(answer: Answer) -> str:
    percent, told = percent_sure(answer.confidence), "sure"
    if answer.abstained:
        percent, told = _percent_of_guess(answer)
    return (
        f'<div class="meter"><span>{percent} % {told}</span><div class="meter-bar" role="meter" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}" aria-label="Confidence">'
        f'<div class="meter-fill" style="width:{percent}%"></div></div></div>'
    )


def _percent_of_guess(answer: Answer) -> tuple[int, str]:
    """How sure a guess is, rounded to less than what an answer needs; and the words that say so."""
    percent, needed = percent_sure(answer.confidence), percent_sure(answer.threshold)
    if not needed:
        return percent, "for this guess"
    return min(percent, needed - 1), f"for this guess; answers are given from {needed} % on"


def passage_cards(answer: Answer, pictures: Mapping[str, str] = MappingProxyType({})) -> str:
    """The passages, best first, each with the answer that was read from it.

    Args:
        answer: with its passages.
        pictures: of passages, by their ids, as data addresses.
    """
    if not answer.passages:
        return ""
    read = {candidate.passage_id: candidate for candidate in answer.candidates if candidate.answer}
    cards = [
        _passage_card(rank, found, read.get(found.passage.passage_id), pictures.get(found.passage.passage_id, ""))
        for rank, found in enumerate(answer.passages, start=1)
    ]
    return f'<div class="evidence-head">Where this comes from</div>{"".join(cards)}'


def _passage_card(rank: int, found: ScoredPassage, read: AnswerCandidate | None, picture: str) -> str:
    passage = found.passage
    shown = f'<img class="passage-picture" src="{escape(picture)}" alt="Picture of this passage">' if picture else ""
    base = f'<span class="passage-base">{escape(found.knowledge_base)}</span>' if found.knowledge_base else ""
    footer = _read_here(read) if read else ""
    text = _marked(passage.text, read.answer if read else "")
    source = f'<div class="passage-read">source: {escape(passage.source)}</div>' if passage.source else ""
    return (
        '<div class="card passage"><div class="passage-head">'
        f'<span class="passage-rank">{rank}</span>'
        f'<span class="passage-title">{escape(_title(found))}</span>{base}'
        f'<span class="passage-score" title="late-interaction score">score {found.score:.2f}</span></div>'
        f'{shown}<div class="passage-text">{text}</div>{footer}{source}</div>'
    )


def _read_here(read: AnswerCandidate) -> str:
    meaning = "p(passage | question) times p(answer | question, passage)"
    score = f'<span class="read-score" title="{meaning}">{_percent(read.score)}</span>'
    return f'<div class="passage-read">read here: {escape(read.answer)} {score}</div>'


def candidates_table(answer: Answer) -> str:
    """The answer read from each passage with its two probabilities; the one that won is marked."""
    titles = {found.passage.passage_id: passage_name(found) for found in answer.passages}
    lines = "".join(
        f'<tr class="{"winner" if one.chosen else ""}">'
        f"<td>{escape(titles.get(one.passage_id or '', 'no passage'))}</td>"
        f"<td>{escape(one.answer) or '<i>nothing</i>'}{' <b>✓ chosen</b>' if one.chosen else ''}</td>"
        f"<td>{_percent(one.passage_probability)}</td><td>{_percent(one.answer_probability)}</td>"
        f"<td>{_percent(one.score)}</td></tr>"
        for one in answer.candidates
    )
    return (
        '<figure class="card"><figcaption>Each passage proposes one answer. The product of both probabilities chooses '
        "(where a model spells answers, with the mean over an answer's tokens, so that long ones can win); an empty "
        'answer never wins over another.</figcaption><div class="scroll"><table class="candidates"><thead><tr>'
        "<th>passage</th>"
        "<th>answer read there</th><th>p(passage | question)</th><th>p(answer | question, passage)</th>"
        f"<th>product</th></tr></thead><tbody>{lines}</tbody></table></div></figure>"
    )


def passage_name(found: ScoredPassage) -> str:
    """A passage's title, or its id; with its knowledge base where there are several."""
    base = f" ({found.knowledge_base})" if found.knowledge_base else ""
    return f"{_title(found)}{base}"


def _title(found: ScoredPassage) -> str:
    return found.passage.title or found.passage.passage_id


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _marked(text: str, wanted: str) -> str:
    """The text, escaped, with the first occurrence of the wanted words marked; whole words come first."""
    if not wanted:
        return escape(text)
    words = re.escape(wanted)
    whole = re.search(rf"(?<!\w){words}(?!\w)", text, flags=re.IGNORECASE)
    match = whole or re.search(words, text, flags=re.IGNORECASE)
    if match is None:
        return escape(text)
    start, end = match.span()
    return f"{escape(text[:start])}<mark>{escape(text[start:end])}</mark>{escape(text[end:])}"


def timing_line(timings_ms: Mapping[str, float]) -> str:
    """How long each stage took."""
    parts = [f"{escape(_STAGES.get(stage, stage))} {taken:,.0f} ms" for stage, taken in timings_ms.items()]
    return f'<div class="timings">{" · ".join(parts)}</div>' if parts else ""
