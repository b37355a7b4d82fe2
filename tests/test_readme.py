"""What README tells people to type works."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from rag_app.cli import main
from tests.tiny import PASSAGES, save_passages, save_picture, save_preset, save_reader, tiny_preset

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    if not language
    for line in block.splitlines()
]
OURS = ".venv/bin/python -m rag_app "


def test_every_command_is_of_a_known_kind() -> None:
    assert len(COMMANDS) >= 8
    assert [command for command in COMMANDS if not command.startswith(("make ", OURS))] == []


def test_its_pictures_are_there_and_small() -> None:
    shown = {ROOT / path for path in re.findall(r"\]\((docs/[\w/.-]+\.png)\)", README)}
    assert shown == set((ROOT / "docs" / "screenshots").iterdir())
    assert {path.stem for path in shown} == {"ask", "why", "knowledge", "evaluate", "dark", "phone"}
    assert max(path.stat().st_size for path in shown) < 300_000


def test_make_targets_exist() -> None:
    targets = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    targets |= set(re.findall(r"`make ([a-z-]+)", README))
    assert {"demo", "test", "ask", "evaluate", "clean"} <= targets
    for target in targets:
        run = subprocess.run(["make", "-n", target, "IMAGE=x"], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr


def test_named_files_exist() -> None:
    named = re.findall(r"\]\(([A-Za-z][\w./-]+)\)", README)
    named += re.findall(r"knowledge_bases/[\w./-]+", README)
    assert "LICENSE" in named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_application_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command as written, in its order, with the tiny checkpoints in place of the embedded ones."""
    preset = save_preset(
        tmp_path / "tiny.toml", tiny_preset(save_reader(tmp_path / "reader"), save_passages(tmp_path / "p.jsonl"))
    )
    rows = [{**PASSAGES[0], "passage_id": "note-17"}, *PASSAGES[1:]]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    save_picture(tmp_path / "picture.jpg")
    (tmp_path / "pictures").mkdir()
    save_picture(tmp_path / "pictures" / "one.jpg")
    row = {"question_id": "1", "image": "one.jpg", "question": "what?", "answers": ["x"] * 10}
    (tmp_path / "questions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (tmp_path / "knowledge_bases").symlink_to(ROOT / "knowledge_bases")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_APP_VAR", str(tmp_path / "var"))
    ours = [shlex.split(command.removeprefix(OURS)) for command in COMMANDS if command.startswith(OURS)]
    assert {arguments[0] for arguments in ours} >= {"ask", "evaluate", "kb"}
    for arguments in ours:
        tiny = ["--preset", str(preset)] if arguments[0] in {"ask", "evaluate"} else []
        assert main([*arguments, *tiny]) == 0, (arguments, capsys.readouterr().err)


def test_the_preset_file_shown_is_a_preset(tmp_path: Path) -> None:
    from rag_app.config import load_preset

    (text,) = re.findall(r"^```toml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert load_preset(str(tmp_path / "mine.toml")).k == 10
