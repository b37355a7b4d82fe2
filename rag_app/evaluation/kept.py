"""Evaluations run from the page: kept under `var/evaluations`, one folder each, listed, compared and packed.

A folder's name says what was asked and how. The same evaluation started again goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from knowledge_bases.catalog import list_knowledge_bases
from rag_app.assembly import Application
from rag_app.config import CHECKOUT
from rag_app.counting import number_of
from rag_app.datasets import Dataset, scan_dataset
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.evaluation.comparing import Difference, compare
from rag_app.evaluation.files import REPORT, SCORES, SETTINGS, read_report
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.outcomes import read_outcomes
from rag_app.evaluation.run import Run, evaluate, prepare_output
from rag_app.evaluation.settings import compared
from rag_app.manifest import package_versions, settings_of

__all__ = [
    "PICTURES",
    "Kept",
    "compare_kept",
    "delete_kept",
    "evaluate_kept",
    "list_kept",
    "open_split",
    "open_uploaded",
    "pack",
    "split_names",
    "why_no_pictures",
]

PICTURES = CHECKOUT / "runs" / "pictures"  # where `make evaluate` renders them
_UPLOADED = "uploaded_pictures"  # the setting that names the folder of an archive's pictures
_MOST_UNPACKED = 4_000_000_000  # bytes of an uploaded archive
_MOST_FILES = 200_000
_ADVICE = "; give the pictures' folder with --images"  # which is for the command line; on the page:
_PUT_IN = "; put it into the zip of pictures"
_SAMPLES = 2_000  # draws of the bootstrap: enough for two digits, and quick

Progress = Callable[[int, int, str], None]
Report = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One evaluation that is finished: its folder, and a title for people."""

    folder: Path
    title: str


def split_names(knowledge_bases: Sequence[str]) -> list[str]:
    """The question files that come with any of these knowledge bases; none with those of your own."""
    return list(_splits(knowledge_bases))


