"""What a benchmark is told to measure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import flag_recognition, presets
from rag_app.config import CHECKOUT
from tests.tiny import save_reader


@pytest.mark.parametrize("name", ["nope", "nope.toml"])
def test_an_unknown_preset_ends_a_benchmark_with_what_is_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flag_recognition", "--preset", name])
    with pytest.raises(SystemExit, match="2"):
        flag_recognition.main()
    assert name in capsys.readouterr().err.splitlines()[-1]


def test_the_bytes_are_those_of_the_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = save_reader(tmp_path / "reader")
    preset = tmp_path / "other.toml"
    preset.write_text(f'retriever = "preflmr-mini"\ngenerator = "{reader}"\n')
    monkeypatch.setattr(sys, "argv", ["presets", "--preset", str(preset)])
    presets.main()
    retriever, generator, both = capsys.readouterr().out.splitlines()
    mini = CHECKOUT / "retriever" / "checkpoints" / "preflmr-mini"
    sizes = [sum(file.stat().st_size for file in folder.rglob("*.safetensors")) for folder in (mini, Path(reader))]
    assert [int(line.split()[1]) for line in (retriever, generator, both)] == [*sizes, sum(sizes)]
