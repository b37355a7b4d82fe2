"""Questions made of sentences: something is taken out of a sentence and asked for.

Such questions lack the grammar of real ones, which a retriever hardly misses (as Lewis et al. found for reading,
arXiv:1906.04980): they have an interrogative of the right kind, part of the sentence's words, and not the answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

__all__ = ["question_about"]

_ASKING = {
    "year": ("when", "in what year", "what year", "when did", "when was", "since when"),
    "number": ("how many", "how much", "what number of", "how long", "what percentage of", "how old", "how large"),
    "name": (
        "who",
        "what",
        "which",
        "where",
        "what is the name of",
        "who was",
        "where is",
        "whose",
        "what did",
        "to whom",
    ),
    "other": (
        "what",
        "which",
        "how",
        "why",
        "what kind of",
        "what type of",
        "what is",
        "what was",
        "how did",
        "what does",
    ),
}
_YEAR = re.compile(r"(1\d|20)\d\d\W*")
_EDGES = "\"'“”‘’()[]{},.;:!?–—-"
_MARKS = re.compile(r"\[\d+\]|[\"“”()\[\]{};]")  # of citations, and others
_LONGEST_NAME, _LONGEST_OTHER = 4, 3  # words of an answer
_ENDINGS = ("ing", "ed", "es", "s", "ly")


def question_about(sentence: str, rng: random.Random) -> str:
    """A question, more or less, whose answer is some words of the sentence.

    Args:
        sentence: one sentence, of any length.
        rng: all randomness.
    """
    words = _MARKS.sub("", sentence).split()
    start, end, kind = _choose_answer(words, rng)
    asking = rng.choice(_ASKING[kind]).split()
    before = words[max(0, start - rng.randint(2, 12)) : start]
    after = words[end : end + rng.randint(2, 12)]
    kept_before, kept_after = _thin_out(before, rng), _thin_out(after, rng)
    order = rng.random()
    if order < 0.4:
        parts = [*asking, *kept_after, *kept_before]
    elif order < 0.75:
        parts = [*asking, *kept_before, *kept_after]
    else:
        parts = [*kept_before, *asking, *kept_after]
    text = " ".join(parts).strip(_EDGES)
    return (text.lower() if rng.random() < 0.4 else text[:1].upper() + text[1:]) + ("?" if rng.random() < 0.8 else "")


def _choose_answer(words: Sequence[str], rng: random.Random) -> tuple[int, int, str]:
    """First word, one past the last, and the kind of what to ask for; names and numbers rather than anything else."""
    found = [(place, place + 1, kind) for place, word in enumerate(words) if (kind := _number_kind(word))]
    place = 1
    while place < len(words):  # the first word has a capital anyway
        end = place
        while end < len(words) and end - place < _LONGEST_NAME and words[end][:1].isupper():
            end += 1
            if words[end - 1][-1:] in ",.;:":
                break
        if end > place:
            found.append((place, end, "name"))
        place = max(end, place + 1)
    if found and rng.random() < 0.75:
        return rng.choice(found)
    start = rng.randrange(len(words)) if words else 0
    return start, min(len(words), start + rng.randint(1, _LONGEST_OTHER)), "other"


def _number_kind(word: str) -> str:
    """`year`, `number`, or "" for a word."""
    if _YEAR.fullmatch(word):
        return "year"
    return "number" if word[:1].isdigit() else ""


def _thin_out(words: Sequence[str], rng: random.Random) -> list[str]:
    """The words that a person might say as well; some are left out, some have another ending."""
    share = rng.uniform(0.0, 0.35)
    return [_reform(word.strip(_EDGES), rng) for word in words if rng.random() >= share]


def _reform(word: str, rng: random.Random) -> str:
    if len(word) < 5 or not word.islower() or rng.random() > 0.12:
        return word
    ending = next((ending for ending in _ENDINGS if word.endswith(ending)), "")
    return word.removesuffix(ending) if ending else word + "s"
