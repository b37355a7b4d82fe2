from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]

from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.evaluation.comparing import Difference
from rag_app.evaluation.files import CASES, read_report
from rag_app.evaluation.kept import open_split, open_uploaded
from rag_app.evaluation.worst import read_cases
from rag_app.knowledge import find_knowledge
from tests.tiny import save_picture
from ui.app import build_app
from ui.evaluate_actions import UPLOADED, evaluated, preselected, why_nothing_alone
from ui.evaluate_tab import compared, offered
from ui.evaluation_view import comparison_table, failure_gallery, results
from ui.stopping import Stopped, Stops

HOSTILE = "<script>alert(1)</script>"
BOTH = ["with retrieval", "without retrieval"]


def save_questions(folder: Path, count: int = 3) -> tuple[Path, Path]:
    """Questions, of which one has no picture, and their pictures."""
    rows = [
        {
            "question_id": str(number),
            "image": f"{number}.png",
            "question": f"{HOSTILE} {number}?",
            "answers": ["Lima"] * 10,
            "question_type": HOSTILE if number else "plain",
        }
        for number in range(count + 1)
    ]
    questions, archive = folder / "asked.jsonl", folder / "pictures.zip"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with zipfile.ZipFile(archive, "w") as zipped:
        for number in range(count):
            zipped.write(save_picture(folder / f"{number}.png"), f"{number}.png")
    return questions, archive


def test_both_ways_are_run_shown_and_compared(application: Application, tmp_path: Path) -> None:
    dataset = open_uploaded(*save_questions(tmp_path), application.var)
    told: list[tuple[float, str]] = []
    found, bare = evaluated(application, dataset, "asked", BOTH, 0, lambda share, text: told.append((share, text)))
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert told[-1][0] == 1
    assert "with retrieval: 3 of 3 questions, " in told[-1][1]
    reports = [read_report(one.folder) for one in (found, bare)]
    assert [report["manifest"]["mode"] for report in reports] == BOTH
    html = results([(mode, report) for mode, report in zip(BOTH, reports, strict=True)])
    assert "3 of 4 rows scored, 1 could not be asked" in html
    assert html.count("<svg") == 3
    assert "<td>VQA accuracy</td>" in html
    assert "<script" not in html
    gallery = failure_gallery(read_cases(found.folder / CASES))
    assert "<script" not in gallery
    assert gallery.count("<article") + reports[0]["verdicts"].get("right", 0) == 3
    table = compared(application.var, bare.folder.name, found.folder.name)
    assert "95 % interval" in table
    assert "<script" not in table
    assert "Choose two" in compared(application.var, None, found.folder.name)
    assert "Choose two" in compared(application.var, "../..", found.folder.name)


def test_stopping(application: Application, tmp_path: Path) -> None:
    dataset = open_uploaded(*save_questions(tmp_path), application.var)
    stops = Stops()
    begun = stops.begin("me")
    stops.ask("another")

    def tell(share: float, text: str) -> None:
        stops.check("me", begun)
        if "3 of 3" in text:
            stops.ask("me")

    with pytest.raises(Stopped):
        evaluated(application, dataset, "stopping", BOTH, 0, tell)
    begun = stops.begin("me")
    assert len(evaluated(application, dataset, "stopping", BOTH[1:], 0, lambda share, text: None)) == 1
    with pytest.raises(InputError, match="choose with retrieval, without retrieval, or both"):
        evaluated(application, dataset, "stopping", [], 0, tell)


def test_numbers_are_shown_as_they_are() -> None:
    one = Difference(first=0.25, second=0.5, difference=0.25, low=-0.01, high=0.4, questions=1234)
    table = comparison_table({HOSTILE: one}, (HOSTILE, "B"))
    assert "<script" not in table
    for shown in ("25.00 %", "50.00 %", "+25.00", "-1.00 to +40.00", "1,234"):
        assert f"<td>{shown}</td>" in table


