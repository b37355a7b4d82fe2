"""Asking, interruptions, shards and merging, in one process with the tiny checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag_app import predictions
from rag_app.assembly import Application
from rag_app.datasets import Dataset, scan_dataset
from rag_app.errors import InputError
from rag_app.evaluation.merging import merge
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.run import evaluate, prepare_output
from rag_app.evaluation.shards import WHOLE, Shard, batches, parse_shard
from tests.rag_app.evaluation.conftest import make_run, question_rows, read_json, read_lines, results, save_questions


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def finished(application: Application, dataset: Dataset, output: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    output.mkdir(exist_ok=True)
    evaluate(make_run(application, dataset, **more), output)
    return results(output)


@pytest.mark.parametrize("written", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("write", range(6))  # three batches of two files
def test_a_kill_at_any_point_changes_nothing(
    application: Application,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: int,
    written: float,
) -> None:
    expected = finished(application, dataset, tmp_path / "whole")
    append, calls = predictions._append, iter(range(99))

    def stopping(path: Path, text: str) -> None:
        if next(calls) == write:
            append(path, text[: round(len(text) * written)])
            raise Killed
        append(path, text)

    output = tmp_path / "stopped"
    output.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(predictions, "_append", stopping)
        with pytest.raises(Killed):
            evaluate(make_run(application, dataset), output)
    assert not (output / "report.json").exists()
    assert finished(application, dataset, output) == expected


def test_a_batch_is_asked_whole_when_it_is_resumed(
    application: Application, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else is in a batch can change last digits: so a batch has the same questions as in an unbroken run."""
    finished(application, dataset, tmp_path / "out")
    path = tmp_path / "out" / "predictions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5]))  # one of the second batch is done
    asked: list[int] = []
    answer = application.pipeline.batch

    def counting(inputs: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        asked.append(len(inputs))
        return answer(inputs, *args, **kwargs)

    monkeypatch.setattr(application.pipeline, "batch", counting)
    finished(application, dataset, tmp_path / "out")
    assert asked == [4, 2]


def test_nothing_is_asked_twice(
    application: Application, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = finished(application, dataset, tmp_path / "out")
    monkeypatch.setattr(application.pipeline, "batch", None)
    assert finished(application, dataset, tmp_path / "out") == expected


FAULTY: list[tuple[Any, str]] = [
    ("{'no json'", "Expecting"),
    ([1], "must be a JSON object"),
    ({"question_id": 0, "image": None, "question": "again?", "answers": ["x"]}, "already in row 1"),
    ({"question_id": "a", "image": "gone.png", "question": "q", "answers": []}, "no picture at"),
    ({"question_id": "b", "image": "broken.png", "question": "q", "answers": []}, "damaged"),
    ({"question_id": "c", "image": "red.png", "question": " ", "answers": []}, "empty"),
    ({"question_id": "d", "image": "red.png", "question": "q"}, "'answers' is missing"),
    ('{"question_id": "e\\ud800", "image": null, "question": "q", "answers": []}', "half a character"),
    ({"question_id": "f", "image": "../red.png", "question": "q", "answers": []}, "inside the picture folder"),
    ({"image": None, "question": "q", "answers": []}, "'question_id' is missing"),
    ({"question_id": "g", "image": None, "question": " ", "answers": [], "instruction": "Find it:"}, "is empty; write"),
]


def test_what_a_killed_process_was_writing_is_removed(
    application: Application, dataset: Dataset, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / ".report.json.x1y2.part").write_text("{", encoding="utf-8")
    finished(application, dataset, output)
    assert [file.name for file in output.iterdir() if file.suffix == ".part"] == []


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_wrong_rows_are_reported_and_the_counts_add_up(application: Application, tmp_path: Path, shards: int) -> None:
    rows: list[Any] = question_rows(7)
    for place, (row, _) in enumerate(FAULTY):
        rows.insert(2 * place + 1, row)
    path = save_questions(tmp_path, rows)
    (tmp_path / "broken.png").write_bytes((tmp_path / "red.png").read_bytes()[:60])
    dataset = scan_dataset(path)
    reports = []
    for index in range(shards):
        output = tmp_path / f"out{index}"
        finished(application, dataset, output, shard=Shard(index=index, count=shards))
        reports.append(read_json(output / "report.json"))
    for report in reports:
        counts = report["counts"]
        assert counts["questions"] + counts["reported"] == counts["given"]
        assert counts["reported"] == len(report["problems"])
    assert sum(report["counts"]["given"] for report in reports) == len(rows)
    problems = sorted((one for report in reports for one in report["problems"]), key=lambda one: one["line"])
    wanted = [(rows.index(row) + 1, message) for row, message in FAULTY]
    assert [problem["line"] for problem in problems] == [line for line, _ in wanted]
    for problem, (_, message) in zip(problems, wanted, strict=True):
        assert message in problem["problem"]


def test_shards_merge_into_the_unbroken_run(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    expected = finished(application, dataset, tmp_path / "whole")
    folders = [tmp_path / f"part{index}" for index in range(3)]
    for index, folder in enumerate(folders):
        finished(application, dataset, folder, shard=Shard(index=index, count=3))
    assert all(read_lines(folder / "predictions.jsonl") for folder in folders)
    (tmp_path / "merged").mkdir()
    merge(list(reversed(folders)), tmp_path / "merged")
    assert results(tmp_path / "merged") == expected
    assert (tmp_path / "merged" / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert read_json(tmp_path / "merged" / "report.json")["manifest"]["shards"] == 3


def test_shards_merge_whatever_line_ends_their_texts_hold(application: Application, tmp_path: Path) -> None:
    rows = [row | {"question_id": f"{row['question_id']}\u2028\x85"} for row in question_rows()]
    dataset = scan_dataset(save_questions(tmp_path, rows))
    expected = finished(application, dataset, tmp_path / "whole")
    folders = [tmp_path / f"part{index}" for index in range(2)]
    for index, folder in enumerate(folders):
        finished(application, dataset, folder, shard=Shard(index=index, count=2))
    (tmp_path / "merged").mkdir()
    merge(folders, tmp_path / "merged")
    assert results(tmp_path / "merged") == expected


def test_what_cannot_be_merged(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    whole, first, second, other = (tmp_path / name for name in ("whole", "first", "second", "other"))
    finished(application, dataset, whole)
    finished(application, dataset, first, shard=Shard(index=1, count=2))
    finished(application, dataset, second, shard=Shard(index=0, count=2))
    finished(application, dataset, other, shard=Shard(index=0, count=2), mode=Mode.ORACLE)
    output = tmp_path / "merged"
    output.mkdir()
    for folders, message in [
        ([first], "shard 2/2 is missing"),
        ([first, first], "are both shard 1/2"),
        ([first, other], r"made with other settings than .* \(mode\)"),
        ([whole], "holds no shard; evaluate it with --shard"),
        ([tmp_path], "give the output folder of an evaluation that has ended"),
    ]:
        with pytest.raises(InputError, match=message):
            merge(folders, output)
    with pytest.raises(InputError, match="is one of the shards"):
        merge([first, second], first)
    assert list(output.iterdir()) == []


@pytest.mark.parametrize(("text", "index"), [("1/4", 1), ("4/4", 0), ("0/4", 0), ("1/1", 0)])
def test_shards_are_counted_from_1_or_from_0(text: str, index: int) -> None:
    assert parse_shard(text).index == index


@pytest.mark.parametrize("text", ["", "1", "5/4", "-1/4", "a/b", "1/0", "1/2/3", "0/0"])
def test_faulty_shards(text: str) -> None:
    with pytest.raises(InputError, match="such as 1/4"):
        parse_shard(text)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_shards_share_everything_out(count: int) -> None:
    shards = [batches(range(10), 4, Shard(index=index, count=count)) for index in range(count)]
    assert sorted(item for shard in shards for batch in shard for item in batch) == list(range(10))
    whole = [list(batch) for batch in batches(range(10), 4, WHOLE)]
    if count <= len(whole):
        assert all(list(batch) in whole for shard in shards for batch in shard)
    if count <= 10:
        assert all(shards)


def test_the_oracle_reads_the_right_passages(application: Application, tmp_path: Path) -> None:
    rows = question_rows(4)
    rows[1]["pos_passage_ids"] = ["blue-money", "blue-capital", "blue-money"]
    rows[2]["pos_passage_ids"] = []
    rows[3]["pos_passage_ids"] = ["nowhere"]
    dataset = scan_dataset(save_questions(tmp_path, rows))
    finished(application, dataset, tmp_path / "out", mode=Mode.ORACLE)
    found = read_lines(tmp_path / "out" / "predictions.jsonl")
    assert [row["passage_ids"] for row in found] == [["red-capital"], ["blue-money", "blue-capital"]]
    report = read_json(tmp_path / "out" / "report.json")
    assert [problem["line"] for problem in report["problems"]] == [3, 4]
    assert "names no pos_passage_ids" in report["problems"][0]["problem"]
    assert "nowhere" in report["problems"][1]["problem"]
    assert list(report["metrics"]) == ["VQA accuracy", "Exact match"]  # nothing was retrieved


def test_what_the_oracle_gets_wrong_was_lost_in_reading(
    application: Application, dataset: Dataset, tmp_path: Path
) -> None:
    finished(application, dataset, tmp_path / "oracle", mode=Mode.ORACLE)
    verdicts = read_json(tmp_path / "oracle" / "report.json")["verdicts"]
    assert set(verdicts) <= {"right", "reading miss"}
    assert sum(verdicts.values()) == 10


def test_progress_shows_the_running_score(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    prepare_output(tmp_path / "out")
    report = evaluate(make_run(application, dataset), tmp_path / "out", progress=lambda *state: seen.append(state))
    assert [(done, total) for done, total, _ in seen] == [(0, 10), (4, 10), (8, 10), (10, 10)]
    assert seen[-1][2] == f"VQA accuracy {100 * report['metrics']['VQA accuracy']:.1f} %"


def test_single_references_are_judged_by_exact_match(application: Application, tmp_path: Path) -> None:
    """Each question's reference is what was answered, so every answer is right, and said to be."""
    first = scan_dataset(save_questions(tmp_path, question_rows(4)))
    finished(application, first, tmp_path / "first")
    answers = {row["question_id"]: row["answer"] for row in read_lines(tmp_path / "first" / "predictions.jsonl")}
    rows = [row | {"answers": [answers[row["question_id"]]]} for row in question_rows(4)]
    notes: list[str] = []
    (tmp_path / "out").mkdir()
    run = make_run(application, scan_dataset(save_questions(tmp_path, rows)))
    report = evaluate(run, tmp_path / "out", progress=lambda done, given, note: notes.append(note))
    assert (report["metrics"]["VQA accuracy"], report["metrics"]["Exact match"]) == (0.0, 1.0)
    assert report["judged_by"] == {"Exact match": 4}
    assert report["verdicts"] == {"right": 4}
    assert notes[-1] == "Exact match 100.0 %"
    assert read_lines(tmp_path / "out" / "worst.jsonl") == []


def test_calibration_and_abstaining_are_reported(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    finished(application, dataset, tmp_path / "out")
    report = read_json(tmp_path / "out" / "report.json")
    rows = read_lines(tmp_path / "out" / "scores.jsonl")
    assert sum(one["count"] for one in report["calibration"]["bins"]) == 10
    gap = sum(one["count"] * abs(one["accuracy"] - one["confidence"]) for one in report["calibration"]["bins"]) / 10
    assert report["calibration"]["ECE"] == pytest.approx(gap, abs=1e-5)
    answered = [row["scores"]["VQA accuracy"] for row in rows if not row["abstained"]]
    assert report["abstaining"]["Coverage"] == len(answered) / 10
    if answered:
        assert report["abstaining"]["Accuracy of answered"] == pytest.approx(sum(answered) / len(answered), abs=1e-5)
    assert sum(report["verdicts"].values()) == 10
