"""Encyclopedic-VQA's exact match as the official scorer computes it (google-research, encyclopedic_vqa).

Where exact match fails the official score asks BEM, a model of answer equivalence; see `rag_app.metrics.bem`. What is
computed here alone is called "E-VQA exact match", never "E-VQA".
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from rag_app.metrics.words import NUMBER_WORDS, REPAIRED_CONTRACTIONS

__all__ = ["EVQA", "EVQA_EXACT", "MULTI_ANSWER", "evqa_exact_match", "normalise_evqa_answer", "split_references"]

EVQA, EVQA_EXACT = "E-VQA", "E-VQA exact match"  # with BEM, and without
MULTI_ANSWER = "multi_answer"
_LEAST_OVERLAP = 0.5
_MODEL_PREFIX = "<extra_id_0> "
_DELETED = str.maketrans("", "", string.punctuation + "‘’´`_")
_FILLERS = re.compile(r"\b(the answer is|a|an|the)\b")
_WORDS = NUMBER_WORDS | {"entailment": "yes", "true": "yes", "contradiction": "no", "false": "no"}


def normalise_evqa_answer(text: str) -> str:
    """Case, punctuation (deleted, never spaced), articles, number words, truth words and contractions."""
    flat = text.lower().replace("\n", " ").replace("\t", " ").strip()
    if flat.startswith(_MODEL_PREFIX):
        flat = flat.replace(_MODEL_PREFIX, "")  # everywhere, as the scorer does
    words = _FILLERS.sub(" ", flat.translate(_DELETED)).split()
    known = [_WORDS.get(word, word) for word in words]
    return " ".join(REPAIRED_CONTRACTIONS.get(word, word) for word in known)


def split_references(answer: str) -> list[str]:
    """The alternative references of an `answer` column, which `|` separates.

    Empty ones are dropped: the scorer leaves the splitting to its caller, and stops at an empty reference.
    """
    return [reference for reference in answer.split("|") if reference.strip()]


def evqa_exact_match(prediction: str, references: Sequence[str], *, question_type: str = "") -> float:
    """E-VQA exact match: 1 when the prediction matches any reference, else 0.

    Args:
        prediction: the answer to score.
        references: alternatives, any of which is right; see `split_references`.
        question_type: for `multi_answer`, a reference is a list joined by `&&`, the prediction is split at commas and
            at " and " and " & ", and an intersection over union of 0.5 is a match.

    Raises:
        ValueError: there is no reference, or nothing is left of one after normalisation.
    """
    if not references:
        raise ValueError("there are no answers to score against")
    matches = _lists_match if question_type == MULTI_ANSWER else _equal
    return float(max(matches(prediction, reference) for reference in references))


def _equal(prediction: str, reference: str) -> bool:
    wanted = normalise_evqa_answer(reference)
    if not wanted:
        raise ValueError(f"nothing is left of the reference {reference!r} after normalisation")
    return normalise_evqa_answer(prediction) == wanted


def _lists_match(prediction: str, reference: str) -> bool:
    wanted = _normalised_set(reference.split("&&"))
    if not wanted:
        raise ValueError(f"nothing is left of the reference {reference!r} after normalisation")
    given = _normalised_set(prediction.replace(" and ", ",").replace(" & ", ",").split(","))
    return len(wanted & given) / len(wanted | given) >= _LEAST_OVERLAP


def _normalised_set(parts: Sequence[str]) -> set[str]:
    return {normalised for normalised in map(normalise_evqa_answer, parts) if normalised}
