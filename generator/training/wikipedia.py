"""Reading exercises from any passages: a number, date or name is taken out of a sentence, which becomes a question.

The questions are made by rules and read clumsily; they share words with the passage, but cover what the invented
worlds do not: real sentences about everything.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from generator.training.examples import ReadingExample

__all__ = ["cloze_examples", "read_texts"]

_SENTENCE = re.compile(r"[^.!?]+(?:\.\d[^.!?]*)*[.!?]")
_WORD = re.compile(r"\w[\w'’-]*")
_YEAR = re.compile(r"\b(?:(?:\d{1,2} )?(?:January|February|March|April|May|June|July|August|September|October|November|December) (?:\d{1,2}, )?)?(?:1[0-9]{3}|20[0-2][0-9])\b")  # noqa: E501  # fmt: skip
_NUMBER = re.compile(r"\b\d[\d,.]*\d\b|\b\d\b")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w’'-]+(?: (?:of |de |the )?[A-Z][\w’'-]+)*")
_PLACE_BEFORE = re.compile(r"\b(?:in|at|from|near|to)\s*(?:the\s*)?$")
_STOP = frozenset(
    ("a", "an", "the", "of", "in", "on", "at", "to", "for", "by", "with", "and", "or", "was", "were", "is", "are", "be")
) | frozenset(("been", "had", "has", "have", "it", "its", "that", "this", "from", "as"))
_UNANSWERABLE_SHARE = 0.25


def read_texts(path: Path) -> list[str]:
    """The `text` of every row of a JSONL file, gzipped or not.

    Raises:
        ValueError: the file cannot be read, or a row is no JSON object with a text; its number is named.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    texts: list[str] = []
    try:
        with opener(path, "rt", encoding="utf-8") as rows:
            for number, row in enumerate(rows, start=1):
                try:
                    texts.append(json.loads(row)["text"])
                except (json.JSONDecodeError, KeyError, TypeError) as error:
                    raise ValueError(f"{path}, row {number}: expected a JSON object with a text") from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(f"cannot read passages from {path} ({error}); give JSON lines with a text") from error
    return texts


def _gap(sentence: str, rng: random.Random) -> tuple[int, int, str] | None:
    """What to take out of the sentence: start, end, and the question word that asks for it."""
    gaps: list[tuple[int, int, str]] = []
    for match in _YEAR.finditer(sentence):
        gaps.append((*match.span(), rng.choice(["when", "when", "in what year", "what date", "since when"])))
    dated = [(start, end) for start, end, _ in gaps]
    for match in _NUMBER.finditer(sentence):
        if not any(start <= match.start() < end for start, end in dated):
            gaps.append((*match.span(), rng.choice(["how many", "how many", "how much", "what number"])))
    for match in _NAME.finditer(sentence):
        if any(start < match.end() and match.start() < end for start, end in dated):
            continue
        place = _PLACE_BEFORE.search(sentence[: match.start()]) is not None
        words = ["where", "where", "what place", "which"] if place else ["who", "what", "which", "what name", "who"]
        gaps.append((*match.span(), rng.choice(words)))
    return rng.choice(gaps) if gaps else None


def _ask(sentence: str, start: int, end: int, question_word: str, rng: random.Random) -> str:
    before = _WORD.findall(sentence[:start])[-rng.randint(2, 9) :]
    after = _WORD.findall(sentence[end:])[: rng.randint(2, 9)]
    style = rng.random()
    keep = 0.9 if style < 0.4 else 0.6
    words = [word for word in before + after if rng.random() < keep]
    if style > 0.75:
        words = [word for word in words if word.lower() not in _STOP]
    body = " ".join(after[:1] + before + after[1:]) if question_word.startswith("how") else " ".join(words)
    text = f"{question_word} {body}" if rng.random() < 0.85 else f"{body} {question_word}"
    return (text.lower() if rng.random() < 0.5 else text) + rng.choice(["?", "?", ""])


def cloze_examples(texts: list[str], seed: int, *, max_words: int = 110) -> Iterator[ReadingExample]:
    """Endless exercises, always the same for a seed.

    Args:
        texts: real passages; neighbours in the list may be of one article.
        seed: of everything drawn.
        max_words: longer passages are cut, around the sentence that is asked for.
    """
    rng = random.Random(seed)
    while True:
        number = rng.randrange(len(texts))
        text = texts[number]
        sentences = [match for match in _SENTENCE.finditer(text) if 8 <= len(match[0].split()) <= 45]
        if not sentences:
            continue
        chosen = rng.choice(sentences)
        gap = _gap(chosen[0], rng)
        if gap is None:
            continue
        start, end, question_word = gap
        question = _ask(chosen[0], start, end, question_word, rng)
        if rng.random() < _UNANSWERABLE_SHARE:
            without = text[: chosen.start()] + text[chosen.end() :]
            other = texts[(number + rng.choice([1, -1])) % len(texts)]
            context = " ".join((without if rng.random() < 0.6 else other).split()[:max_words])
            if chosen[0][start:end] not in context:
                yield ReadingExample(question=question, context=context, spans=(), kind="cloze/no answer")
            continue
        first = max(0, chosen.start() - rng.randint(0, 350))
        context = text[first : chosen.end() + rng.randint(0, 350)]
        at = chosen.start() - first
        yield ReadingExample(question=question, context=context, spans=((at + start, at + end),), kind="cloze")
