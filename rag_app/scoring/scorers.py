"""The metrics that `score` offers: what each reads of a question's rows, and how its number is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag_app.metrics.bem import Bem
from rag_app.metrics.direct import aokvqa_accuracy, aokvqa_choice, gqa_exact_match
from rag_app.metrics.evqa import EVQA, EVQA_EXACT, MULTI_ANSWER, evqa_exact_match, split_references
from rag_app.metrics.infoseek import infoseek_match, infoseek_numerical_match
from rag_app.metrics.judging import EXACT, VQA, VQA_ANSWERS
from rag_app.metrics.okvqa import okvqa_accuracies
from rag_app.metrics.retrieval import pseudo_recall_at_k, recall_at_k
from rag_app.metrics.vqa import exact_match, vqa_accuracy_of_annotations
from rag_app.scoring.columns import (
    ANSWER_KEYS,
    annotations_of,
    ids_of,
    passage_ids_of,
    prediction_of,
    text_of,
    texts_of,
)
from rag_app.scoring.rows import Row

__all__ = ["AT_K", "SCORERS", "Context", "answer_keys", "scored_names"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What scorers need beside the rows.

    Attributes:
        cutoffs: the K of Recall@K and Pseudo-Recall@K.
        passages: texts by passage id, for Pseudo-Recall.
        bem: the model of answer equivalence; None scores E-VQA by exact match alone.
        stems: OK-VQA's own stems of whole answers.
    """

    cutoffs: Sequence[int] = (1, 5, 10)
    passages: Mapping[str, str] = field(default_factory=dict)
    bem: Bem | None = None
    stems: Mapping[str, str] = field(default_factory=dict)


Scorer = Callable[[Row, Row, Context], dict[str, float] | None]
"""(reference, prediction, context) -> score by metric name; None where the official scorer leaves the question out."""


AT_K = ("recall", "pseudo-recall")
"""The metrics that have a K."""
_OWN_KEYS = {
    "aokvqa": ("direct_answer", "answer", "prediction"),
    "aokvqa-mc": ("multiple_choice", "answer", "prediction"),
}


