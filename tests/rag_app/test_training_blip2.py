"""`train blip2` says at once what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_app.cli import main


@pytest.mark.parametrize(
    ("option", "advice"),
    [("--start", "has no config.json; give the folder of a BLIP-2-mini"), ("--text-pairs", "is missing; give JSON")],
)
def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, advice: str) -> None:
    missing = str(tmp_path / "nothing")
    assert main(["train", "blip2", option, missing, "--output", str(tmp_path / "out"), "--runs", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert missing in captured.err
    assert advice in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
