"""M2KR and FLMR's OK-VQA as evaluations: the questions, the K at which retrieval is scored, the headline numbers."""

from __future__ import annotations

from pathlib import Path

from knowledge_bases.records import VqaExample
from knowledge_bases.sources import Source
from rag_app.datasets import Dataset, collect_dataset
from rag_app.errors import reported_as_input
from rag_app.metrics.evqa import evqa_exact_match, split_references
from rag_app.metrics.okvqa import okvqa_accuracies
from rag_app.metrics.questions import Extra

__all__ = ["RECALL_AT", "extra_scores", "headlines", "open_m2kr"]

RECALL_AT = (1, 5, 10, 20, 50, 100, 500)

_HEADLINES = {"WIT": ("Recall@10",), "IGLUE": ("Recall@1",), "LLaVA": ("Recall@1",)}
_PSEUDO = ("Infoseek", "EVQA", "OKVQA")


def open_m2kr(source: Source, *, images: Path | None) -> Dataset:
    """The questions of a dataset of M2KR or FLMR.

    Args:
        source: which dataset.
        images: what the questions' `img_path` is relative to; the working folder when not given.

    Raises:
        InputError: it cannot be read, or no question can be asked.
    """
    with reported_as_input():
        return collect_dataset(source.slug, source.examples(), images=images or Path())


def headlines(name: str) -> list[str]:
    """The metrics that the published table shows of a dataset, the first one first."""
    return [*_HEADLINES.get(name, ("Recall@5",)), *(["Pseudo-Recall@5"] if name in _PSEUDO else [])]


def extra_scores(name: str) -> Extra | None:
    """How the answers to a dataset are scored beside VQA accuracy; None where there is no rule of its own."""
    return {"EVQA": _evqa, "OKVQA": _okvqa}.get(name)


def _evqa(example: VqaExample, answer: str) -> dict[str, float]:
    references = [part for text in example.answers for part in split_references(text)]
    try:
        return {"E-VQA exact match": evqa_exact_match(answer, references, question_type=example.question_type)}
    except ValueError:  # the official scorer refuses a question without reference as well
        return {}


def _okvqa(example: VqaExample, answer: str) -> dict[str, float]:
    annotations = [{"answer": text, "answer_id": number} for number, text in enumerate(example.answers)]
    return okvqa_accuracies(answer, annotations) if annotations else {}
