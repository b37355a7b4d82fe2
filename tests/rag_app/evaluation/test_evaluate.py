"""The commands `evaluate`, `evaluate merge` and `compare`, through the real entry function and as processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rag_app.cli import main
from tests.rag_app.evaluation.conftest import question_rows, read_json, read_lines, results, save_questions
from tests.rag_app.test_cli import fails

ROOT = Path(__file__).resolve().parents[3]


def dataset(folder: Path, count: int = 10) -> Path:
    return save_questions(folder, question_rows(count))


def evaluate(world: Path, tmp_path: Path, *more: str) -> list[str]:
    arguments = ["evaluate", "--dataset", str(tmp_path / "questions.jsonl"), "--output", str(tmp_path / "out")]
    return [*arguments, "--preset", str(world / "tiny.toml"), *more]


def test_evaluation_from_start_to_report(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path)
    assert main(evaluate(world, tmp_path)) == 0
    captured = capsys.readouterr()
    assert "questions answered: 10 of 10" in captured.err
    rows = read_lines(tmp_path / "out" / "predictions.jsonl")
    assert [row["question_id"] for row in rows] == list(range(10))
    assert all(list(row) == ["question_id", "answer", "confidence", "passage_ids"] for row in rows)
    report = read_json(tmp_path / "out" / "report.json")
    assert list(report["metrics"]) == [
        "VQA accuracy",
        "Exact match",
        "Recall@1",
        "Pseudo-Recall@1",
        "Recall@3",
        "Pseudo-Recall@3",
    ]
    hits = sum("red-capital" in row["passage_ids"] for row in rows) / 10
    assert report["metrics"]["Recall@3"] == pytest.approx(hits)
    assert report["counts"]["questions"] == report["counts"]["VQA accuracy"] == 10
    assert report["by_question_type"]["odd"]["counts"]["questions"] == 5
    manifest = report["manifest"]
    assert manifest["preset"]["name"] == "tiny"
    assert {
        "retriever_fingerprint",
        "generator_fingerprint",
        "knowledge_base_hash",
        "index",
        "versions",
        "seed",
    } <= set(manifest)
    assert "Recall@3" in captured.out


def test_evaluation_carries_on_after_an_interruption(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset(tmp_path)
    assert main(evaluate(world, tmp_path)) == 0
    predictions = tmp_path / "out" / "predictions.jsonl"
    whole = predictions.read_bytes()
    report = read_json(tmp_path / "out" / "report.json")
    predictions.write_bytes(whole[: whole.find(b"\n", len(whole) // 2) - 7])  # a row cut in the middle
    (tmp_path / "out" / "report.json").unlink()
    assert main(evaluate(world, tmp_path)) == 0
    again = read_json(tmp_path / "out" / "report.json")
    assert 0 < again["manifest"]["resumed_questions"] < 10
    assert again["metrics"] == report["metrics"]
    assert len(predictions.read_bytes().splitlines()) == 10
    capsys.readouterr()
    assert "made with other settings (index, preset)" in fails(capsys, evaluate(world, tmp_path, "--k", "2"))


def test_evaluation_without_retrieval(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path)
    assert main(evaluate(world, tmp_path, "--no-retrieval")) == 0
    report = read_json(tmp_path / "out" / "report.json")
    assert list(report["metrics"]) == ["VQA accuracy", "Exact match"]
    capsys.readouterr()
    other = [str(tmp_path / "other") if one == str(tmp_path / "out") else one for one in evaluate(world, tmp_path)]
    assert main([*other, "--beside", str(tmp_path / "out")]) == 0
    assert "beside" in capsys.readouterr().out.splitlines()[0]


def test_a_damaged_picture_does_not_end_the_run(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset(tmp_path)
    (tmp_path / "blue.png").write_bytes((tmp_path / "blue.png").read_bytes()[:60])
    assert main(evaluate(world, tmp_path)) == 0
    captured = capsys.readouterr()
    assert "row 2 (question 1) was not asked: " in captured.err
    assert "5 of 10 rows scored, 5 reported" in captured.out
    counts = read_json(tmp_path / "out" / "report.json")["counts"]
    assert (counts["given"], counts["questions"], counts["reported"]) == (10, 5, 5)


def test_a_dataset_without_a_sound_row(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path)
    (tmp_path / "red.png").unlink()
    (tmp_path / "blue.png").unlink()
    line = fails(capsys, evaluate(world, tmp_path))
    assert "row 1: there is no picture at" in line
    assert "--images (and 9 more such rows)" in line


def test_shards_and_merge(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path)
    assert main(evaluate(world, tmp_path)) == 0
    whole = results(tmp_path / "out")
    parts = [str(tmp_path / "part1"), str(tmp_path / "part2")]
    for number, part in enumerate(parts, start=1):
        assert main(evaluate(world, tmp_path, "--output", part, "--shard", f"{number}/2")) == 0
    capsys.readouterr()
    assert "shard 2/2 is missing" in fails(capsys, ["evaluate", "merge", parts[0], "--output", str(tmp_path / "all")])
    assert main(["evaluate", "merge", *parts, "--output", str(tmp_path / "all")]) == 0
    assert results(tmp_path / "all") == whole
    assert "10 of 10 rows scored" in capsys.readouterr().out
    assert "--shard must be i/n" in fails(capsys, evaluate(world, tmp_path, "--shard", "3/2"))


def test_processes_of_a_launcher_share_the_dataset(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset(tmp_path)
    auto = evaluate(world, tmp_path, "--shard", "auto")
    for rank, count in (("", ""), ("2", "2"), ("x", "2")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", count)
        assert "which are not set; start it with `accelerate launch --multi_gpu`, or give i/n" in fails(capsys, auto)
    for rank, count in (("0", "1"), ("0", "2"), ("1", "2")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", count)
        assert main(auto) == 0
    parts = [tmp_path / "out" / name for name in ("shard-1-of-2", "shard-2-of-2")]
    assert main(["evaluate", "merge", *map(str, parts), "--output", str(tmp_path / "all")]) == 0
    assert results(tmp_path / "all") == results(tmp_path / "out")


@pytest.mark.slow
def test_a_launcher_starts_them(world: Path, tmp_path: Path) -> None:
    dataset(tmp_path)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command = [*launch, "-m", "rag_app", *evaluate(world, tmp_path, "--shard", "auto", "--device", "cpu")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answered = [read_lines(tmp_path / "out" / f"shard-{n}-of-2" / "predictions.jsonl") for n in (1, 2)]
    assert sorted(row["question_id"] for rows in answered for row in rows) == list(range(10))


def test_the_oracle_beside_the_others(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path)
    out = {name: str(tmp_path / name) for name in ("without", "oracle", "with")}
    assert main(evaluate(world, tmp_path, "--output", out["without"], "--no-retrieval")) == 0
    assert main(evaluate(world, tmp_path, "--output", out["oracle"], "--oracle")) == 0
    capsys.readouterr()
    beside = ["--beside", out["without"], "--beside", out["oracle"]]
    assert main(evaluate(world, tmp_path, "--output", out["with"], *beside)) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert head.split("  ")[-2:] == ["beside: without retrieval", "beside: oracle"]
    page = (tmp_path / "with" / "report.html").read_text("utf-8")
    assert all(title in page for title in ("with retrieval", "without retrieval", "oracle"))
    assert read_json(tmp_path / "oracle" / "report.json")["manifest"]["knowledge_base_hash"]
    assert "not allowed with argument" in fails(capsys, evaluate(world, tmp_path, "--oracle", "--no-retrieval"))
    assert main(["compare", out["without"], out["with"], "--samples", "100", "--json"]) == 0
    difference = json.loads(capsys.readouterr().out)["VQA accuracy"]
    assert difference["low"] <= difference["difference"] <= difference["high"]
    assert main(["compare", out["without"], out["with"]]) == 0
    assert "95 % interval" in capsys.readouterr().out
    negative = ["compare", out["without"], out["with"], "--seed", "-1"]
    assert "error: the seed must be at least 0, not -1" in fails(capsys, negative)
    report = read_json(tmp_path / "with" / "report.json")
    report["manifest"]["dataset_sha256"] = "other"
    (tmp_path / "with" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert "evaluations of different datasets" in fails(capsys, ["compare", out["without"], out["with"]])


def test_killed_processes_are_carried_on(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process killed outright after it has written some predictions; run again, it ends as if nothing had been."""
    dataset(tmp_path, 200)
    command = [sys.executable, "-m", "rag_app", *evaluate(world, tmp_path)]
    predictions = tmp_path / "out" / "predictions.jsonl"
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        while process.poll() is None and not (predictions.exists() and predictions.read_bytes().count(b"\n") > 8):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert 8 < predictions.read_bytes().count(b"\n") < 200
    assert main(evaluate(world, tmp_path)) == 0
    resumed = read_json(tmp_path / "out" / "report.json")["manifest"]["resumed_questions"]
    assert 8 < resumed < 200
    assert main(evaluate(world, tmp_path, "--output", str(tmp_path / "unbroken"))) == 0
    assert results(tmp_path / "out") == results(tmp_path / "unbroken")
    assert len(read_lines(predictions)) == 200