def _splits(knowledge_bases: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for base in list_knowledge_bases():
        if base.name in knowledge_bases:
            found |= {split: path for split, path in base.questions.items() if split not in found}
    return found


def why_no_pictures(split: str, *, pictures: Path = PICTURES) -> str:
    """Why a split cannot be asked; "" when it can."""
    if (pictures / split).is_dir():
        return ""
    return (
        f"the pictures of {split} are not rendered yet; render them with `python -m rag_app train pictures --dataset "
        f"knowledge_bases/world_flags/questions/{split}.jsonl --output runs/pictures`"
    )


def open_split(knowledge_bases: Sequence[str], split: str, *, pictures: Path = PICTURES) -> Dataset:
    """The questions of a split that comes with one of some knowledge bases.

    Raises:
        InputError: there is no such split, or its pictures are not rendered.
    """
    questions = _splits(knowledge_bases)
    if split not in questions:
        raise InputError(
            f"{' and '.join(knowledge_bases)} has no questions called {split!r}; "
            f"choose {', '.join(questions) or 'a file'}"
        )
    if reason := why_no_pictures(split, pictures=pictures):
        raise InputError(reason)
    return scan_dataset(questions[split], images=pictures)


def open_uploaded(questions: Path, archive: Path | None, var: Path) -> Dataset:
    """Questions that were uploaded, with the pictures of a zip archive.

    Args:
        questions: JSON Lines, as `evaluate --dataset` reads them.
        archive: with the pictures at the paths that the questions name, perhaps all inside one folder.
        var: folder of derived data; the pictures are unpacked below it, once.

    Raises:
        InputError: one of them cannot be used.
    """
    if archive is None:
        try:
            return _best_scan(questions, [questions.parent / "no-pictures"])
        except InputError as error:
            message = one_line(error).replace(_PUT_IN, "")
            raise InputError(f"{message}; upload a zip with the pictures that it names") from error
    with reported_as_input("the zip of pictures", kinds=(OSError,)):
        digest = _digest(archive)
        folder = _uploads(var) / digest
        if not folder.is_dir():
            part = folder.with_name(f".{digest}.part")
            shutil.rmtree(part, ignore_errors=True)
            _unpack(archive, part)
            part.rename(folder)
    inner = [one for one in folder.iterdir() if one.name != "__MACOSX"]
    return _best_scan(questions, [folder, *(inner if len(inner) == 1 and inner[0].is_dir() else [])])


def _best_scan(questions: Path, folders: Sequence[Path]) -> Dataset:
    """The questions with the pictures of the folder that has most of them; an InputError where none has any."""
    scans, faults = [], []
    for images in folders:

        def said(message: str, images: Path = images) -> str:
            """A problem without paths of the server, with advice for the page."""
            return message.replace(f"{images}/", "").replace(str(questions), questions.name).replace(_ADVICE, _PUT_IN)

        try:
            scan = scan_dataset(questions, images=images)
            problems = tuple(replace(one, problem=said(one.problem)) for one in scan.problems)
            scans.append(replace(scan, problems=problems))
        except InputError as error:
            faults.append(InputError(said(one_line(error))))
    if not scans:
        raise faults[-1]
    return min(scans, key=lambda one: len(one.problems))


def _uploads(var: Path) -> Path:
    """Where the pictures of archives lie, a folder each, named by the archive's checksum."""
    return var / "evaluations" / "pictures"


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks plain files; an InputError for what is no archive, too large, or would leave the folder."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if len(members) > _MOST_FILES or sum(member.file_size for member in members) > _MOST_UNPACKED:
                raise InputError(
                    f"the zip of pictures holds more than {_MOST_FILES:,} files or {_MOST_UNPACKED / 1e9:.0f} GB; "
                    "evaluate it with `python -m rag_app evaluate`"
                )
            for member in members:
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
                    raise InputError(f"the zip of pictures names {member.filename!r}, which lies outside of it")
            for member in members:
                opened.extract(member, folder)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InputError(f"the zip of pictures cannot be unpacked: {one_line(error)}; pack it again") from error


def evaluate_kept(
    application: Application,
    dataset: Dataset,
    mode: Mode,
    *,
    name: str,
    most: int = 0,
    beside: tuple[Kept, ...] = (),
    progress: Progress | None = None,
) -> Kept:
    """Runs an evaluation into its folder, or carries on with one that was stopped.

    Args:
        application: what answers.
        dataset: what is asked.
        mode: with or without retrieval.
        name: of the dataset, for people.
        most: questions that are asked, from the start; 0 for all.
        beside: evaluations to show in the same tables and plots.
        progress: told (questions done, questions in all, the score so far); what it raises stops the evaluation after
            a batch that is kept.

    Raises:
        InputError: an answer cannot be had, or the folder cannot be written.
    """
    application = application.snapshot()
    if most:
        dataset = replace(dataset, examples=dataset.examples[:most])
    if mode is Mode.NOTHING:
        application = replace(application, pipeline=application.pipeline.without_retrieval(), store=None)
    settings = {**settings_of(application), "mode": mode.value, "questions_at_most": most}
    uploads = _uploads(application.var)
    if inside := [folder for folder in dataset.images if folder.is_relative_to(uploads)]:
        settings[_UPLOADED] = inside[0].relative_to(uploads).parts[0]  # other pictures are another evaluation
    shown = json.dumps({**compared(settings), "dataset": dataset.sha256}, sort_keys=True)
    mark = hashlib.sha256(shown.encode()).hexdigest()[:8]
    stem = "".join(letter if letter.isalnum() else "-" for letter in name)[:40]
    output = application.var / "evaluations" / f"{stem}-{mode.name.lower()}-{mark}"
    prepare_output(output)
    run = Run(
        pipeline=application.pipeline,
        dataset=dataset,
        mode=mode,
        store=application.store,
        settings=settings,
        versions=package_versions(),
        batch_size=application.preset.batch_size,
    )
    others = [(one.title, read_report(one.folder)) for one in beside]
    return _kept(output, evaluate(run, output, beside=others, progress=progress))


def list_kept(var: Path) -> list[Kept]:
    """The finished evaluations, the latest first; folders without a sound report are passed over."""
    reports = sorted((var / "evaluations").glob(f"*/{REPORT}"), key=lambda path: -path.stat().st_mtime)
    kept = []
    for path in reports:
        try:
            kept.append(_kept(path.parent, read_report(path.parent)))
        except InputError:
            continue
    return kept


def _kept(folder: Path, report: Mapping[str, Any]) -> Kept:
    manifest = report["manifest"]
    preset = manifest.get("preset", {})
    parts = [
        folder.name.rsplit("-", 2)[0],
        str(manifest.get("mode", "")),
        str(manifest.get("knowledge_base", "")).replace(",", " and "),
        str(preset.get("name", "")) if isinstance(preset, dict) else str(preset),
        number_of(report["counts"]["questions"], "question"),
        str(manifest.get("finished", ""))[:16].replace("T", " "),
    ]
    return Kept(folder=folder, title=", ".join(part for part in parts if part))


def compare_kept(first: Kept, second: Kept) -> dict[str, Difference]:
    """Each metric's difference with its interval, over the questions that both have scored.

    Raises:
        InputError: they are evaluations of different datasets, or have nothing in common.
    """
    hashes = [read_report(one.folder)["manifest"].get("dataset_sha256") for one in (first, second)]
    if hashes[0] != hashes[1]:
        raise InputError("these are evaluations of different datasets; choose two of the same one")
    outcomes = [read_outcomes(one.folder / SCORES) for one in (first, second)]
    return compare(outcomes[0], outcomes[1], samples=_SAMPLES)


def delete_kept(var: Path, name: str | None) -> Kept:
    """Deletes an evaluation that is kept, by its folder's name, and uploaded pictures that no other was asked with.

    Raises:
        InputError: there is none of this name, or it cannot be deleted.
    """
    kept = next((one for one in list_kept(var) if one.folder.name == name), None)
    if kept is None:
        raise InputError(f"no evaluation {name!r} is kept; choose one that is" if name else "choose an evaluation")
    with reported_as_input("the evaluation cannot be deleted", kinds=(OSError,)):
        pictures = _uploaded_pictures(kept.folder)
        shutil.rmtree(kept.folder)
        others = {_uploaded_pictures(settings.parent) for settings in kept.folder.parent.glob(f"*/{SETTINGS}")}
        if pictures and pictures not in others:
            shutil.rmtree(_uploads(var) / pictures, ignore_errors=True)
    return kept


def _uploaded_pictures(folder: Path) -> str:
    """The folder of pictures that an evaluation, finished or not, was asked with; "" where they were not uploaded."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    name = settings.get(_UPLOADED) if isinstance(settings, dict) else None
    return name if isinstance(name, str) and name.isalnum() else ""


def pack(kept: Kept, folder: Path, *more: Kept) -> Path:
    """A zip archive, in another folder, of everything in the folders of evaluations, a folder each."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (f"{kept.folder.name}.zip" if not more else "evaluations.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in (kept, *more):
            files = sorted(path for path in one.folder.iterdir() if path.is_file() and not path.name.startswith("."))
            for file in files:
                archive.write(file, f"{one.folder.name}/{file.name}")
    return target
