"""VQA accuracy as the official scorer computes it (GT-Vision-Lab/VQA, vqaEval.py), its quirks included.

The quirks are kept on purpose, since published numbers have them: answers are normalised only where the annotators
disagree; punctuation is deleted or spaced depending on what surrounds it *anywhere* in the text; at most 32 full stops
are dropped, because a flag is passed where a count belongs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["normalise_answer", "vqa_accuracy"]

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_FULL_STOPS = int(re.UNICODE)  # 32: the scorer passes the flag as `count`
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0"} | {word: str(value) for value, word in enumerate(_NUMBER_WORDS)}
# Words whose apostrophes may be missing. A word with one apostrophe is recognised without it; a word with several is
# recognised when exactly one of them is missing.
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _misspellings(word: str) -> list[str]:
    return [word[:i] + word[i + 1 :] for i, character in enumerate(word) if character == "'"]


_REPAIRED = {wrong: word for word in _CONTRACTED.split() for wrong in _misspellings(word)} | {"somebody'd": "somebodyd"}


def normalise_answer(text: str) -> str:
    """Punctuation, case, number words, articles and contractions, in the scorer's order."""
    return _normalise_words(_strip_punctuation(_flatten(text)))


def vqa_accuracy(prediction: str, answers: Sequence[str], *, answers_have_ids: bool = True) -> float:
    """The official VQA accuracy of one prediction.

    Every annotator's answer is set aside in turn; the prediction scores min(1, matches among the others / 3); the mean
    over the annotators is returned.

    Args:
        prediction: the answer to score.
        answers: the annotators' answers, ten in the VQA format.
        answers_have_ids: False reproduces what the scorer does with annotations that carry no `answer_id`: setting
            one answer aside sets aside every equal one.

    Returns:
        Between 0 and 1.

    Raises:
        ValueError: there is no answer to compare with.
    """
    if not answers:
        raise ValueError("there are no answers to score against")
    references = [_flatten(answer) for answer in answers]
    predicted = _flatten(prediction)
    if len(set(references)) > 1:
        references = [_normalise_words(_strip_punctuation(answer)) for answer in references]
        predicted = _normalise_words(_strip_punctuation(predicted))
    scores = []
    for place, reference in enumerate(references):
        others = [
            other for i, other in enumerate(references) if (i != place if answers_have_ids else other != reference)
        ]
        scores.append(min(1.0, others.count(predicted) / 3))
    return sum(scores) / len(scores)


def _flatten(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _strip_punctuation(text: str) -> str:
    has_digit_comma = _DIGIT_COMMA_DIGIT.search(text) is not None
    stripped = text
    for mark in _PUNCTUATION:
        touches_space = mark + " " in text or " " + mark in text
        stripped = stripped.replace(mark, "" if touches_space or has_digit_comma else " ")
    return _FULL_STOP.sub("", stripped, count=_MOST_FULL_STOPS)


def _normalise_words(text: str) -> str:
    words = [_DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(_REPAIRED.get(word, word) for word in words if word not in _ARTICLES)