@pytest.mark.slow
def test_killed_at_random_again_and_again(world: Path, tmp_path: Path) -> None:
    """Ten times, at moments that nothing was arranged for; faulty rows are among the others."""
    rows: list[Any] = question_rows(120)
    rows[40:40] = ["{", {**rows[0]}, {**rows[0], "question_id": "x", "image": "broken.png"}, {"question_id": "y"}]
    save_questions(tmp_path, rows)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    small = ["--set", "batch_size=4"]
    assert main(evaluate(world, tmp_path, "--output", str(tmp_path / "unbroken"), *small)) == 0
    command = [sys.executable, "-m", "rag_app", *evaluate(world, tmp_path, *small)]
    predictions, draws = tmp_path / "out" / "predictions.jsonl", random.Random(3)
    for _ in range(10):
        before = predictions.stat().st_size if predictions.exists() else 0
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (predictions.exists() and predictions.stat().st_size > before):
            time.sleep(0.001)
        time.sleep(draws.uniform(0, 0.1))
        process.kill()
        process.wait()
    assert main(command[3:]) == 0
    assert results(tmp_path / "out") == results(tmp_path / "unbroken")
    counts = read_json(tmp_path / "out" / "report.json")["counts"]
    assert (counts["questions"], counts["reported"], counts["given"]) == (120, 4, 124)


def test_an_output_folder_that_cannot_be_written(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset(tmp_path)
    (tmp_path / "out").write_text("a file where the folder should be", encoding="utf-8")
    assert "output folder" in fails(capsys, evaluate(world, tmp_path))


def test_a_read_only_output_folder(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o555)
    as_root = os.geteuid() == 0
    if as_root:
        for folder in (world, tmp_path, *list(tmp_path.parents)[:2]):
            folder.chmod(folder.stat().st_mode | 0o055)
        os.seteuid(65534)  # root may write anywhere: nobody may not
    try:
        line = fails(capsys, evaluate(world, tmp_path))
    finally:
        if as_root:
            os.seteuid(0)
    assert "cannot be written" in line
    assert list((tmp_path / "out").iterdir()) == []
