from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_app.assembly import Application
from rag_app.datasets import Dataset, scan_dataset
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.run import Run
from rag_app.evaluation.shards import WHOLE, Shard
from tests.tiny import save_picture


@pytest.fixture(autouse=True)
def var(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAG_APP_VAR", str(world / "var"))
    return world / "var"


def question_rows(count: int = 10) -> list[dict[str, Any]]:
    return [
        {
            "question_id": number,
            "image": ["red.png", "blue.png"][number % 2],
            "question": f"what is the capital number {number}?",
            "answers": ["Lima"] * 5 + ["lima"] * 5,
            "pos_passage_ids": ["red-capital"],
            "question_type": ["odd", "even"][number % 2],
        }
        for number in range(count)
    ]


def save_questions(folder: Path, rows: list[Any]) -> Path:
    """The rows and the pictures they name; a row that is a text is written as it is."""
    save_picture(folder / "red.png")
    save_picture(folder / "blue.png", "blue")
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path = folder / "questions.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return scan_dataset(save_questions(tmp_path, question_rows()))


def make_run(
    application: Application,
    dataset: Dataset,
    *,
    mode: Mode = Mode.RETRIEVAL,
    shard: Shard = WHOLE,
) -> Run:
    return Run(
        pipeline=application.pipeline,
        dataset=dataset,
        mode=mode,
        store=None if mode is Mode.NOTHING else application.store,
        settings={"preset": "tiny", "mode": mode.value},
        versions={},
        batch_size=4,
        shard=shard,
    )


def results(output: Path) -> dict[str, Any]:
    """Everything that an evaluation leaves, but for when it ran."""
    report = read_json(output / "report.json")
    for key in ("finished", "seconds", "resumed_questions", "shards"):
        report["manifest"].pop(key, None)
    names = ("predictions.jsonl", "details.jsonl", "scores.jsonl", "worst.jsonl")
    return {"report": report, **{name: (output / name).read_bytes() for name in names}}