def test_evaluating_over_http(address: str, tmp_path: Path) -> None:
    client = Client(address, verbose=False, download_files=str(tmp_path))
    questions, archive = (handle_file(str(path)) for path in save_questions(tmp_path, count=2))
    reports = client.predict(questions, archive, ["with retrieval"], 2, api_name="/evaluate")
    assert set(reports) == {"with retrieval"}
    assert reports["with retrieval"]["counts"]["questions"] == 2
    with pytest.raises(AppError, match="upload a zip with the pictures that it names"):
        client.predict(questions, api_name="/evaluate")
    with pytest.raises(AppError, match="Passages has no questions called 'nope'"):
        client.predict(split="nope", api_name="/evaluate")
    with pytest.raises(AppError, match="There is no file of questions"):
        client.predict(api_name="/evaluate")


def test_evaluations_are_compared_over_http(address: str, tmp_path: Path) -> None:
    client = Client(address, verbose=False, download_files=str(tmp_path))
    questions, archive = (handle_file(str(path)) for path in save_questions(tmp_path, count=2))
    for mode in BOTH:
        client.predict(questions, archive, [mode], 2, api_name="/evaluate")
    bare, found = client.predict(api_name="/evaluations")["evaluations"][:2]
    assert (", without retrieval, " in bare["title"], ", with retrieval, " in found["title"]) == (True, True)
    seen = client.predict(bare["name"], found["name"], api_name="/compare_evaluations")
    assert (seen["first"], seen["second"]) == (bare["title"], found["title"])
    metric = seen["metrics"]["VQA accuracy"]
    assert metric["difference"] == pytest.approx(metric["second"] - metric["first"])
    assert metric["low"] <= metric["difference"] <= metric["high"]
    assert metric["questions"] == 2
    for other in ("gone", "../..", ""):
        with pytest.raises(AppError, match="Choose two evaluations of the same questions"):
            client.predict(found["name"], other, api_name="/compare_evaluations")
    one, pictures = (handle_file(str(path)) for path in save_questions(tmp_path, count=1))
    client.predict(one, pictures, ["with retrieval"], 1, api_name="/evaluate")
    (last, *_) = client.predict(api_name="/evaluations")["evaluations"]
    with pytest.raises(AppError, match="These are evaluations of different datasets; choose two of the same one"):
        client.predict(found["name"], last["name"], api_name="/compare_evaluations")