def _vqa(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    return {"VQA accuracy": vqa_accuracy_of_annotations(prediction_of(prediction), annotations_of(reference))}


def _okvqa(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    return okvqa_accuracies(prediction_of(prediction), annotations_of(reference), stems=context.stems)


def _aokvqa(reference: Row, prediction: Row, context: Context) -> dict[str, float] | None:
    if reference.get("difficult_direct_answer") is True:
        return None
    answers = texts_of(reference, "direct_answers", "answers")
    given = prediction_of(prediction, *_OWN_KEYS["aokvqa"])
    return {"A-OKVQA direct answer": aokvqa_accuracy(given, answers)}


def _aokvqa_choice(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    choices, correct = texts_of(reference, "choices"), reference.get("correct_choice_idx")
    if not isinstance(correct, int) or isinstance(correct, bool):
        raise TypeError("'correct_choice_idx' must be a whole number")
    given = prediction_of(prediction, *_OWN_KEYS["aokvqa-mc"])
    return {"A-OKVQA multiple choice": aokvqa_choice(given, choices, correct)}


def _evqa(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    answers = [
        part for text in texts_of(reference, "answers", "answer", "reference") for part in split_references(text)
    ]
    given, question_type = prediction_of(prediction), reference.get("question_type") or ""
    exact = evqa_exact_match(given, answers, question_type=question_type)
    scores = {EVQA_EXACT: exact}
    if context.bem is not None:
        question = text_of(reference, "question")
        lists = question_type == MULTI_ANSWER
        scores[EVQA] = exact or context.bem.match(question, answers, given, lists=lists)
    return scores


def _infoseek(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    question_type = text_of(reference, "question_type").lower()
    given, wanted = prediction_of(prediction), reference.get("answer_eval", reference.get("answers"))
    if question_type == "numerical":
        return {"InfoSeek numerical": infoseek_numerical_match(given, _numerical_range(wanted))}
    aliases = texts_of({"answer_eval": wanted}, "answer_eval")
    return {"InfoSeek time" if question_type == "time" else "InfoSeek string": infoseek_match(given, aliases)}


def _numerical_range(wanted: Any) -> list[float] | float:  # noqa: ANN401 - any JSON value
    """The range in `answer_eval`: `[{"range": [low, high]}]`, `{"range": ...}`, `[low, high]` or one number."""
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        wanted = wanted[0]
    if isinstance(wanted, dict):
        wanted = wanted.get("range")
    if isinstance(wanted, list) and len(wanted) >= 2:
        return [_number(wanted[0]), _number(wanted[1])]
    if isinstance(wanted, list) and len(wanted) == 1:
        wanted = wanted[0]
    if wanted is None or isinstance(wanted, list | dict | bool):
        raise ValueError("'answer_eval' of a numerical question must hold a range")
    return _number(wanted)


def _number(value: Any) -> float:  # noqa: ANN401 - any JSON value
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"'answer_eval' of a numerical question: {error}") from error


def _gqa(reference: Row, prediction: Row, context: Context) -> dict[str, float] | None:
    if reference.get("isBalanced") is False:  # GQA's scorer counts the balanced questions alone
        return None
    return {"GQA exact match": gqa_exact_match(prediction_of(prediction), text_of(reference, "answer"))}


def _exact_match(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    if isinstance(reference.get("answers"), list):
        answers = [str(annotation["answer"]) for annotation in annotations_of(reference)]
    else:
        answers = texts_of(reference, "answer")
    return {"Exact match": exact_match(prediction_of(prediction), answers)}


def _calibration(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    """The one score that tells whether the answer is right; the confidence is read where all rows are at hand."""
    annotations, given = annotations_of(reference), prediction_of(prediction)
    if len(annotations) >= VQA_ANSWERS:
        return {VQA: vqa_accuracy_of_annotations(given, annotations)}
    return {EXACT: exact_match(given, [str(one["answer"]) for one in annotations])}


def _recall(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    positives, found = ids_of(reference, "pos_passage_ids", "pos_item_ids"), passage_ids_of(prediction)
    return {f"Recall@{k}": recall_at_k(found, positives, k=k) for k in context.cutoffs}


def _pseudo_recall(reference: Row, prediction: Row, context: Context) -> dict[str, float]:
    answers = [str(annotation["answer"]) for annotation in annotations_of(reference)]
    if "passages" in prediction:
        contents = texts_of(prediction, "passages")
    else:
        contents = [_content(passage_id, context) for passage_id in passage_ids_of(prediction)]
    return {f"Pseudo-Recall@{k}": pseudo_recall_at_k(contents, answers, k=k) for k in context.cutoffs}


def _content(passage_id: str, context: Context) -> str:
    if passage_id not in context.passages:
        raise ValueError(f"there is no text of passage {passage_id!r}; give the passages with --passages")
    return context.passages[passage_id]


SCORERS: dict[str, Scorer] = {
    "vqa": _vqa,
    "okvqa": _okvqa,
    "aokvqa": _aokvqa,
    "aokvqa-mc": _aokvqa_choice,
    "evqa": _evqa,
    "infoseek": _infoseek,
    "gqa": _gqa,
    "exact-match": _exact_match,
    "recall": _recall,
    "pseudo-recall": _pseudo_recall,
    "calibration": _calibration,
}


def answer_keys(metric: str) -> tuple[str, ...]:
    """The names of the column that holds a prediction's answer, by precedence; none where passages are scored."""
    return () if metric in AT_K else _OWN_KEYS.get(metric, ANSWER_KEYS)


def scored_names(metric: str, reference: Row, context: Context) -> list[str]:
    """The names under which a question without a prediction scores 0."""
    blank: Row = {"answer": "", "passage_ids": [], "passages": [], "confidence": 0.0}
    return list(SCORERS[metric](reference, blank, context) or {})
