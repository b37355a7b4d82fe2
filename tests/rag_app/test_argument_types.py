"""Numbers on the command line that make no sense end in one line, before anything is read or trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_app.cli import main

STEPS = "argument --steps: must be a whole number of at least 1"
RATE = "argument --learning-rate: must be a number above 0"


@pytest.mark.parametrize("what", ["vision", "retriever", "region", "reader", "blip2"])
@pytest.mark.parametrize("given", ["0", "-3", "1.5", "many", ""])
def test_steps(what: str, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", what, "--steps", given]) == 2
    assert f"{STEPS}, not '{given}'" in one_line(capsys)


@pytest.mark.parametrize("given", ["0", "-0.1", "nan", "inf", "fast"])
def test_learning_rate(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "retriever", "--learning-rate", given]) == 2
    assert f"{RATE}, not '{given}'" in one_line(capsys)


def test_sound_numbers_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong here is the output folder, which is there already."""
    given = ["--steps", "7", "--learning-rate", "2e-5", "--output", str(tmp_path)]
    assert main(["train", "retriever", *given]) == 2
    assert "give another --output" in one_line(capsys)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error
