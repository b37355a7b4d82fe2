"""The memory benchmark measures the command that it says it measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import kb_memory
from knowledge_bases.m2kr import M2krSource


def test_made_up_passages_have_the_published_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kb_memory, "ROWS_A_FILE", 4)
    kb_memory.write_passages(tmp_path / "EVQA_passages", 10, words=6)
    assert len(list(tmp_path.rglob("*.parquet"))) == 3
    source = M2krSource(name="EVQA", folder=tmp_path)
    passages = [source.passage_of(row) for row in source.passages()]
    assert [passage.passage_id for passage in passages] == [f"EVQA_{number}" for number in range(10)]
    assert {len(passage.text.split()) for passage in passages} == {6}
    assert len({passage.text for passage in passages}) == 10


def test_the_command_is_run_and_its_memory_read(tmp_path: Path) -> None:
    kb_memory.write_passages(tmp_path / "EVQA_passages", 30, words=6)
    result = kb_memory.measure(tmp_path, 30, "embedded", index=False)
    assert result["passages"] == 30
    assert 10 < result["taken_in_mb"] < 2000
    assert "finished_mb" not in result


def test_a_failure_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no parquet file of EVQA_passages"):
        kb_memory.measure(tmp_path, 30, "embedded", index=False)


def test_the_plot_names_its_lines() -> None:
    results = [{"passages": size, "taken_in_mb": 200, "on_disk_mb": size // 100} for size in (1000, 9000)]
    svg = kb_memory.drawn(results)
    assert "passages taken in" in svg
    assert "index finished" not in svg
