"""`evaluate --benchmark` on parquet files in the columns of M2KR."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from knowledge_bases.m2kr import M2krSource
from rag_app.benchmarks.m2kr import extra_scores, headlines, open_m2kr
from rag_app.cli import main
from rag_app.errors import InputError
from rag_app.metrics.bem import load_bem
from tests.rag_app.evaluation.conftest import read_json, read_lines, results
from tests.rag_app.test_cli import fails
from tests.tiny import save_bem, save_picture

N_PASSAGES = 12
QUESTIONS = ["How many leaves?", "How many leaves has tree 4?", "Which tree?", "What is its number?"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "m2kr"
    passages = {
        "passage_id": [f"EVQA_{number}" for number in range(N_PASSAGES)],
        "passage_content": [f"title: Tree {number} content: It has {number} leaves." for number in range(N_PASSAGES)],
        "language": ["en"] * N_PASSAGES,
    }
    data = {
        "pos_item_ids": [["EVQA_3"], ["EVQA_4", "EVQA_5"], ["EVQA_6"], ["EVQA_7"]],
        "img_path": ["inat/a.png", None, "inat/gone.png", "inat/a.png"],
        "question_id": ["q1", "q2", "q3", "q4"],
        "question": QUESTIONS,
        "answers": [["3", "three|3 leaves"], ["4&&5"], ["6"], ["7"]],
        "gold_answer": ["3", "4", "6", "7"],
        "question_type": ["automatic", "multi_answer", "templated", "templated"],
        "instruction": ["Using the provided image, obtain documents:"] * 4,
    }
    for name, file, columns in (
        ("EVQA_passages", "test_passages-0.parquet", passages),
        ("EVQA_data", "test-0.parquet", data),
    ):
        (root / name).mkdir(parents=True)
        pq.write_table(pa.table(columns), root / name / file)
    (root / "inat").mkdir()
    save_picture(root / "inat" / "a.png")
    return root


def test_the_benchmark_from_its_files(
    world: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset, var = ["--preset", str(world / "tiny.toml")], ["--var", str(tmp_path / "var")]
    of_m2kr = ["--folder", str(folder)]
    evaluate = ["evaluate", "--benchmark", "m2kr:EVQA", "--images", str(folder), *of_m2kr, *preset, *var]
    evaluate += ["--output", str(tmp_path / "out")]
    build = shlex.join(["kb", "build", "--from", "m2kr:EVQA", *of_m2kr, *preset, *var])
    assert f"make it with `python -m rag_app {build}`" in fails(capsys, evaluate)
    assert main(["kb", "build", "--from", "m2kr:EVQA", *of_m2kr, *preset, *var]) == 0
    assert main(evaluate) == 0
    captured = capsys.readouterr()
    assert "row 3 (question q3) was not asked: there is no picture at" in captured.err
    assert "3 of 4 rows scored, 1 reported" in captured.out
    report = read_json(tmp_path / "out" / "report.json")
    names = list(report["metrics"])
    assert names[:2] == ["Recall@5", "Pseudo-Recall@5"]
    assert {f"{kind}@{k}" for kind in ("Recall", "Pseudo-Recall") for k in (1, 5, 10, 20, 50, 100, 500)} <= set(names)
    assert "E-VQA exact match" in names
    assert "E-VQA" not in names
    rows = read_lines(tmp_path / "out" / "predictions.jsonl")
    assert all(len(row["passage_ids"]) == N_PASSAGES for row in rows)  # all that there are, up to 500
    positives = {"q1": {"EVQA_3"}, "q2": {"EVQA_4", "EVQA_5"}, "q4": {"EVQA_7"}}
    hits = [bool(positives[row["question_id"]] & set(row["passage_ids"][:5])) for row in rows]
    assert report["metrics"]["Recall@5"] == pytest.approx(sum(hits) / 3, abs=1e-6)
    assert report["metrics"]["Recall@500"] == 1.0
    assert report["manifest"]["benchmark"] == "m2kr-evqa-test"
    assert len(read_lines(tmp_path / "out" / "worst.jsonl")[0]["passages"]) == 3  # those that were read


def searched(world: Path, folder: Path, output: Path, *more: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The report and what was found for each question."""
    common = ["--folder", str(folder), "--preset", str(world / "tiny.toml"), "--var", str(output.parent / "var")]
    assert main(["kb", "build", "--from", "m2kr:EVQA", *common]) == 0
    evaluate = ["evaluate", "--benchmark", "m2kr:EVQA", "--images", str(folder), "--output", str(output), *common]
    assert main([*evaluate, *more]) == 0
    details = {row["question_id"]: row for row in read_lines(output / "details.jsonl")}
    return read_json(output / "report.json"), details


