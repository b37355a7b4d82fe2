"""What the page does to evaluate: plain functions that its tab and its endpoints share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag_app.assembly import Application
from rag_app.counting import number_of
from rag_app.datasets import Dataset
from rag_app.errors import InputError
from rag_app.evaluation.kept import Kept, evaluate_kept, list_kept, open_split, open_uploaded
from rag_app.evaluation.modes import Mode
from ui.stopping import Tell

__all__ = [
    "MODES",
    "MOST_QUESTIONS",
    "UPLOADED",
    "both_kept",
    "dataset_of",
    "evaluated",
    "names_in_use",
    "preselected",
    "why_nothing_alone",
]

UPLOADED = "my own file"
_ALONE = "without retrieval"
MODES = {_ALONE: Mode.NOTHING, "with retrieval": Mode.RETRIEVAL}  # in the order they are run
MOST_QUESTIONS = 50  # unless somebody asks for more


def preselected(application: Application) -> list[str]:
    """The modes to run unless somebody chooses others: those in which what answers now has answers."""
    return [mode for mode in MODES if mode != _ALONE or not application.pipeline.needs_passages]


def why_nothing_alone(application: Application, modes: Sequence[str]) -> str:
    """Why one of these modes has no right answers; empty where all may have some."""
    if _ALONE not in modes or not application.pipeline.needs_passages:
        return ""
    return (
        f"Without retrieval every answer is wrong here: the reader of {application.preset.name} takes its answers from "
        "passages. Choose a preset with a generator to compare."
    )


def evaluated(
    application: Application, dataset: Dataset, name: str, modes: list[str], most: int, tell: Tell
) -> list[Kept]:
    """Runs the evaluations of some modes one after the other.

    Args:
        application: what answers.
        dataset: what is asked.
        name: of the dataset.
        modes: of `with retrieval` and `without retrieval`.
        most: questions that are asked; 0 for all.
        tell: told how far all is, in [0, 1], and where; what it raises stops the evaluation.

    Raises:
        InputError: nothing is to be run, or an answer cannot be had.
    """
    wanted = [mode for title, mode in MODES.items() if title in modes]
    if not wanted:
        raise InputError("choose with retrieval, without retrieval, or both")
    done: list[Kept] = []
    for place, mode in enumerate(wanted):

        def progress(answered: int, given: int, note: str, place: int = place, mode: Mode = mode) -> None:
            share = (place + answered / max(1, given)) / len(wanted)
            tell(share, f"{mode.value}: {answered:,} of {number_of(given, 'question')}{', ' if note else ''}{note}")

        progress(0, 1, "")
        done.append(
            evaluate_kept(application, dataset, mode, name=name, most=most, beside=tuple(done), progress=progress)
        )
    return done[::-1]


def both_kept(var: Path, first: str | None, second: str | None) -> tuple[Kept, Kept]:
    """Two evaluations that are kept, by their names.

    Raises:
        InputError: there are not both.
    """
    kept = {one.folder.name: one for one in list_kept(var)}
    if first not in kept or second not in kept:
        raise InputError("choose two evaluations of the same questions")
    return kept[first], kept[second]


def dataset_of(application: Application, split: str, file: str | None, archive: str | None) -> tuple[str, Dataset]:
    """A name for people, and the questions: of a split, or of a file that was uploaded with its pictures.

    Raises:
        InputError: there is no such split, or the files cannot be used.
    """
    if split != UPLOADED:
        return split, open_split(names_in_use(application), split)
    if not file:
        raise InputError("there is no file of questions; upload one, with a question a line")
    return Path(file).stem, open_uploaded(Path(file), Path(archive) if archive else None, application.var)


def names_in_use(application: Application) -> list[str]:
    """The knowledge bases that are asked now."""
    return [one.name for one in application.knowledge]
