"""VQA accuracy as the official scorer computes it (GT-Vision-Lab/VQA, vqaEval.py), its quirks included.

The quirks are kept on purpose, since published numbers have them: answers are normalised only where the annotators
disagree; punctuation is deleted or spaced depending on what surrounds it *anywhere* in the text; at most 32 full stops
are dropped, because a flag is passed where a count belongs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rag_app.metrics.words import NUMBER_WORDS, REPAIRED_CONTRACTIONS

__all__ = ["annotators_differ", "exact_match", "normalise_answer", "vqa_accuracy", "vqa_accuracy_of_annotations"]

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_FULL_STOPS = int(re.UNICODE)  # 32: the scorer passes the flag as `count`
_ARTICLES = frozenset({"a", "an", "the"})


def normalise_answer(text: str) -> str:
    """Punctuation, case, number words, articles and contractions, in the scorer's order."""
    return _normalise_words(_strip_punctuation(_flatten(text)))


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 when the prediction equals any answer after VQA normalisation, else 0."""
    return float(normalise_answer(prediction) in {normalise_answer(answer) for answer in answers})


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
    return vqa_accuracy_of_annotations(
        prediction,
        [{"answer": answer, "answer_id": i if answers_have_ids else None} for i, answer in enumerate(answers)],
    )


def vqa_accuracy_of_annotations(prediction: str, annotations: Sequence[Mapping[str, object]]) -> float:
    """`vqa_accuracy` over annotations as the VQA files hold them: an `answer` and, mostly, an `answer_id`.

    The scorer sets aside every annotation that equals the one in turn *as a whole*, after normalising its answer; so
    other columns, such as `answer_confidence`, tell annotations apart just as an id does.

    Raises:
        ValueError: there is no annotation.
        TypeError: one has no text as `answer`.
    """
    if not annotations:
        raise ValueError("there are no answers to score against")
    references = [_flatten(_answer_of(annotation)) for annotation in annotations]
    predicted = _flatten(prediction)
    if annotators_differ(annotations):
        references = [_normalise_words(_strip_punctuation(answer)) for answer in references]
        predicted = _normalise_words(_strip_punctuation(predicted))
    wholes = [{**annotation, "answer": answer} for annotation, answer in zip(annotations, references, strict=True)]
    scores = [min(1.0, sum(other["answer"] == predicted for other in wholes if other != whole) / 3) for whole in wholes]
    return sum(scores) / len(scores)


def annotators_differ(annotations: Sequence[Mapping[str, object]]) -> bool:
    """Whether there are two different answers, letter by letter: only then does the scorer normalise.

    Raises:
        TypeError: an annotation has no text as `answer`.
    """
    return len({_flatten(_answer_of(annotation)) for annotation in annotations}) > 1


def _answer_of(annotation: Mapping[str, object]) -> str:
    answer = annotation.get("answer")
    if not isinstance(answer, str):
        raise TypeError("an annotation has no text as 'answer'")
    return answer


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
    words = [NUMBER_WORDS.get(word, word) for word in text.lower().split()]
    return " ".join(REPAIRED_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
