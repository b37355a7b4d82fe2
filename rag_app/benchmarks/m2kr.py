"""M2KR and FLMR's OK-VQA as evaluations: the questions, the K at which retrieval is scored, the headline numbers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from knowledge_bases.records import VqaExample
from knowledge_bases.sources import Source
from rag_app.datasets import Dataset, GivenRow, RowProblem, collect_dataset
from rag_app.errors import one_line, reported_as_input
from rag_app.metrics.evqa import evqa_exact_match, split_references
from rag_app.metrics.infoseek import infoseek_match
from rag_app.metrics.judging import EXACT
from rag_app.metrics.okvqa import STEMMED, UNSTEMMED, okvqa_accuracies
from rag_app.metrics.questions import Extra

__all__ = ["INFOSEEK_STRING", "RECALL_AT", "extra_scores", "headlines", "open_m2kr"]

RECALL_AT = (1, 5, 10, 20, 50, 100, 500)

_HEADLINES = {"WIT": ("Recall@10",), "IGLUE": ("Recall@1",), "LLaVA": ("Recall@1",)}
_PSEUDO = ("Infoseek", "EVQA", "OKVQA")
INFOSEEK_STRING = "InfoSeek string match"
_OF_ANSWERS = {"EVQA": ("E-VQA exact match",), "OKVQA": (STEMMED, UNSTEMMED), "Infoseek": (EXACT, INFOSEEK_STRING)}


def open_m2kr(source: Source, *, images: Path | None) -> Dataset:
    """The questions of a dataset of M2KR or FLMR.

    Args:
        source: which dataset.
        images: what the questions' `img_path` is relative to; the working folder when not given.

    Raises:
        InputError: it cannot be read, or no question can be asked.
    """
    with reported_as_input(), closing(_rows(source)) as rows:
        return collect_dataset(source.slug, rows, images=images or Path())


def _rows(source: Source) -> Generator[GivenRow | RowProblem]:
    with closing(source.questions()) as rows:
        for line, row in enumerate(rows, start=1):
            question_id = row.get("question_id")
            is_number = isinstance(question_id, int) and not isinstance(question_id, bool)
            given: GivenRow | RowProblem
            try:
                given = GivenRow(line=line, example=source.example_of(row), integer_id=is_number)
            except (ValueError, TypeError) as error:
                known = str(question_id) if is_number or isinstance(question_id, str) else None
                given = RowProblem(line=line, question_id=known, problem=one_line(error))
            yield given


def headlines(name: str) -> list[str]:
    """The metrics that the published table of retrieval shows of a dataset, then those of its answers."""
    retrieval = [*_HEADLINES.get(name, ("Recall@5",)), *(["Pseudo-Recall@5"] if name in _PSEUDO else [])]
    return [*retrieval, *_OF_ANSWERS.get(name, (EXACT,))]


def extra_scores(name: str) -> Extra | None:
    """How the answers to a dataset are scored beside VQA accuracy and Exact match; None where that is all.

    InfoSeek's own accuracy cannot be had: M2KR holds neither its ranges of numbers nor its splits. Its rule for texts,
    which the answers suffice for, is given under a name of its own, and Exact match decides.
    """
    return {"EVQA": _evqa, "OKVQA": _okvqa, "Infoseek": _infoseek_string}.get(name)


def _evqa(example: VqaExample, answer: str) -> dict[str, float]:
    references = [part for text in example.answers for part in split_references(text)]
    try:
        return {"E-VQA exact match": evqa_exact_match(answer, references, question_type=example.question_type)}
    except ValueError:  # the official scorer refuses a question without reference as well
        return {}


def _infoseek_string(example: VqaExample, answer: str) -> dict[str, float]:
    if not example.answers or example.question_type.lower() == "numerical":
        return {}
    return {INFOSEEK_STRING: infoseek_match(answer, example.answers)}


def _okvqa(example: VqaExample, answer: str) -> dict[str, float]:
    annotations = [{"answer": text, "answer_id": number} for number, text in enumerate(example.answers)]
    return okvqa_accuracies(answer, annotations) if annotations else {}
