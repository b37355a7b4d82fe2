"""Finds the benchmark that `--benchmark` names, and how it is scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from knowledge_bases.flmr import FlmrSource
from knowledge_bases.records import VqaExample
from knowledge_bases.sources import parse_source
from rag_app.benchmarks.aokvqa import SPLITS as AOKVQA_SPLITS
from rag_app.benchmarks.aokvqa import read_aokvqa
from rag_app.benchmarks.evqa import SPLITS as EVQA_SPLITS
from rag_app.benchmarks.evqa import read_evqa
from rag_app.benchmarks.infoseek import SPLITS as INFOSEEK_SPLITS
from rag_app.benchmarks.infoseek import read_infoseek
from rag_app.benchmarks.items import Item
from rag_app.benchmarks.m2kr import RECALL_AT, extra_scores, headlines, open_m2kr
from rag_app.benchmarks.okvqa import SPLITS as OKVQA_SPLITS
from rag_app.benchmarks.okvqa import read_okvqa
from rag_app.datasets import Dataset, GivenRow, RowProblem, collect_dataset
from rag_app.errors import InputError, one_line
from rag_app.metrics.evqa import EVQA, EVQA_EXACT
from rag_app.metrics.infoseek import infoseek_metric
from rag_app.metrics.judging import EXACT
from rag_app.metrics.okvqa import published_stems
from rag_app.metrics.questions import Extra
from rag_app.picture_places import Folders, folders_of, place_of_picture
from rag_app.scoring.columns import annotations_of
from rag_app.scoring.scorers import SCORERS, Context

__all__ = ["KINDS", "NOT_WITH_BEM", "Benchmark", "open_benchmark"]

NOT_WITH_BEM = "--bem belongs to --benchmark m2kr:EVQA and evqa:FOLDER; it is part of E-VQA's score alone"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is asked, and how it is scored.

    Attributes:
        dataset: the questions.
        settings: for the manifest; `headline` names the metrics to show first.
        knowledge_base: name of the knowledge base that holds its own passages; "" where it brings none.
        has_positives: whether it names the right passages.
        recall_at: at which ranks retrieval is scored; the usual ones when empty.
        extra: further scores of an answer.
        judge: the metric that tells whether an answer is right, where the benchmark has none of its own.
        black_picture: whether its protocol has questions without a picture searched with a black one.
        bem: checkpoint of BEM, which the answers are scored with as well; see `rag_app.benchmarks.equivalence`.
    """

    dataset: Dataset
    settings: Mapping[str, Any] = field(default_factory=dict)
    knowledge_base: str = ""
    has_positives: bool = True
    recall_at: tuple[int, ...] = ()
    extra: Extra | None = None
    judge: str = ""
    black_picture: bool = False
    bem: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Kind:
    splits: tuple[str, ...]  # the one that papers report first
    read: Callable[[Path, str, Sequence[Path]], Iterator[Item | RowProblem]]
    headline: tuple[str, ...]


KINDS = {
    "okvqa": _Kind(
        splits=OKVQA_SPLITS,
        read=lambda folder, split, images: read_okvqa(folder, split),
        headline=("OK-VQA accuracy (stemmed)", "OK-VQA accuracy (unstemmed)"),
    ),
    "aokvqa": _Kind(
        splits=AOKVQA_SPLITS,
        read=lambda folder, split, images: read_aokvqa(folder, split),
        headline=("A-OKVQA direct answer",),
    ),
    "evqa": _Kind(
        splits=EVQA_SPLITS,
        read=lambda folder, split, images: read_evqa(folder, split, images=images),
        headline=(EVQA_EXACT,),
    ),
    "infoseek": _Kind(
        splits=INFOSEEK_SPLITS,
        read=lambda folder, split, images: read_infoseek(folder, split),
        headline=("InfoSeek", infoseek_metric("val_unseen_question"), infoseek_metric("val_unseen_entity")),
    ),
}