def test_questions_of_any_knowledge_base_in_use_are_offered(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = find_knowledge("world_flags", application.var)
    both = replace(application, knowledge=(*application.knowledge, flags))
    monkeypatch.setattr("ui.evaluate_tab.why_no_pictures", lambda split: "" if split == "test" else "not rendered")
    choices, chosen = offered(both)
    texts = {value: text for text, value in choices}
    assert texts["test"] == "test"
    assert texts["validation"] == "validation (its pictures are not rendered)"
    assert chosen == "test"
    assert offered(both, "validation")[1] == "validation"
    assert offered(application, "validation") == ([(UPLOADED, UPLOADED)], UPLOADED)
    with pytest.raises(InputError, match="the pictures of test are not rendered yet; render them with `python"):
        open_split(["passages", "world_flags"], "test", pictures=tmp_path)
    with pytest.raises(InputError, match="passages has no questions called 'test'; choose a file"):
        open_split(["passages"], "test")


def test_what_is_offered_is_looked_up_when_the_tab_is_opened(application: Application) -> None:
    mine = replace(application)
    page = build_app(mine)
    (tab,) = [block._id for block in page.blocks.values() if isinstance(block, gr.Tab) and block.label == "Evaluate"]
    (opened,) = [fn for fn in page.fns.values() if (tab, "select") in fn.targets]
    assert opened.fn is not None
    assert [value for _, value in opened.fn(UPLOADED)[0].choices] == [UPLOADED]
    mine.knowledge = (*mine.knowledge, find_knowledge("world_flags", mine.var))
    assert "test" in [value for _, value in opened.fn(UPLOADED)[0].choices]


def test_pictures_that_are_missing_are_asked_for_as_the_page_can_take_them(
    application: Application, tmp_path: Path
) -> None:
    questions, archive = save_questions(tmp_path, count=2)
    with pytest.raises(InputError) as fault:
        open_uploaded(questions, None, application.var)
    assert "--images" not in str(fault.value)
    assert str(tmp_path) not in str(fault.value)
    assert "there is no picture at 0.png" in str(fault.value)
    assert str(fault.value).endswith("; upload a zip with the pictures that it names")
    (one,) = open_uploaded(questions, archive, application.var).problems
    assert one.problem == "there is no picture at 2.png; put it into the zip of pictures"


def test_titles_name_the_knowledge_base(application: Application, tmp_path: Path) -> None:
    dataset = open_uploaded(*save_questions(tmp_path), application.var)
    (found,) = evaluated(application, dataset, "named", ["with retrieval"], 0, lambda share, text: None)
    assert ", with retrieval, passages, tiny, 3 questions" in found.title


class Generating:
    """A pipeline whose generator has answers of its own."""

    needs_passages = False


def test_only_modes_with_answers_are_chosen_beforehand(application: Application) -> None:
    assert preselected(application) == ["with retrieval"]
    assert "the reader of tiny takes its answers from passages" in why_nothing_alone(application, BOTH)
    assert why_nothing_alone(application, ["with retrieval"]) == ""
    generating = replace(application, pipeline=Generating())  # type: ignore[arg-type]
    assert preselected(generating) == ["without retrieval", "with retrieval"]
    assert why_nothing_alone(generating, BOTH) == ""
    (modes,) = [one for one in build_app(application).blocks.values() if isinstance(one, gr.CheckboxGroup)]
    assert modes.value == ["with retrieval"]


def test_both_modes_are_packed_and_one_is_deleted(application: Application, tmp_path: Path) -> None:
    questions, archive = save_questions(tmp_path, count=2)
    page = build_app(application)
    parts = {getattr(block, "elem_id", None): block for block in page.blocks.values()}
    (run,) = [fn for fn in page.fns.values() if parts["evaluate-download"] in fn.outputs]
    (gone,) = [fn for fn in page.fns.values() if (parts["delete"]._id, "click") in fn.targets]
    assert run.fn is not None
    assert gone.fn is not None
    me, tell = SimpleNamespace(session_hash="me"), lambda share, desc: None
    shown, _, download, *lists = run.fn(UPLOADED, str(questions), str(archive), BOTH, 1, 0, me, tell)
    assert "Without retrieval every answer is wrong here" in shown
    with zipfile.ZipFile(download.value["path"]) as packed:
        folders = {name.partition("/")[0] for name in packed.namelist()}
    assert len(folders) == 2
    assert len(lists) == 3
    name = next(one for one in folders if "nothing" in one)
    told, *lists = gone.fn(name)
    assert "Deleted: asked, without retrieval" in told
    assert all(name not in [value for _, value in one.choices] for one in lists)
    assert "No evaluation" in gone.fn(name)[0]


def test_splits_and_deleting_over_http(address: str, application: Application, tmp_path: Path) -> None:
    client = Client(address, verbose=False, download_files=str(tmp_path))
    questions, archive = (handle_file(str(path)) for path in save_questions(tmp_path, count=2))
    with pytest.raises(AppError, match="Passages has no questions called 'test'; choose a file"):
        client.predict(None, split="test", api_name="/evaluate")
    with pytest.raises(AppError, match="Both a file and a split were given; give one of them"):
        client.predict(questions, archive, split="test", api_name="/evaluate")
    with pytest.raises(AppError, match="There is no file of questions"):
        client.predict(None, api_name="/evaluate")
    assert set(client.predict(questions, archive, api_name="/evaluate")) == {"with retrieval"}
    (last, *_) = client.predict(api_name="/evaluations")["evaluations"]
    assert client.predict(last["name"], api_name="/delete_evaluation") == {"deleted": last["name"]}
    with pytest.raises(AppError, match="is kept; choose one that is"):
        client.predict(last["name"], api_name="/delete_evaluation")
