"""The endpoints, over HTTP."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]

from rag_app.assembly import Application
from rag_app.config import preset_names
from rag_app.feedback import FeedbackStore, feedback_path
from tests.tiny import PASSAGES, save_picture
from ui.answering import answered
from ui.api_call import api_call


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture
def picture(tmp_path: Path) -> dict[str, object]:
    uploaded: dict[str, object] = handle_file(str(save_picture(tmp_path / "red.png")))
    return uploaded


def test_ask_answers_in_json(client: Client, picture: dict[str, object]) -> None:
    answer = client.predict(picture, "what is the capital?", api_name="/ask")
    assert len(answer["passages"]) == 3
    assert 0 <= answer["confidence"] <= 1
    assert (answer["preset"], answer["knowledge_base"]) == ("tiny", "passages")
    assert answer["recognised"]
    answer = client.predict(None, "what is the capital?", "Find the people", 5, api_name="/ask")
    assert len(answer["passages"]) == 5


def test_a_picture_may_be_left_out(client: Client) -> None:
    answer = client.predict(question="what is the capital?", api_name="/ask")
    assert len(answer["passages"]) == 3
    best = answer["passages"][0]["passage_id"]
    why = client.predict(question="what is the capital?", passage_id=best, api_name="/explain")
    assert {row["kind"] for row in why["rows"]}.isdisjoint({"picture", "patch"})
    said = client.predict(question="what is the capital?", answer="Oslo", right=True, api_name="/feedback")
    assert said["feedback_id"]
    named = client.view_api(return_format="dict")["named_endpoints"]
    required = {
        name: [one["parameter_name"] for one in named[name]["parameters"] if not one["parameter_has_default"]]
        for name in ("/ask", "/explain", "/entities", "/correct", "/feedback", "/evaluate")
    }
    assert required == {
        "/ask": ["question"],
        "/explain": ["question", "passage_id"],
        "/entities": ["question"],
        "/correct": ["question", "entity"],
        "/feedback": ["question", "answer"],
        "/evaluate": [],
    }


def test_explain_adds_up(client: Client, picture: dict[str, object]) -> None:
    (best, *_) = client.predict(picture, "what is the capital?", api_name="/ask")["passages"]
    why = client.predict(picture, "what is the capital?", "", best["passage_id"], api_name="/explain")
    assert why["score"] == pytest.approx(best["score"], abs=0.05)
    assert sum(row["cosine"] for row in why["rows"]) == pytest.approx(why["score"], abs=1e-3)
    assert {row["kind"] for row in why["rows"]} >= {"text", "patch"}


def test_what_was_recognised_is_corrected(client: Client, picture: dict[str, object]) -> None:
    question = "what is the capital?"
    first = client.predict(picture, question, api_name="/ask")
    names = client.predict(picture, question, api_name="/entities")["entities"]
    assert set(names) == {one["title"] for one in PASSAGES}
    other = next(name for name in names if name != first["recognised"])
    again = client.predict(picture=picture, question=question, entity=other, api_name="/correct")
    about = [one["passage_id"] for one in PASSAGES if one["title"] == other]
    assert again["recognised"] == other
    assert sorted(one["passage_id"] for one in again["passages"]) == sorted(about)
    assert {one["passage_id"] for one in again["candidates"]} <= set(about)
    (one,) = client.predict(None, question, "", 1, "The red land", api_name="/correct")["passages"]
    assert one["title"] == "The red land"
    with pytest.raises(AppError, match="No passage found here is about 'Narnia'; choose one of the names offered"):
        client.predict(question=question, entity="Narnia", api_name="/correct")


def test_feedback_is_kept(client: Client, picture: dict[str, object], application: Application) -> None:
    said = client.predict(
        picture=picture, question="what?", answer="Oslo", right=False, right_answer="Lima", api_name="/feedback"
    )
    (one,) = [one for one in FeedbackStore(feedback_path(application.var)) if one.feedback_id == said["feedback_id"]]
    assert (one.question, one.answer, one.right, one.right_answer) == ("what?", "Oslo", False, "Lima")


def test_what_is_wrong_is_said_without_paths(client: Client, broken_picture: Path) -> None:
    with pytest.raises(AppError, match="The question is empty"):
        client.predict(None, " ", api_name="/ask")
    with pytest.raises(AppError, match="The file is not a picture that can be read"):
        client.predict(handle_file(str(broken_picture)), "what?", api_name="/ask")
    with pytest.raises(AppError, match="maximum value 20"):
        client.predict(None, "what?", "", 21, api_name="/ask")
    with pytest.raises(AppError, match="nothing of the question is read"):
        client.predict(None, "what?", "find the page " * 20, api_name="/ask")
    with pytest.raises(AppError, match="no-such-passage"):
        client.predict(None, "what?", "", "no-such-passage", api_name="/explain")
    with pytest.raises(AppError, match="takes its answers from passages"):
        client.predict(None, "what?", api_name="/answer_without_passages")


def test_every_endpoint_and_argument_is_described(client: Client) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert {"/ask", "/explain", "/feedback"} <= set(named)
    for name, endpoint in named.items():
        assert endpoint.get("description"), name
        for argument in endpoint["parameters"]:
            assert argument["parameter_name"] not in {"", None, "param_0"}, name


def run(program: str) -> list[str]:
    """What a program prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "program", "exec"), {})
    return printed.getvalue().splitlines()