def open_benchmark(
    name: str,
    *,
    split: str | None = None,
    folder: Path | None = None,
    images: Folders | None,
    bem: Path | None = None,
) -> Benchmark:
    """The benchmark of this name.

    Args:
        name: `m2kr:NAME[/SPLIT]`, `flmr:OKVQA[/SPLIT]`, or `KIND:FOLDER` with a kind of `KINDS` and the folder
            of its published files.
        split: of the latter; the one that papers report when not given.
        folder: of M2KR's parquet files.
        images: folder of the pictures, or several; for published files, their own folder when not given.
        bem: checkpoint of BEM, for the official score of Encyclopedic-VQA.

    Raises:
        InputError: it is unknown, cannot be read, holds no question that can be asked, or is not scored with BEM.
    """
    kind, _, place = name.partition(":")
    if kind not in KINDS:
        if split is not None:
            raise InputError(f"write the split as {name}/{split}; --split belongs to {', '.join(KINDS)}")
        return _m2kr(name, folder, images, bem)
    if folder is not None:
        raise InputError(f"--folder belongs to m2kr:NAME; write {kind}:FOLDER with the folder of the published files")
    if not place or not Path(place).is_dir():
        raise InputError(f"there is no folder {place!r}; write {kind}:FOLDER with the folder of the published files")
    return _published(kind, Path(place), split or KINDS[kind].splits[0], folders_of(images or Path(place)), bem)


def _check_scored_with_bem(scored: bool, bem: Path | None) -> None:
    if bem is not None and not scored:
        raise InputError(NOT_WITH_BEM)


def _m2kr(name: str, folder: Path | None, images: Folders | None, bem: Path | None) -> Benchmark:
    try:
        source = parse_source(name, folder)
    except ValueError as error:
        raise InputError(f"{error}; or one of {', '.join(f'{kind}:FOLDER' for kind in KINDS)}") from error
    flmr = isinstance(source, FlmrSource)
    data_set = "OKVQA" if isinstance(source, FlmrSource) else source.name
    _check_scored_with_bem(data_set == "EVQA", bem)
    headline = headlines(data_set, bem=bem is not None)
    return Benchmark(
        dataset=open_m2kr(source, images=images),
        settings={"benchmark": source.slug, "headline": headline[1:] if flmr else headline},  # no Recall
        knowledge_base=source.slug,
        has_positives=not flmr,
        recall_at=RECALL_AT,
        extra=extra_scores(data_set),
        judge=EXACT,  # of what has no metric of its own: the answers are spellings, not people asked
        black_picture=not flmr,
        bem=bem,
    )


def _published(kind: str, folder: Path, split: str, images: Sequence[Path], bem: Path | None) -> Benchmark:
    published = KINDS[kind]
    _check_scored_with_bem(kind == "evqa", bem)
    if split not in published.splits:
        raise InputError(f"{kind} has no split {split!r}; choose one of {', '.join(published.splits)}")
    headline = [*([EVQA] if bem is not None else []), *published.headline]
    rows = list(published.read(folder, split, images))
    return Benchmark(
        dataset=collect_dataset(f"{kind}-{split}", (_given(row, images) for row in rows), images=images),
        settings={"benchmark": f"{kind}-{split}", "headline": headline},
        has_positives=False,
        extra=_by_official_rules(kind, [row for row in rows if isinstance(row, Item)]),
        bem=bem,
    )


def _given(row: Item | RowProblem, images: Sequence[Path]) -> GivenRow | RowProblem:
    if isinstance(row, RowProblem):
        return row
    try:
        image = place_of_picture(row.pictures, images)
        return GivenRow(line=row.line, example=replace(row.example, image=image))
    except (OSError, ValueError) as error:  # a path that is too long, or leads out of the folder
        return RowProblem(line=row.line, question_id=row.example.question_id, problem=one_line(error))


def _by_official_rules(kind: str, items: list[Item]) -> Extra:
    references = {item.example.question_id: item.reference for item in items}
    annotations = (one for row in references.values() if kind == "okvqa" for one in annotations_of(row))
    context = Context(stems=published_stems(annotations))

    def score(example: VqaExample, answer: str) -> dict[str, float]:
        if not example.answers:
            return {}
        reference = references[example.question_id]
        try:
            scores = SCORERS[kind](reference, {"answer": answer}, context) or {}
        except (ValueError, TypeError):  # the official scorer refuses such a reference as well
            return {}
        if kind != "infoseek":
            return scores
        return {infoseek_metric(reference.get("data_split")): score for score in scores.values()}

    return score