def test_a_question_without_a_picture_is_searched_with_a_black_one(world: Path, folder: Path, tmp_path: Path) -> None:
    report, black = searched(world, folder, tmp_path / "black")
    assert report["manifest"]["black_picture"] == "336 x 336"
    assert "searched with a black one" in (tmp_path / "black" / "report.html").read_text("utf-8")
    bare_report, bare = searched(world, folder, tmp_path / "bare", "--no-black-picture")
    assert "black_picture" not in bare_report["manifest"]
    assert "searched with a black one" not in (tmp_path / "bare" / "report.html").read_text("utf-8")
    assert black["q1"]["passage_scores"] == bare["q1"]["passage_scores"]  # it has a picture
    assert black["q2"]["passage_scores"] != bare["q2"]["passage_scores"]
    Image.new("RGB", (336, 336)).save(folder / "black.png")
    change_questions(folder, img_path=["inat/a.png", "black.png", "inat/gone.png", "inat/a.png"])
    given_report, given = searched(world, folder, tmp_path / "given")
    assert "black_picture" not in given_report["manifest"]  # every question has a picture
    assert black["q2"]["passage_scores"] == pytest.approx(given["q2"]["passage_scores"], abs=1e-5)


def test_runs_with_and_without_the_black_picture_are_not_mixed(
    world: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched(world, folder, tmp_path / "out")
    again = ["evaluate", "--benchmark", "m2kr:EVQA", "--images", str(folder), "--folder", str(folder)]
    again += ["--preset", str(world / "tiny.toml"), "--var", str(tmp_path / "var"), "--output", str(tmp_path / "out")]
    capsys.readouterr()
    assert "black_picture" in fails(capsys, [*again, "--no-black-picture"])


def test_the_black_picture_is_m2krs_alone(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"question_id": "q", "image": None, "question": "Which?", "answers": ["it"]}
    (tmp_path / "q.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    given = ["evaluate", "--dataset", str(tmp_path / "q.jsonl"), "--output", str(tmp_path / "out")]
    assert "--no-black-picture belongs to --benchmark m2kr:NAME" in fails(capsys, [*given, "--no-black-picture"])


def test_faulty_benchmarks(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--output", str(tmp_path / "out"), "--var", str(tmp_path / "var"), "--no-retrieval"]
    assert "names no dataset" in fails(capsys, ["evaluate", "--benchmark", "m2kr:Flags", *output])
    elsewhere = ["--folder", str(tmp_path / "var")]
    assert "no parquet file" in fails(capsys, ["evaluate", "--benchmark", "m2kr:EVQA", *elsewhere, *output])
    both = ["evaluate", "--benchmark", "m2kr:EVQA", "--dataset", "x.jsonl", *output]
    assert "not allowed with argument" in fails(capsys, both)
    assert "--folder and --split belong to --benchmark" in fails(
        capsys, ["evaluate", "--dataset", "x.jsonl", *elsewhere, *output]
    )
    assert "required" in fails(capsys, ["evaluate", *output])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("WIT", ["Recall@10", "Exact match"]),
        ("IGLUE", ["Recall@1", "Exact match"]),
        ("LLaVA", ["Recall@1", "Exact match"]),
        ("KVQA", ["Recall@5", "Exact match"]),
        ("OVEN", ["Recall@5", "Exact match"]),
        ("EVQA", ["Recall@5", "Pseudo-Recall@5", "E-VQA exact match"]),
        ("OKVQA", ["Recall@5", "Pseudo-Recall@5", "OK-VQA accuracy (stemmed)", "OK-VQA accuracy (unstemmed)"]),
        ("Infoseek", ["Recall@5", "Pseudo-Recall@5", "Exact match", "InfoSeek string match"]),
    ],
)
def test_headlines(name: str, expected: list[str]) -> None:
    assert headlines(name) == expected
    assert headlines("EVQA", bem=True) == ["Recall@5", "Pseudo-Recall@5", "E-VQA", "E-VQA exact match"]


@pytest.fixture
def evaluate(world: Path, folder: Path, tmp_path: Path) -> list[str]:
    """The benchmark of a knowledge base of its own, into a folder that is named last."""
    command = ["evaluate", "--benchmark", "m2kr:EVQA", "--images", str(folder), "--folder", str(folder)]
    preset = ["--preset", str(world / "tiny.toml"), "--set", "batch_size=1", "--var", str(tmp_path / "var")]
    return [*command, *preset, "--kb", str(world / "passages.jsonl"), "--output"]


def test_the_full_score_asks_bem_where_exact_match_fails(
    evaluate: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bem = save_bem(tmp_path / "bem")
    assert main([*evaluate, str(tmp_path / "bare")]) == 0
    given = [row["answer"] for row in read_lines(tmp_path / "bare" / "predictions.jsonl")]
    model, words = load_bem(bem), ["lima", "oslo", "red", "blue", "what is it", "a city"]
    lists = [f"{one}&&{other}" for one in words for other in words]
    unequal = next(one for one in lists if not model.match(str(QUESTIONS[1]), [one], given[1], lists=True))
    equivalent = next(one for one in words if model.match("", [one], given[2]))
    change_questions(folder, answers=[["x", f"y|{given[0]}"], [unequal], ["6"], [f"{equivalent}|blue"]])
    capsys.readouterr()
    assert main([*evaluate, str(tmp_path / "out"), "--bem", str(bem)]) == 0
    captured = capsys.readouterr()
    assert "answers scored with BEM: 3 of 3" in captured.err
    report = read_json(tmp_path / "out" / "report.json")
    assert list(report["metrics"])[:4] == ["Recall@5", "Pseudo-Recall@5", "E-VQA", "E-VQA exact match"]
    assert report["judged_by"] == {"E-VQA": 3}
    rows = read_lines(tmp_path / "out" / "scores.jsonl")
    assert [row["scores"]["E-VQA exact match"] for row in rows] == [1.0, 0.0, 0.0]
    assert [row["scores"]["E-VQA"] for row in rows] == [1.0, 0.0, 1.0]
    assert report["metrics"]["E-VQA"] == pytest.approx(2 / 3, abs=1e-6)


def test_scores_of_different_checkpoints_of_bem_are_never_mixed(
    evaluate: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (["--bem", str(save_bem(tmp_path / f"bem{seed}", seed=seed))] for seed in (0, 1))
    whole, late = str(tmp_path / "whole"), str(tmp_path / "late")
    assert main([*evaluate, whole, *one]) == 0
    capsys.readouterr()
    for others in (other, []):
        line = fails(capsys, [*evaluate, whole, *others])
        assert "made with other settings (bem_fingerprint); give another --output" in line
    assert main([*evaluate, late]) == 0
    assert "E-VQA" not in read_json(tmp_path / "late" / "report.json")["metrics"]
    assert main([*evaluate, late, *one]) == 0  # nothing is asked again, and everything scored
    assert read_json(tmp_path / "late" / "report.json")["manifest"]["resumed_questions"] == 3
    assert results(tmp_path / "late") == results(tmp_path / "whole")
    parts = [str(tmp_path / f"part{number}") for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        shard = ["--shard", f"{min(number, 2)}/2"]
        assert main([*evaluate, part, *shard, *(other if number == 3 else one)]) == 0
    merge = ["evaluate", "merge", parts[0]]
    capsys.readouterr()
    assert "with other settings" in fails(capsys, [*merge, parts[2], "--output", str(tmp_path / "mixed")])
    assert main([*merge, parts[1], "--output", str(tmp_path / "merged")]) == 0
    assert results(tmp_path / "merged") == results(tmp_path / "whole")


def test_bem_is_checked_before_anything_is_loaded(
    evaluate: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, nowhere = str(tmp_path / "out"), str(tmp_path / "none")
    assert "BEM: " in (line := fails(capsys, [*evaluate, out, "--bem", nowhere]))
    assert "none holds no checkpoint of BEM: there is no config.json" in line
    bem = ["--bem", str(save_bem(tmp_path / "bem"))]
    okvqa = [one.replace("EVQA", "OKVQA") for one in evaluate]
    assert "--bem belongs to --benchmark m2kr:EVQA and evqa:FOLDER" in fails(capsys, [*okvqa, out, *bem])
    published = ["evaluate", "--benchmark", f"okvqa:{tmp_path}", "--output", out, *bem]
    assert "--bem belongs to --benchmark" in fails(capsys, published)
    assert "--bem belongs to --benchmark" in fails(capsys, ["evaluate", "--dataset", "x.jsonl", "--output", out, *bem])
    assert not (tmp_path / "out").exists()


def test_answers_are_scored_by_the_benchmarks_rules(folder: Path) -> None:
    dataset = open_m2kr(M2krSource.parse("m2kr:EVQA", folder), images=folder)
    first, second, _ = dataset.examples
    score = extra_scores("EVQA")
    assert score is not None
    assert score(first, "three") == {"E-VQA exact match": 1.0}
    assert score(second, "5 and 4") == {"E-VQA exact match": 1.0}
    assert score(second, "6") == {"E-VQA exact match": 0.0}
    okvqa = extra_scores("OKVQA")
    assert okvqa is not None
    assert set(okvqa(first, "3")) == {"OK-VQA accuracy (stemmed)", "OK-VQA accuracy (unstemmed)"}
    assert extra_scores("WIT") is None
    infoseek = extra_scores("Infoseek")
    assert infoseek is not None
    assert infoseek(first, "the Three, 3 leaves") == {"InfoSeek string match": 0.0}
    assert infoseek(first, "The 3!") == {"InfoSeek string match": 1.0}
    assert infoseek(replace(first, question_type="Numerical"), "3") == {}


@pytest.mark.parametrize("name", ["Infoseek", "KVQA", "OVEN"])
def test_without_a_metric_of_their_own_answers_are_judged_by_exact_match(
    name: str, world: Path, folder: Path, tmp_path: Path
) -> None:
    """Also where a question has many answers: here these are spellings, not people's answers."""
    for part in ("data", "passages"):
        (folder / f"EVQA_{part}").rename(folder / f"{name}_{part}")
    evaluate = ["evaluate", "--benchmark", f"m2kr:{name}", "--images", str(folder), "--folder", str(folder)]
    evaluate += ["--preset", str(world / "tiny.toml"), "--var", str(tmp_path / "var"), "--no-retrieval", "--output"]
    assert main([*evaluate, str(tmp_path / "first")]) == 0
    given = [row["answer"] for row in read_lines(tmp_path / "first" / "predictions.jsonl")]
    file = folder / f"{name}_data" / "test-0.parquet"
    table = pq.read_table(file)
    answers = [[given[0]], [given[1], *map(str, range(14))], ["6"], [given[2], "other"]]
    place = table.column_names.index("answers")
    pq.write_table(table.set_column(place, "answers", pa.array(answers)), file)
    assert main([*evaluate, str(tmp_path / "out")]) == 0
    report = read_json(tmp_path / "out" / "report.json")
    assert next(iter(report["metrics"].items())) == ("Exact match", 1.0)
    assert ("InfoSeek string match" in report["metrics"]) == (name == "Infoseek")
    assert report["judged_by"] == {"Exact match": 3}
    assert report["verdicts"] == {"right": 3}


def change_questions(folder: Path, **columns: Any) -> None:  # noqa: ANN401 - lists of any column's type
    """Puts other columns in place of those of the same names."""
    file = folder / "EVQA_data" / "test-0.parquet"
    pq.write_table(pa.table({**pq.read_table(file).to_pydict(), **columns}), file)


def test_rows_with_a_fault_are_reported_and_the_others_asked(
    world: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_questions(
        folder,
        question_id=["q1", None, "q3", "q1"],
        img_path=["inat/a.png"] * 4,
        pos_item_ids=[["EVQA_3"], ["EVQA_4"], ["EVQA_6", None], ["EVQA_7"]],
    )
    evaluate = ["evaluate", "--benchmark", "m2kr:EVQA", "--images", str(folder), "--folder", str(folder)]
    evaluate += ["--preset", str(world / "tiny.toml"), "--var", str(tmp_path / "var"), "--no-retrieval"]
    assert main([*evaluate, "--output", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "row 2 was not asked: m2kr-evqa-test: no question_id; check" in captured.err
    what = "pos_item_ids is not a list of texts or whole numbers but a list of str and null; check"
    assert f"row 3 (question q3) was not asked: m2kr-evqa-test: {what}" in captured.err
    assert "row 4 (question q1) was not asked: question_id 'q1' is already in row 1" in captured.err
    assert "1 of 4 rows scored, 3 reported" in captured.out


def test_pictures_outside_the_folder_are_not_opened(folder: Path, tmp_path: Path) -> None:
    secret = save_picture(tmp_path / "secret.png")
    places = ["../secret.png", str(secret), "inat/../../secret.png", "inat/a.png"]
    change_questions(folder, img_path=places, question=["What is it?"] * 4)
    dataset = open_m2kr(M2krSource.parse("m2kr:EVQA", folder), images=folder)
    assert [example.question_id for example in dataset.examples] == ["q4"]
    for place, problem in zip(places, dataset.problems, strict=False):
        assert problem.problem == f"its picture must be a path inside the picture folder, not {place!r}"
        assert not problem.no_picture


@pytest.mark.parametrize("name", ["EVQA", "OKVQA", "Infoseek", "OVEN", "LLaVA", "MSMARCO"])
def test_a_question_without_a_text_is_a_fault(name: str, folder: Path) -> None:
    change_questions(folder, question=["How many leaves?", "How many?", None, "  "], img_path=["inat/a.png"] * 4)
    (folder / "EVQA_data").rename(folder / f"{name}_data")
    dataset = open_m2kr(M2krSource.parse(f"m2kr:{name}", folder), images=folder)
    assert [example.question_id for example in dataset.examples] == ["q1", "q2"]
    message = "the question is empty; of M2KR only WIT, IGLUE, KVQA, CC ask with a picture alone"
    assert [(one.line, one.problem) for one in dataset.problems] == [(3, message), (4, message)]


@pytest.mark.parametrize("name", ["WIT", "IGLUE", "KVQA", "CC"])
def test_a_picture_alone_asks_where_that_is_the_task(name: str, folder: Path) -> None:
    pictures = ["inat/a.png", "inat/a.png", None, "inat/gone.png"]
    change_questions(folder, question=[None, "", None, None], img_path=pictures)
    (folder / "EVQA_data").rename(folder / f"{name}_data")
    dataset = open_m2kr(M2krSource.parse(f"m2kr:{name}", folder), images=folder)
    assert [(example.question_id, example.question) for example in dataset.examples] == [("q1", ""), ("q2", "")]
    without, absent = dataset.problems
    assert "the question is empty; write" in without.problem
    assert absent.no_picture


@pytest.mark.parametrize("name", ["Infoseek", "OVEN"])
def test_ovens_pictures_are_found_in_its_folders_and_without_them(name: str, folder: Path) -> None:
    with_folder, without = "04/oven_04000000.jpg", "oven_04000000.jpg"
    change_questions(folder, img_path=[with_folder, without, "oven_05000000.jpg", None], question=["Which?"] * 4)
    (folder / "EVQA_data").rename(folder / f"{name}_data")
    (folder / "04").mkdir()
    for place, instead in ((with_folder, without), (without, with_folder)):
        save_picture(folder / place)
        dataset = open_m2kr(M2krSource.parse(f"m2kr:{name}", folder), images=folder)
        assert [str(example.image) for example in dataset.examples] == [place, place, "None"]
        (problem,) = dataset.problems
        assert problem.no_picture
        assert f"there is no picture at {folder / 'oven_05000000.jpg'}; give" in problem.problem
        (folder / place).unlink()
        assert not (folder / instead).exists()


def test_folders_of_pictures_are_tried_in_turn(
    world: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first"
    (first / "inat").mkdir(parents=True)
    save_picture(first / "inat" / "gone.png")
    dataset = open_m2kr(M2krSource.parse("m2kr:EVQA", folder), images=[first, folder])
    assert [dataset.picture_of(example) for example in dataset.examples if example.question_id in ("q1", "q3")] == [
        folder / "inat" / "a.png",
        first / "inat" / "gone.png",
    ]
    (first / "inat" / "gone.png").unlink()
    evaluate = ["evaluate", "--benchmark", "m2kr:EVQA", "--folder", str(folder), "--no-retrieval"]
    evaluate += ["--images", str(first), "--images", str(folder), "--output", str(tmp_path / "out")]
    assert main([*evaluate, "--preset", str(world / "tiny.toml"), "--var", str(tmp_path / "var")]) == 0
    captured = capsys.readouterr()
    gone = Path("inat", "gone.png")
    assert (
        f"(question q3) was not asked: there is no picture at {first / gone} or {folder / gone}; give" in captured.err
    )
    assert "3 of 4 rows scored" in captured.out


def test_whole_numbers_serve_as_ids_and_are_written_as_such(world: Path, folder: Path, tmp_path: Path) -> None:
    change_questions(folder, question_id=[11, 12, 13, 14])
    evaluate = ["evaluate", "--benchmark", "m2kr:EVQA", "--images", str(folder), "--folder", str(folder)]
    evaluate += ["--preset", str(world / "tiny.toml"), "--var", str(tmp_path / "var"), "--no-retrieval"]
    assert main([*evaluate, "--output", str(tmp_path / "out")]) == 0
    assert [row["question_id"] for row in read_lines(tmp_path / "out" / "predictions.jsonl")] == [11, 12, 14]


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as `datasets` sees a repository of the hub, its parts named in the card."""
    parts = (("EVQA_passages", "test_passages"), ("EVQA_data", "test"))
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: {split}\n    path: {name}/{split}-*\n"
        for name, split in parts
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    monkeypatch.setattr("knowledge_bases.m2kr.M2KR_HUB", str(folder))
    return folder


def test_the_hub_gives_what_a_folder_gives(hub: Path) -> None:
    from_hub, from_folder = M2krSource.parse("m2kr:EVQA"), M2krSource.parse("m2kr:EVQA", hub)
    assert list(from_hub.questions()) == list(from_folder.questions())
    assert len(list(from_hub.passages())) == N_PASSAGES
    assert open_m2kr(from_hub, images=hub) == open_m2kr(from_folder, images=hub)
    with pytest.raises(ValueError, match=r"cannot read EVQA_data \(train\): there is no such split; there are test$"):
        next(M2krSource.parse("m2kr:EVQA/train").questions())
    with pytest.raises(ValueError, match=r"cannot read OVEN_data \(test\): .*EVQA_data"):
        next(M2krSource.parse("m2kr:OVEN").questions())


def test_a_connection_that_breaks_off_is_one_line(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ConnectError(Exception):
        """That of an HTTP client, which is none of Python's own."""

    def refused(*_: object) -> None:
        raise ConnectError("[Errno 111] Connection refused")

    monkeypatch.setattr(datasets.DownloadManager, "download", refused)
    with pytest.raises(InputError, match=r"^cannot read EVQA_data \(test\): \[Errno 111\] Connection refused$"):
        open_m2kr(M2krSource.parse("m2kr:EVQA"), images=hub)


def test_files_of_the_hub_are_read_as_files_and_closed_where_reading_ends_early(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` would stream them, with threads that may outlive the interpreter, which then aborts."""

    def streamed(*_: object) -> None:
        raise AssertionError("it is streamed")

    def stopping(question: str) -> None:
        raise KeyboardInterrupt

    def closing(file: pq.ParquetFile, *given: object) -> None:
        close(file, *given)
        closed.append(True)

    closed: list[bool] = []
    close = pq.ParquetFile.close
    monkeypatch.setattr(datasets.IterableDataset, "__iter__", streamed)
    monkeypatch.setattr(pq.ParquetFile, "close", closing)
    source = M2krSource.parse("m2kr:EVQA")
    passages = source.passages()
    assert source.passage_of(next(passages)).passage_id == "EVQA_0"
    passages.close()
    assert closed == [True]
    monkeypatch.setattr("rag_app.datasets.check_question", stopping)
    with pytest.raises(KeyboardInterrupt) as kept:
        open_m2kr(source, images=hub)
    assert closed == [True, True]
    assert kept.value.__traceback__ is not None  # which would keep what is not closed


def test_a_folder_is_read_without_datasets(folder: Path) -> None:
    program = f"""if True:
        import sys
        from pathlib import Path
        from knowledge_bases.m2kr import M2krSource
        rows = M2krSource.parse("m2kr:EVQA", Path({str(folder)!r})).questions()
        assert next(rows)["question_id"] == "q1"
        rows.close()
        sys.exit("datasets" in sys.modules)
    """
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
