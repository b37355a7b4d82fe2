"""M2KR and FLMR's OK-VQA as evaluations: the questions, the K at which retrieval is scored, the headline numbers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from knowledge_bases.m2kr import M2krSource
from knowledge_bases.records import VqaExample
from knowledge_bases.sources import Source
from rag_app.benchmarks.infoseek import places_of_oven
from rag_app.datasets import Dataset, GivenRow, RowProblem, collect_dataset
from rag_app.errors import one_line, reported_as_input
from rag_app.metrics.evqa import EVQA, EVQA_EXACT, evqa_exact_match, split_references
from rag_app.metrics.infoseek import infoseek_match
from rag_app.metrics.judging import EXACT
from rag_app.metrics.okvqa import STEMMED, UNSTEMMED, okvqa_accuracies
from rag_app.metrics.questions import Extra
from rag_app.picture_places import Folders, folders_of, place_of_picture

__all__ = ["INFOSEEK_STRING", "PICTURE_ONLY", "RECALL_AT", "extra_scores", "headlines", "open_m2kr"]

PICTURE_ONLY = ("WIT", "IGLUE", "KVQA", "CC")  # image-to-text retrieval in PreFLMR's table of tasks
RECALL_AT = (1, 5, 10, 20, 50, 100, 500)

_HEADLINES = {"WIT": ("Recall@10",), "IGLUE": ("Recall@1",), "LLaVA": ("Recall@1",)}
_PSEUDO = ("Infoseek", "EVQA", "OKVQA")
INFOSEEK_STRING = "InfoSeek string match"
_OF_ANSWERS = {"EVQA": (EVQA_EXACT,), "OKVQA": (STEMMED, UNSTEMMED), "Infoseek": (EXACT, INFOSEEK_STRING)}


def open_m2kr(source: Source, *, images: Folders | None) -> Dataset:
    """The questions of a dataset of M2KR or FLMR. A question without a text is a fault but in `PICTURE_ONLY`.

    Args:
        source: which dataset.
        images: what the questions' `img_path` is relative to, or several such folders; the working folder when not
            given. OVEN's pictures, which Infoseek asks about too, are found in its two-digit folders and without them.

    Raises:
        InputError: it cannot be read, or no question can be asked.
    """
    folders = folders_of(images or Path())
    with reported_as_input(), closing(_rows(source, folders)) as rows:
        return collect_dataset(source.slug, rows, images=folders)


def _rows(source: Source, folders: Sequence[Path]) -> Generator[GivenRow | RowProblem]:
    with closing(source.questions()) as rows:
        for line, row in enumerate(rows, start=1):
            question_id = row.get("question_id")
            is_number = isinstance(question_id, int) and not isinstance(question_id, bool)
            given: GivenRow | RowProblem
            try:
                example = _with_picture(_asking(source, source.example_of(row)), folders)
                given = GivenRow(line=line, example=example, integer_id=is_number)
            except (ValueError, TypeError, OSError) as error:  # OSError: a path that is too long
                known = str(question_id) if is_number or isinstance(question_id, str) else None
                given = RowProblem(line=line, question_id=known, problem=one_line(error))
            yield given


def _asking(source: Source, example: VqaExample) -> VqaExample:
    """The example, if its data set asks as it does; a ValueError says why not."""
    may_be_blank = isinstance(source, M2krSource) and source.name in PICTURE_ONLY
    if not (may_be_blank or example.question.strip()):
        raise ValueError(f"the question is empty; of M2KR only {', '.join(PICTURE_ONLY)} ask with a picture alone")
    return example


def _with_picture(example: VqaExample, folders: Sequence[Path]) -> VqaExample:
    """With the place of OVEN's picture, which OVEN names in a two-digit folder and Infoseek without one."""
    image = example.image
    if image is None or not image.stem.startswith("oven_"):
        return example
    return replace(example, image=place_of_picture((image, *places_of_oven(image.stem)), folders))


def headlines(name: str, *, bem: bool = False) -> list[str]:
    """The metrics that the published table of retrieval shows of a dataset, then those of its answers.

    Args:
        name: of the dataset.
        bem: whether E-VQA's answers are scored with BEM as well.
    """
    retrieval = [*_HEADLINES.get(name, ("Recall@5",)), *(["Pseudo-Recall@5"] if name in _PSEUDO else [])]
    return [*retrieval, *([EVQA] if bem else []), *_OF_ANSWERS.get(name, (EXACT,))]


def extra_scores(name: str) -> Extra | None:
    """How the answers to a dataset are scored beside VQA accuracy and Exact match; None where that is all.

    InfoSeek's own accuracy cannot be had: M2KR holds neither its ranges of numbers nor its splits. Its rule for texts,
    which the answers suffice for, is given under a name of its own, and Exact match decides.
    """
    return {"EVQA": _evqa, "OKVQA": _okvqa, "Infoseek": _infoseek_string}.get(name)


def _evqa(example: VqaExample, answer: str) -> dict[str, float]:
    references = [part for text in example.answers for part in split_references(text)]
    try:
        return {EVQA_EXACT: evqa_exact_match(answer, references, question_type=example.question_type)}
    except ValueError:  # the official scorer refuses a question without reference as well
        return {}


def _infoseek_string(example: VqaExample, answer: str) -> dict[str, float]:
    if not example.answers or example.question_type.lower() == "numerical":
        return {}
    return {INFOSEEK_STRING: infoseek_match(answer, example.answers)}


def _okvqa(example: VqaExample, answer: str) -> dict[str, float]:
    annotations = [{"answer": text, "answer_id": number} for number, text in enumerate(example.answers)]
    return okvqa_accuracies(answer, annotations) if annotations else {}
