"""`score` on parquet files, as tables and data sets of the hub are saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.rag_app.scoring.test_score import fails, lines, score


def parquet(path: Path, *rows: Mapping[str, object]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_predictions_and_references_may_be_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = parquet(
        tmp_path / "r.parquet",
        {"question_id": 7, "answers": ["Teal"] * 4 + ["blue"] * 6, "pos_item_ids": ["a", "b"]},
        {"question_id": 8, "answers": ["red"] * 10, "pos_item_ids": ["c"]},
    )
    predictions = parquet(
        tmp_path / "p.parquet",
        {"question_id": 8, "answer": "blue", "passage_ids": ["c"]},
        {"question_id": 7, "answer": "teal.", "passage_ids": ["x", "b"]},
    )
    assert score(capsys, "vqa", predictions, [references])["metrics"] == {"VQA accuracy": 0.5}
    recall = score(capsys, "recall", predictions, [references], "--k", "1", "2")
    assert recall["metrics"] == {"Recall@1": 0.5, "Recall@2": 1.0}


def test_a_parquet_file_with_faults_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = lines(tmp_path / "r.jsonl", {"question_id": "q", "answers": ["a"]})
    (tmp_path / "p.parquet").write_bytes(b"PAR1 nothing")
    assert "p.parquet: not a parquet file that can be read" in fails(capsys, "vqa", tmp_path / "p.parquet", references)
    twice = parquet(tmp_path / "p.parquet", *({"question_id": "q", "answer": "a"} for _ in range(2)))
    assert "p.parquet, row 2: question_id 'q' comes twice, first in row 1" in fails(capsys, "vqa", twice, references)
