"""Scores of answers and of retrieval, each as its official scorer computes it, under its exact name.

| module | what is scored |
|---|---|
| `vqa` | VQA accuracy, and exact match after the same normalisation |
| `okvqa` | OK-VQA accuracy, stemmed and unstemmed |
| `direct` | A-OKVQA direct answers and multiple choice, GQA |
| `evqa`, `bem` | E-VQA exact match; with a BEM checkpoint, E-VQA |
| `infoseek` | InfoSeek: String, Time and Numerical questions, harmonic mean |
| `retrieval` | Recall@K, Pseudo-Recall@K |
| `calibration` | ECE, coverage and accuracy of abstaining |
"""

from rag_app.metrics.bem import load_bem
from rag_app.metrics.calibration import abstaining, expected_calibration_error, reliability
from rag_app.metrics.direct import aokvqa_accuracy, aokvqa_choice, gqa_exact_match
from rag_app.metrics.evqa import evqa_exact_match
from rag_app.metrics.infoseek import harmonic_mean, infoseek_match, infoseek_numerical_match
from rag_app.metrics.okvqa import okvqa_accuracies
from rag_app.metrics.questions import mean_scores, score_question
from rag_app.metrics.retrieval import pseudo_recall_at_k, recall_at_k
from rag_app.metrics.vqa import exact_match, normalise_answer, vqa_accuracy

__all__ = [
    "abstaining",
    "aokvqa_accuracy",
    "aokvqa_choice",
    "evqa_exact_match",
    "exact_match",
    "expected_calibration_error",
    "gqa_exact_match",
    "harmonic_mean",
    "infoseek_match",
    "infoseek_numerical_match",
    "load_bem",
    "mean_scores",
    "normalise_answer",
    "okvqa_accuracies",
    "pseudo_recall_at_k",
    "recall_at_k",
    "reliability",
    "score_question",
    "vqa_accuracy",
]
