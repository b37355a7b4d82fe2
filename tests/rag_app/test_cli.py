"""The command line through its real entry function: answers, JSON, and every bad input with its exit status."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub.utils.logging import _get_default_logging_level
from PIL import Image

from rag_app.cli import main
from tests.rag_app.test_pictures import huge_png
from tests.tiny import PASSAGES

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def var(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAG_APP_VAR", str(world / "var"))
    return world / "var"


def ask(world: Path, *more: str, image: Path | None = None, question: str = "what is the capital?") -> list[str]:
    picture = image if image is not None else world / "picture.png"
    preset = [] if "--preset" in more else ["--preset", str(world / "tiny.toml")]
    return ["ask", "--image", str(picture), "--question", question, *preset, *more]


def fails(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line of an error of exit status 2."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err


def test_json_contract(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ask(world, "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == [
        "answer",
        "confidence",
        "abstained",
        "passages",
        "candidates",
        "timings_ms",
        "preset",
        "knowledge_base",
    ]
    assert (answer["preset"], answer["knowledge_base"]) == ("tiny", "passages")
    assert [list(passage) for passage in answer["passages"]] == [["passage_id", "title", "text", "score"]] * 3
    keys = ["passage_id", "answer", "score", "passage_probability", "answer_probability", "chosen"]
    assert [list(candidate) for candidate in answer["candidates"]] == [keys] * 3
    for one in answer["candidates"]:
        assert one["score"] == pytest.approx(one["passage_probability"] * one["answer_probability"], abs=1e-4)
    assert sum(one["chosen"] for one in answer["candidates"]) == 1
    assert 0 <= answer["confidence"] <= 1
    assert answer["timings_ms"]["total"] > 0


def test_answer_for_people(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ask(world, "--k", "2")) == 0
    out = capsys.readouterr().out
    assert "confidence" in out.splitlines()[0]
    assert "\n1. " in out
    assert "\n2. " in out
    assert "\n3. " not in out
    assert "total" in out.splitlines()[-1]


def test_missing_picture(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no picture at" in fails(capsys, ask(world, image=world / "none.png"))


def test_words_named_png(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.png").write_text("these are words", encoding="utf-8")
    assert "is not a picture" in fails(capsys, ask(world, image=tmp_path / "words.png"))


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("retriever.encoder.Encoder.encode_queries", "ran out while passages were looked for; try --device cpu"),
        (
            "rag_app.assembly.load_encoder",
            "the device's memory ran out (CUDA out of memory); try a generator in 4 bits",
        ),
        ("transformers.PreTrainedModel.from_pretrained", "memory ran out (CUDA out of memory); try a generator in 4"),
    ],
)
def test_memory_that_runs_out_is_one_line(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str, told: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert main(ask(world)) == 0  # the passages are encoded
    capsys.readouterr()
    monkeypatch.setattr(where, full)
    assert told in fails(capsys, ask(world))


def test_the_hub_writes_no_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_VERBOSITY", raising=False)
    assert main(["kb", "list"]) == 0
    assert _get_default_logging_level() == logging.ERROR  # type: ignore[no-untyped-call]
    monkeypatch.setenv("HF_HUB_VERBOSITY", "warning")
    assert main(["kb", "list"]) == 0
    assert _get_default_logging_level() == logging.WARNING  # type: ignore[no-untyped-call]


def test_truncated_jpeg(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.effect_noise((200, 200), 90).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:4000])
    assert "damaged or cut short" in fails(capsys, ask(world, image=tmp_path / "cut.jpg"))


def test_enormous_picture(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "make it smaller" in fails(capsys, ask(world, image=huge_png(tmp_path / "huge.png", 30_000)))


@pytest.mark.parametrize("kind", ["alpha.png", "cmyk.jpg", "deep.png", "moving.gif", "dot.png"])
def test_unusual_pictures_are_answered(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path, red = tmp_path / kind, Image.new("RGB", (50, 30), "red")
    if kind == "alpha.png":
        Image.new("RGBA", (50, 30), (255, 0, 0, 99)).save(path)
    elif kind == "cmyk.jpg":
        red.convert("CMYK").save(path)
    elif kind == "deep.png":
        Image.new("I;16", (50, 30), 40_000).save(path)
    elif kind == "moving.gif":
        red.save(path, save_all=True, append_images=[Image.new("RGB", (50, 30), "blue")])
    else:
        Image.new("RGB", (1, 1), "red").save(path)
    assert main(ask(world, "--json", image=path)) == 0
    assert len(json.loads(capsys.readouterr().out)["passages"]) == 3


def test_empty_question(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the question is empty" in fails(capsys, ask(world, question="  "))


def test_endless_question(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "10,000 characters" in fails(capsys, ask(world, question="why " * 2500))


@pytest.mark.parametrize("question", ["首都はどこですか", "ما العاصمة؟", "🏳️?", "?" * 300])
def test_other_scripts_are_answered(world: Path, capsys: pytest.CaptureFixture[str], question: str) -> None:
    assert main(ask(world, "--json", question=question)) == 0
    assert json.loads(capsys.readouterr().out)["passages"]


def test_unknown_preset(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown preset 'none'; choose one of embedded" in fails(capsys, ask(world, "--preset", "none"))


def test_unknown_knowledge_base(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown knowledge base 'none'; choose one of world_flags" in fails(capsys, ask(world, "--kb", "none"))


def test_unknown_checkpoint(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (world / "tiny.toml").read_text(encoding="utf-8")
    (tmp_path / "p.toml").write_text(text.replace("a_preflmr", "a_nothing"), encoding="utf-8")
    assert "retriever: no checkpoint" in fails(capsys, ask(world, "--preset", str(tmp_path / "p.toml")))
    (tmp_path / "p.toml").write_text(text.replace('reader"', 'writer"'), encoding="utf-8")
    assert "generator: " in fails(capsys, ask(world, "--preset", str(tmp_path / "p.toml")))


@pytest.mark.parametrize(
    "arguments",
    [[], ["ask"], ["ask", "--image", "x"], ["dance"], ["ask", "--image", "x", "--question", "y", "--k", "0"], ["kb"]],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert "--help" in fails(capsys, arguments)


def test_merge_alone_names_the_command_that_it_is_part_of(capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, ["merge", "a", "b", "--output", "c"])
    assert "write `python -m rag_app evaluate merge DIR... --output DIR`" in line


def test_numbers_and_paths_that_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("0", "-1", "many", "1.5"):
        message = fails(capsys, ["ask", "--image", "x", "--question", "y", "--k", wrong])
        assert f"--k: must be a whole number of at least 1, not '{wrong}'" in message
    assert "File name too long" in fails(capsys, ["ask", "--image", "x" * 5000, "--question", "y"])


def test_a_fault_of_ours_takes_one_line(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr("rag_app.commands.open_picture", broken)
    assert main(ask(world)) == 1
    assert capsys.readouterr().err == (
        "unexpected error: ZeroDivisionError: oh no (run it again with --debug for the details)\n"
    )
    with pytest.raises(ZeroDivisionError):
        main(ask(world, "--debug"))


def test_a_damaged_index_is_mended_on_the_way(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ask(world, "--json", "--var", str(tmp_path))  # nobody else has this index open
    assert main(command) == 0
    expected = json.loads(capsys.readouterr().out)
    for file in (tmp_path / "indexes").rglob("*.f16"):
        file.write_bytes(file.read_bytes()[:-32])
    assert main(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["passages"] == expected["passages"]
    assert "note: the index was damaged and has been built anew" in captured.err


def test_own_knowledge_base(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    var = ["--var", str(tmp_path / "var")]
    rows = "".join(json.dumps(row) + "\n" for row in PASSAGES[:3])
    (tmp_path / "notes.jsonl").write_text(rows, encoding="utf-8")
    assert main(["kb", "add", str(tmp_path / "notes.jsonl"), "--kb", "notes", *var]) == 0
    assert main(["kb", "delete", "red-money", "--kb", "notes", *var]) == 0
    assert main(["kb", "list", *var]) == 0
    out = capsys.readouterr().out
    assert "added 3 passages" in out
    assert "deleted 1 passage; it holds 2" in out
    assert "world_flags" in out
    assert main(ask(world, "--json", "--kb", "notes", *var)) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {passage["passage_id"] for passage in answer["passages"]} == {"red-capital", "blue-capital"}
    assert main(["kb", "build", "--kb", "notes", "--preset", str(world / "tiny.toml"), *var]) == 0
    assert "2 passages indexed" in capsys.readouterr().out
    (store,) = (tmp_path / "var" / "knowledge_bases").glob("*.sqlite")
    store.write_bytes(b"junk" * 5000)
    assert "knowledge base 'notes'" in fails(capsys, ask(world, "--kb", "notes", *var))


def test_faulty_changes_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    var = ["--var", str(tmp_path / "var")]
    (tmp_path / "notes.csv").write_text("passage_id,text\na,good\nb,\n", encoding="utf-8")
    add = ["kb", "add", str(tmp_path / "notes.csv"), "--kb", "notes", *var]
    assert "line 3" in fails(capsys, [*add, "--strict"])
    assert list((tmp_path / "var").rglob("*.sqlite")) == []
    assert "part of this repository" in fails(capsys, ["kb", "add", "x.csv", "--kb", "world_flags", *var])
    assert "cannot be a name" in fails(capsys, ["kb", "add", "x.csv", "--kb", "../x", *var])
    assert "no knowledge base 'gone'" in fails(capsys, ["kb", "delete", "a", "--kb", "gone", *var])


def test_world_flags_can_be_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kb", "info", "--var", str(tmp_path)]) == 0
    assert "passages: " in capsys.readouterr().out
    assert main(["kb", "search", "capital of Peru Lima", "--limit", "3", "--var", str(tmp_path)]) == 0
    assert "Lima" in capsys.readouterr().out
    assert "no words" in fails(capsys, ["kb", "search", " ", "--var", str(tmp_path)])


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["demo", "--port", port], serve=lambda *_: None) == 2
    assert "choose another --port" in capsys.readouterr().err


def test_errors_and_help_are_light(world: Path) -> None:
    """No model library is imported to report a wrong path, and `ask` never imports gradio."""
    code = (
        "import sys; from rag_app.cli import main; status = main(sys.argv[1:]); "
        "print(status, *sorted({'torch', 'transformers', 'gradio', 'langchain_core'} & set(sys.modules)))"
    )
    run = [sys.executable, "-c", code]
    wrong = subprocess.run([*run, *ask(world, image=Path("none.png"))], cwd=ROOT, capture_output=True, text=True)
    assert wrong.stdout.strip() == "2"
    helped = subprocess.run([*run, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert helped.stdout.splitlines()[-1] == "0"
    assert "evaluate" in helped.stdout
    good = subprocess.run(
        [*run, *ask(world, "--json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert good.stdout.splitlines()[-1] == "0 langchain_core torch transformers"