def test_the_call_that_the_page_shows_runs(
    address: str, application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, (_, _, _, _, asked) = answered(
        application, str(save_picture(tmp_path / "red.png")), 'what is "the" capital?', "", 2
    )
    assert asked is not None
    monkeypatch.chdir(tmp_path)
    assert run(api_call(asked, address) or "")[-1].endswith(str(round(asked.answer.confidence, 4)))


def test_the_program_in_the_readme_runs(
    address: str, application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).resolve().parents[2]
    (program,) = re.findall(
        r"^```python\n(.*?)^```", (root / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert "http://127.0.0.1:7860" in program
    (tmp_path / "knowledge_bases").symlink_to(root / "knowledge_bases")
    monkeypatch.chdir(tmp_path)
    before = len(list(FeedbackStore(feedback_path(application.var))))
    printed = run(program.replace("http://127.0.0.1:7860", address))
    assert len([line for line in printed if " matched " in line]) == 5
    assert printed[-1].startswith("If it were ")
    assert len(list(FeedbackStore(feedback_path(application.var)))) == before + 1


def test_what_is_no_number_and_no_file_is_refused_in_one_line(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    for k in (2.5, "abc", None, True):
        with pytest.raises(AppError, match=rf"Passages to read: {k!r} is no whole number; give one from 1 to 20\."):
            client.predict(None, "what?", "", k, api_name="/ask")
    with pytest.raises(AppError, match="The picture is not given as a file; upload it, or give it as"):
        client.predict("red.png", "what?", api_name="/ask")
    assert "Traceback" not in capfd.readouterr().err


def test_feedback_is_exported(client: Client, picture: dict[str, object]) -> None:
    client.predict(picture, "what is exported?", "Oslo", True, "the map says so", api_name="/feedback")
    with zipfile.ZipFile(client.predict(api_name="/feedback_export")) as archive:
        rows = [json.loads(line) for line in archive.read("feedback/questions.jsonl").splitlines()]
        (row,) = [row for row in rows if row["question"] == "what is exported?"]
        assert (row["reason"], row["answers"][0], row["question_type"]) == ("the map says so", "Oslo", "called right")
        assert f"feedback/pictures/{row['image']}" in archive.namelist()


def test_a_preset_is_chosen(client: Client) -> None:
    listed = client.predict(api_name="/presets")
    assert listed["in_use"] == "tiny"
    assert {one["name"] for one in listed["presets"]} >= {"tiny", *preset_names()}
    assert client.predict("tiny", api_name="/use_preset") == {"in_use": "tiny"}
    with pytest.raises(AppError, match="Unknown preset 'nope'; choose one of"):
        client.predict("nope", api_name="/use_preset")
