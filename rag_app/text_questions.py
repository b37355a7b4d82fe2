"""Questions without a picture, to fit and to measure how sure answers to them may be."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Sequence

from knowledge_bases.records import VisualQuestion, VqaExample
from knowledge_bases.world_flags.country import load_countries
from knowledge_bases.world_flags.unanswerable import load_off_topic, load_unanswerable

__all__ = ["about_nothing", "named_questions", "nonsense", "unanswerable_text_questions"]

_MEANT = re.compile(
    r"\b(?:this|that|the) (?:country|nation|place|land|state)\b(?! (?:whose|that|which|with))", re.IGNORECASE
)
_UNASKED = "country_name"  # a question that names the country does not ask which it is
_MARKUP = ("<b>{}</b>", "<img src={}>", "SELECT {} FROM t;", "{{{}}}", "{}.exe", "https://{}.example", "#{} @{}")


def named_questions(examples: Sequence[VqaExample], rng: random.Random) -> list[tuple[VisualQuestion, tuple[str, ...]]]:
    """Questions about World Flags' pictures with the country's name instead, and their accepted answers."""
    countries = load_countries()
    named = []
    for example in examples:
        if example.question_type != _UNASKED and example.pos_passage_ids:
            name = countries[example.pos_passage_ids[0].removeprefix("wf-").rsplit("-", 1)[0]].name
            named.append((VisualQuestion(text=_with_name(example.question, name, rng)), example.answers))
    return named


def unanswerable_text_questions(split: str, n: int, rng: random.Random) -> list[VisualQuestion]:
    """Questions about countries, by name, that no passage of World Flags answers."""
    texts, names = load_unanswerable(split), [facts.name for facts in load_countries().values()]
    return [VisualQuestion(text=_with_name(rng.choice(texts), rng.choice(names), rng)) for _ in range(n)]


def about_nothing(split: str, rng: random.Random) -> list[VisualQuestion]:
    """Questions that have nothing to do with a country, and half as many texts without a meaning."""
    texts = load_off_topic(split)
    return [VisualQuestion(text=text) for text in (*texts, *(nonsense(rng) for _ in range(len(texts) // 2)))]


def nonsense(rng: random.Random) -> str:
    """Letters struck at random, markup, numbers or signs."""
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(rng.randint(1, 5))]
    kind = rng.random()
    if kind < 0.2:
        return rng.choice(_MARKUP).format(*words, *words)
    if kind < 0.35:
        return "".join(rng.choices(string.digits + string.punctuation, k=rng.randint(1, 12)))
    return " ".join(words) + rng.choice(("", "", "?"))


def _with_name(question: str, name: str, rng: random.Random) -> str:
    text, replaced = _MEANT.subn(name, question, count=1)
    if replaced:
        return text
    return f"{question} ({name})" if rng.random() < 0.5 else f"{name}: {question}"
