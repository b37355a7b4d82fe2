from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.evaluation.files import PREDICTIONS, read_report
from rag_app.evaluation.kept import (
    compare_kept,
    delete_kept,
    evaluate_kept,
    list_kept,
    open_split,
    open_uploaded,
    pack,
    split_names,
    why_no_pictures,
)
from rag_app.evaluation.modes import Mode
from tests.tiny import save_picture

ANSWERS = ("Lima", "the crown", "Oslo", "the mark", "no", "Lima")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Six questions, and a zip with their pictures inside one folder."""
    rows = [
        {
            "question_id": str(number),
            "image": f"{number}.png",
            "question": f"what is it, number {number}?",
            "answers": [answer] * 10,
            "question_type": "even" if number % 2 == 0 else "odd",
        }
        for number, answer in enumerate(ANSWERS)
    ]
    questions = tmp_path / "six questions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for number in range(len(rows)):
            zipped.write(save_picture(tmp_path / f"{number}.png"), f"flags/{number}.png")
    return questions, archive


def test_with_and_without_retrieval_side_by_side(
    application: Application, files: tuple[Path, Path], tmp_path: Path
) -> None:
    dataset = open_uploaded(*files, application.var)
    assert len(dataset.examples) == 6
    assert dataset.problems == ()
    told: list[tuple[int, int]] = []
    bare = evaluate_kept(application, dataset, Mode.NOTHING, name="six questions", most=5)
    found = evaluate_kept(
        application,
        dataset,
        Mode.RETRIEVAL,
        name="six questions",
        most=5,
        beside=(bare,),
        progress=lambda done, given, note: told.append((done, given)),
    )
    assert told[-1] == (5, 5)
    assert [read_report(one.folder)["counts"]["questions"] for one in (bare, found)] == [5, 5]
    assert "Recall@" not in str(read_report(bare.folder)["metrics"])
    assert "Pseudo-Recall@" in str(read_report(found.folder)["metrics"])
    assert {one.folder for one in list_kept(application.var)} >= {bare.folder, found.folder}
    assert "six-questions, with retrieval, passages, tiny, 5 questions" in found.title
    differences = compare_kept(bare, found)
    assert differences["VQA accuracy"].questions == 5
    assert differences["VQA accuracy"].low <= differences["VQA accuracy"].difference
    with zipfile.ZipFile(pack(found, tmp_path / "packed")) as packed:
        names = {name.partition("/")[2] for name in packed.namelist()}
    assert {"predictions.jsonl", "report.json", "report.html", "scores.jsonl", "worst.jsonl"} <= names
    with zipfile.ZipFile(pack(found, tmp_path / "packed", bare)) as packed:
        both = set(packed.namelist())
    assert both >= {f"{one.folder.name}/{name}" for one in (found, bare) for name in ("report.json", "scores.jsonl")}
    assert delete_kept(application.var, bare.folder.name) == bare
    assert bare.folder not in {one.folder for one in list_kept(application.var)}
    assert found.folder.is_dir()
    for name in (bare.folder.name, "../..", "pictures"):
        with pytest.raises(InputError, match=r"no evaluation '.*' is kept; choose one that is"):
            delete_kept(application.var, name)


def test_a_stopped_evaluation_goes_on(application: Application, files: tuple[Path, Path]) -> None:
    dataset = open_uploaded(*files, application.var)

    def stop(done: int, given: int, note: str) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_kept(application, dataset, Mode.RETRIEVAL, name="stopped", progress=stop)
    (folder,) = (application.var / "evaluations").glob("stopped-*")
    assert len((folder / PREDICTIONS).read_text(encoding="utf-8").splitlines()) == 4  # a batch
    assert folder not in {one.folder for one in list_kept(application.var)}
    kept = evaluate_kept(application, dataset, Mode.RETRIEVAL, name="stopped")
    assert kept.folder == folder
    assert read_report(folder)["manifest"]["resumed_questions"] == 4


def test_other_pictures_are_another_evaluation_and_go_with_the_last_of_theirs(
    application: Application, files: tuple[Path, Path], tmp_path: Path
) -> None:
    questions, archive = files
    corrected = tmp_path / "corrected.zip"
    with zipfile.ZipFile(corrected, "w") as zipped:
        for number in range(len(ANSWERS)):
            zipped.write(save_picture(tmp_path / "blue.png", "blue"), f"{number}.png")
    sets = [open_uploaded(questions, one, application.var) for one in (archive, corrected)]
    before, after = (evaluate_kept(application, one, Mode.RETRIEVAL, name="corrected") for one in sets)
    assert before.folder != after.folder
    bare = evaluate_kept(application, sets[1], Mode.NOTHING, name="corrected")
    delete_kept(application.var, after.folder.name)
    assert all(folder.is_dir() for one in sets for folder in one.images)
    delete_kept(application.var, bare.folder.name)
    assert not any(folder.exists() for folder in sets[1].images)
    assert all(folder.is_dir() for folder in sets[0].images)


def test_uploads_that_cannot_be_used(application: Application, files: tuple[Path, Path], tmp_path: Path) -> None:
    questions, archive = files
    with pytest.raises(InputError, match=r"there is no picture at 0\.png .*; upload a zip with the pictures"):
        open_uploaded(questions, None, application.var)
    (tmp_path / "no.zip").write_bytes(b"PK but no archive")
    with pytest.raises(InputError, match=r"cannot be unpacked.*pack it again"):
        open_uploaded(questions, tmp_path / "no.zip", application.var)
    for name in ("../out.png", "/out.png", "C:\\out.png"):
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
            zipped.writestr(name, b"x")
        with pytest.raises(InputError, match="lies outside of it"):
            open_uploaded(questions, tmp_path / "evil.zip", application.var)
    assert list(application.var.rglob("out.png")) == []
    shutil.copy(archive, tmp_path / "again.zip")
    before = set((application.var / "evaluations" / "pictures").iterdir())
    open_uploaded(questions, tmp_path / "again.zip", application.var)
    open_uploaded(questions, archive, application.var)
    assert len(set((application.var / "evaluations" / "pictures").iterdir()) - before) <= 1  # unpacked once


def test_different_datasets_are_not_compared(application: Application, files: tuple[Path, Path]) -> None:
    questions, archive = files
    first = evaluate_kept(application, open_uploaded(questions, archive, application.var), Mode.RETRIEVAL, name="one")
    questions.write_text("".join(questions.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    second = evaluate_kept(application, open_uploaded(questions, archive, application.var), Mode.RETRIEVAL, name="two")
    with pytest.raises(InputError, match="different datasets"):
        compare_kept(first, second)


def test_splits_that_come_with_a_knowledge_base(tmp_path: Path) -> None:
    assert {"test", "validation", "own_words"} <= set(split_names("world_flags"))
    assert split_names("mine") == []
    assert "not rendered yet" in why_no_pictures("test", pictures=tmp_path)
    with pytest.raises(InputError, match="python -m rag_app train pictures"):
        open_split("world_flags", "test", pictures=tmp_path)
    with pytest.raises(InputError, match="has no questions called 'x'; choose"):
        open_split("world_flags", "x", pictures=tmp_path)
    (tmp_path / "test").mkdir()
    assert why_no_pictures("test", pictures=tmp_path) == ""
