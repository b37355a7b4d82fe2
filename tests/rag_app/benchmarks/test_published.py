"""`evaluate --benchmark KIND:FOLDER` on files in the columns that the benchmarks publish."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_app.benchmarks import evqa
from rag_app.benchmarks.equivalence import with_bem
from rag_app.benchmarks.opening import Benchmark, open_benchmark
from rag_app.cli import main
from rag_app.errors import InputError
from rag_app.evaluation.outcomes import Outcome
from rag_app.evaluation.report import make_report
from rag_app.metrics.bem import load_bem
from rag_app.scoring.rows import read_rows
from rag_app.scoring.scorers import SCORERS, Context
from tests.rag_app.evaluation.conftest import read_json
from tests.rag_app.test_cli import fails
from tests.tiny import save_bem, save_picture


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(path)


def save_json(path: Path, value: Any) -> None:  # noqa: ANN401 - any JSON value
    path.write_text(json.dumps(value), encoding="utf-8")


def save_lines(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def okvqa(folder: Path, images: Path) -> None:
    questions = [
        {"image_id": 297147, "question": "What sport is this?", "question_id": 2971475},
        {"image_id": 339761, "question": "Which plant is it?", "question_id": 3397615},
        {"image_id": 357586, "question": "Who wears these?", "question_id": 3575865},
    ]
    head = {"info": {"version": "1.0"}, "task_type": "Open-Ended", "data_type": "mscoco", "data_subtype": "val2014"}
    save_json(folder / "OpenEnded_mscoco_val2014_questions.json", {**head, "license": {}, "questions": questions})
    words = {2971475: [("racing", "race")] * 6 + [("motocross", "motocross")] * 4, 3397615: [("vine", "vine")] * 10}
    words[3575865] = [("firefighters", "firefight")] * 10
    annotations = [
        {
            "image_id": row["image_id"],
            "answer_type": "other",
            "question_type": "one",
            "question_id": row["question_id"],
            "answers": [
                {"answer_id": number, "raw_answer": raw, "answer_confidence": "yes", "answer": stemmed}
                for number, (raw, stemmed) in enumerate(words[int(str(row["question_id"]))], start=1)
            ],
            "confidence": 3,
        }
        for row in questions
    ]
    document = {**head, "license": {}, "question_types": {"one": "Vehicles"}, "annotations": annotations}
    save_json(folder / "mscoco_val2014_annotations.json", document)
    picture(images / "val2014" / "COCO_val2014_000000297147.jpg")
    picture(images / "COCO_val2014_000000339761.jpg")


def aokvqa(folder: Path, images: Path) -> None:
    common = {"split": "val", "choices": ["a", "b", "c", "d"], "correct_choice_idx": 3, "rationales": ["r"] * 3}
    rows = [
        {"image_id": 299207, "question_id": "22Mex", "question": "What is held?", "difficult_direct_answer": False},
        {"image_id": 299207, "question_id": "2aVVy", "question": "Which one?", "difficult_direct_answer": True},
        {"image_id": 1, "question_id": "2wAeN", "question": "What next?", "difficult_direct_answer": False},
    ]
    answers = ["ski"] * 2 + ["snowboard"] * 8
    save_json(folder / "aokvqa_v1p0_val.json", [{**common, **row, "direct_answers": answers} for row in rows])
    picture(images / "val2017" / "000000299207.jpg")


EVQA_COLUMNS = [
    "question",
    "answer",
    "dataset_image_ids",
    "dataset_name",
    "dataset_category_id",
    "question_type",
    "wikipedia_url",
    "wikipedia_title",
    "evidence",
    "evidence_section_id",
    "evidence_section_title",
    "encyclopedic_vqa_split",
    "question_original",
]


def evqa_files(folder: Path, images: Path) -> None:
    rows = [
        ("How tall, roughly?", "10 m|ten metres", "2686843|77|5", "inaturalist", "templated"),
        ("Which colours?", "red&&white", "00cba0067c078490", "landmarks", "multi_answer"),
    ]
    with (folder / "test.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, EVQA_COLUMNS, restval="x")
        writer.writeheader()
        names = ("question", "answer", "dataset_image_ids", "dataset_name", "question_type")
        writer.writerows(dict(zip(names, row, strict=True)) for row in rows)
    entries = [
        {"id": 2686843, "width": 500, "height": 333, "file_name": "val/06372_Plantae/a.jpg", "license": 0},
        {"id": 77, "width": 500, "height": 333, "file_name": "val/06372_Plantae/b.jpg", "license": 0},
        {"id": 78, "width": 500, "height": 333, "file_name": "val/06372_Plantae/c.jpg", "license": 0},
    ]
    picture(images / "inat" / "val" / "06372_Plantae" / "a.jpg")
    picture(images / "inat" / "val" / "06372_Plantae" / "b.jpg")
    picture(images / "google-landmark" / "train" / "0" / "0" / "c" / "00cba0067c078490.jpg")
    annotations = [{"id": 1, "image_id": 2686843, "category_id": 6372}]
    document = {"info": {"year": 2021}, "images": entries, "categories": [], "annotations": annotations}
    save_json(images / "inat" / "val.json", document)


def infoseek(folder: Path, images: Path) -> None:
    rows = [
        ("oven_04925662", ["Alps", "the Alpine range"], ["Alps", "the Alpine range"], "val_unseen_question", "String"),
        ("oven_04925663", ["10"], [{"wikidata": 10.0, "range": [9.0, 11.0]}], "val_unseen_entity", "Numerical"),
        ("oven_00000001", ["1871"], ["1871"], "val_unseen_entity", "Time"),
    ]
    save_lines(
        folder / "infoseek_val.jsonl",
        *(
            {
                "data_id": f"infoseek_val_{number:08}",
                "image_id": image,
                "question": "Which one?",
                "answer": answer,
                "answer_eval": evaluated,
                "data_split": split,
            }
            for number, (image, answer, evaluated, split, _) in enumerate(rows)
        ),
    )
    types = ({"data_id": f"infoseek_val_{n:08}", "question_type": row[4]} for n, row in enumerate(rows))
    save_lines(folder / "infoseek_val_qtype.jsonl", *types)
    picture(images / "04" / "oven_04925662.jpg")
    picture(images / "oven_04925663.JPEG")


SAVE: dict[str, Callable[[Path, Path], None]] = {
    "okvqa": okvqa,
    "aokvqa": aokvqa,
    "evqa": evqa_files,
    "infoseek": infoseek,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path


def opened(kind: str, folder: Path) -> Benchmark:
    SAVE[kind](folder, folder / "pictures")
    return open_benchmark(f"{kind}:{folder}", images=folder / "pictures")


def scores(benchmark: Benchmark, *answers: str) -> list[dict[str, float]]:
    assert benchmark.extra is not None
    return [benchmark.extra(one, text) for one, text in zip(benchmark.dataset.examples, answers, strict=True)]


@pytest.mark.parametrize(
    ("kind", "pictures", "absent"),
    [
        ("okvqa", ["val2014/COCO_val2014_000000297147.jpg", "COCO_val2014_000000339761.jpg"], ["3575865"]),
        ("aokvqa", ["val2017/000000299207.jpg"] * 2, ["2wAeN"]),
        (
            "evqa",
            [
                "inat/val/06372_Plantae/a.jpg",
                "inat/val/06372_Plantae/b.jpg",
                "google-landmark/train/0/0/c/00cba0067c078490.jpg",
            ],
            ["0.3"],
        ),
        ("infoseek", ["04/oven_04925662.jpg", "oven_04925663.JPEG"], ["infoseek_val_00000002"]),
    ],
)
def test_pictures_are_found_and_absent_ones_counted(
    kind: str, pictures: list[str], absent: list[str], folder: Path
) -> None:
    dataset = opened(kind, folder).dataset
    assert [str(example.image) for example in dataset.examples] == pictures
    assert [(problem.question_id, problem.no_picture) for problem in dataset.problems] == [
        (one, True) for one in absent
    ]
    assert "there is no picture at" in dataset.problems[0].problem


def test_okvqa_uses_the_published_stems(folder: Path) -> None:
    first, second = scores(opened("okvqa", folder), "racing", "vines")
    assert first == {"OK-VQA accuracy (stemmed)": 1.0, "OK-VQA accuracy (unstemmed)": 0.0}
    assert second == {"OK-VQA accuracy (stemmed)": 1.0, "OK-VQA accuracy (unstemmed)": 0.0}


def test_aokvqa_leaves_difficult_questions_unscored(folder: Path) -> None:
    benchmark = opened("aokvqa", folder)
    assert scores(benchmark, "ski", "ski") == [{"A-OKVQA direct answer": pytest.approx(2 / 3)}, {}]
    assert benchmark.dataset.examples[1].answers == ()


def test_evqa_asks_about_each_picture(folder: Path) -> None:
    benchmark = opened("evqa", folder)
    assert [example.question_id for example in benchmark.dataset.examples] == ["0", "0.2", "1"]
    found = scores(benchmark, "ten metres", "11 m", "white and red")
    assert [one["E-VQA exact match"] for one in found] == [1.0, 0.0, 1.0]


def test_evqas_full_score_is_that_of_score_for_each_picture(folder: Path) -> None:
    benchmark = opened("evqa", folder)
    assert benchmark.extra is not None
    assert benchmark.bem is None
    bem = load_bem(save_bem(folder / "bem"))
    examples = benchmark.dataset.examples
    published = read_rows(folder / "test.csv")
    seen = set()
    for answers in (["ten metres", "lima", "oslo"], ["what is it", "city", "white and red"], ["red", "blue", "a city"]):
        found = with_bem(benchmark.extra, bem)(examples, answers)
        for example, answer, one in zip(examples, answers, found, strict=True):
            row = published[example.question_id.partition(".")[0]]
            scored = SCORERS["evqa"](row, {"answer": answer}, Context(bem=bem))
            assert scored is not None
            assert one == {"E-VQA": scored["E-VQA"]}
            seen.add((scored["E-VQA exact match"], scored["E-VQA"]))
    assert {(1.0, 1.0), (0.0, 1.0)} <= seen
    named = open_benchmark(f"evqa:{folder}", images=folder / "pictures", bem=folder / "bem")
    assert named.bem == folder / "bem"
    assert named.settings["headline"] == ["E-VQA", "E-VQA exact match"]
    unanswerable = replace(examples[0], answers=())
    assert with_bem(benchmark.extra, bem)([unanswerable, examples[1]], ["x", "x"])[0] == {}


def test_inaturalist_names_are_read_across_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evqa, "_CHARACTERS_AT_ONCE", 7)
    assert len(opened("evqa", folder).dataset.examples) == 3


def test_infoseek_is_scored_by_type_and_split(folder: Path) -> None:
    found = scores(opened("infoseek", folder), "alpine range.", "about 10.5")
    assert found == [{"InfoSeek unseen question accuracy": 1.0}, {"InfoSeek unseen entity accuracy": 1.0}]


def test_infoseeks_total_is_the_harmonic_mean_of_its_splits() -> None:
    given = [("unseen question", 1.0), ("unseen question", 0.0), ("unseen entity", 1.0), ("unseen entity", 1.0)]
    given.append(("unseen entity", 0.0))
    outcomes = [
        Outcome(
            line=number,
            question_id=str(number),
            question_type="String",
            answer="a",
            confidence=0.5,
            abstained=False,
            verdict="right",
            judge=f"InfoSeek {split} accuracy",
            scores={"VQA accuracy": 0.0, f"InfoSeek {split} accuracy": score},
        )
        for number, (split, score) in enumerate(given)
    ]
    report = make_report(outcomes, [], manifest={"headline": ["InfoSeek"]})
    assert next(iter(report["metrics"].items())) == ("InfoSeek", pytest.approx(0.5714))  # of 50 and 66.67
    assert report["counts"]["InfoSeek"] == 5
    assert report["calibration"]["ECE"] == pytest.approx(0.1)  # 3 of 5 are right by its own rule
    assert "InfoSeek" not in make_report(outcomes[:2], [], manifest={})["metrics"]


def test_from_the_command_line(world: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    okvqa(folder, folder / "pictures")
    evaluate = ["evaluate", "--benchmark", f"okvqa:{folder}", "--images", str(folder / "pictures")]
    evaluate += ["--preset", str(world / "tiny.toml"), "--var", str(world / "var"), "--output", str(folder / "out")]
    assert "brings no passages; give a knowledge base with --kb" in fails(capsys, evaluate)
    assert "--oracle needs the right passages" in fails(capsys, [*evaluate, "--oracle"])
    assert main([*evaluate, "--kb", str(world / "passages.jsonl")]) == 0
    captured = capsys.readouterr()
    assert "2 of 3 rows scored, 1 reported (1 for want of their picture)" in captured.out
    assert "question 3575865" in captured.err
    report = read_json(folder / "out" / "report.json")
    assert list(report["metrics"])[:2] == ["OK-VQA accuracy (stemmed)", "OK-VQA accuracy (unstemmed)"]
    assert report["counts"]["no picture"] == 1
    assert report["manifest"]["benchmark"] == "okvqa-val"


def test_faulty_folders_are_one_line(folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds no questions; it should be called aokvqa_v1p0_test\.json"):
        open_benchmark(f"aokvqa:{folder}", split="test", images=None)
    with pytest.raises(InputError, match="okvqa has no split 'test'; choose one of val, train"):
        open_benchmark(f"okvqa:{folder}", split="test", images=None)
    with pytest.raises(InputError, match="there is no folder 'nowhere'; write evqa:FOLDER"):
        open_benchmark("evqa:nowhere", images=None)
    with pytest.raises(InputError, match=r"names no dataset; .*or one of okvqa:FOLDER"):
        open_benchmark("flags", images=None)
    okvqa(folder, folder / "pictures")
    save_json(folder / "mscoco_val2014_annotations.json", {"annotations": [{"question_id": 2971475, "answers": "x"}]})
    with pytest.raises(InputError, match=r"no question that can be asked; row 1: 'answers' must be .*and 2 more such"):
        open_benchmark(f"okvqa:{folder}", images=None)


def change_json(path: Path, key: str | None, change: Callable[[list[Any]], object]) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document[key] if key else document)
    save_json(path, document)


def faulty_okvqa(folder: Path) -> None:
    def questions(rows: list[Any]) -> None:
        rows.insert(1, {**rows[0], "question": "Again?"})
        rows += [{**rows[0], "question_id": 7}, 5, {**rows[0], "question_id": 8, "image_id": "x"}]

    def annotations(rows: list[Any]) -> None:
        rows += ["no object", {**rows[0], "question_id": 8}]

    change_json(folder / "OpenEnded_mscoco_val2014_questions.json", "questions", questions)
    change_json(folder / "mscoco_val2014_annotations.json", "annotations", annotations)


def faulty_aokvqa(folder: Path) -> None:
    def rows(found: list[Any]) -> None:
        found.insert(0, {**found[0], "question_id": "first", "image_id": None})
        found += [[], {**found[1], "question_id": "last", "direct_answers": ["ski", None]}]

    change_json(folder / "aokvqa_v1p0_val.json", None, rows)


def faulty_evqa(folder: Path) -> None:
    text = (folder / "test.csv").read_text("utf-8")
    line = next(one for one in text.split("\n") if "landmarks" in one)
    lines = [line.replace("00cba0067c078490", ""), "short", 'x"y "z', f'"open,{line}']
    (folder / "test.csv").write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


def faulty_infoseek(folder: Path) -> None:
    path, types = folder / "infoseek_val.jsonl", folder / "infoseek_val_qtype.jsonl"
    rows = path.read_text("utf-8").split("\n")
    half = rows[0].replace("infoseek_val_00000000", "half" + r"\ud800")
    unknown = rows[0].replace("infoseek_val_00000000", "unknown")
    path.write_text("\n".join(['"bad"', "", *rows[:-1], "{", half, unknown, ""]), encoding="utf-8")
    kinds = json.dumps({"data_id": "half\ud800", "question_type": "String"}) + "\n[]\n"
    types.write_text(types.read_text("utf-8") + kinds, encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "spoil", "asked", "reported"),
    [
        (
            "okvqa",
            faulty_okvqa,
            ["2971475", "3397615"],
            {
                2: ("2971475", "comes twice, first in row 1"),
                4: ("3575865", "there is no picture"),
                5: ("7", "no sound annotation"),
                6: (None, "a row must be a JSON object, not int"),
                7: ("8", "'image_id' must be a whole number, not 'x'"),
            },
        ),
        (
            "aokvqa",
            faulty_aokvqa,
            ["22Mex", "2aVVy"],
            {
                1: ("first", "'image_id' is missing"),
                4: ("2wAeN", "there is no picture"),
                5: (None, "a row must be a JSON object"),
                6: ("last", "'direct_answers' must be a list of texts"),
            },
        ),
        (
            "evqa",
            faulty_evqa,
            ["0", "0.2", "1"],
            {
                1: ("0.3", "there is no picture"),
                3: ("2", "'dataset_image_ids' names no picture"),
                4: ("3", "'dataset_image_ids' names no picture"),
                5: ("4", "'dataset_image_ids' names no picture"),
                6: (None, "unexpected end of data; check the quotes"),
            },
        ),
        (
            "infoseek",
            faulty_infoseek,
            ["infoseek_val_00000000", "infoseek_val_00000001"],
            {
                1: (None, "a row must be a JSON object"),
                5: ("infoseek_val_00000002", "there is no picture"),
                6: (None, "Expecting"),
                7: ("half\\ud800", "half a character"),
                8: ("unknown", "its type is not known, since infoseek_val_qtype.jsonl, row 5, is faulty"),
            },
        ),
    ],
)
def test_rows_with_a_fault_are_reported_and_the_others_asked(
    kind: str,
    spoil: Callable[[Path], None],
    asked: list[str],
    reported: dict[int, tuple[str | None, str]],
    folder: Path,
) -> None:
    SAVE[kind](folder, folder / "pictures")
    spoil(folder)
    benchmark = open_benchmark(f"{kind}:{folder}", images=folder / "pictures")
    assert [example.question_id for example in benchmark.dataset.examples] == asked
    problems = {one.line: one for one in benchmark.dataset.problems}
    assert {line: one.question_id for line, one in problems.items()} == {
        line: question_id for line, (question_id, _) in reported.items()
    }
    for line, (_, text) in reported.items():
        assert text in problems[line].problem
    assert len(scores(benchmark, *["x"] * len(asked))) == len(asked)


@pytest.mark.parametrize(
    ("kind", "file", "spoilt"),
    [
        ("okvqa", "OpenEnded_mscoco_val2014_questions.json", []),
        ("aokvqa", "aokvqa_v1p0_val.json", []),
        ("evqa", "test.csv", ["0"]),
        ("infoseek", "infoseek_val.jsonl", ["infoseek_val_00000000"]),
    ],
)
def test_ends_of_lines_marks_and_bytes_of_other_encodings(
    kind: str, file: str, spoilt: list[str], folder: Path
) -> None:
    """Windows' ends of lines and byte order mark change nothing; a byte that is no UTF-8 ends its row, not the file."""
    usual = opened(kind, folder).dataset
    rows = (folder / file).read_bytes().replace(b"\r\n", b"\n")
    (folder / file).write_bytes(b"\xef\xbb\xbf" + rows.replace(b"\n", b"\r\n"))
    assert open_benchmark(f"{kind}:{folder}", images=folder / "pictures").dataset == usual
    if not spoilt:
        return
    (folder / file).write_bytes(rows.replace(b"Which one?" if kind == "infoseek" else b"How tall", b"\xe9t\xe9?", 1))
    changed = open_benchmark(f"{kind}:{folder}", images=folder / "pictures").dataset
    asked = [one.question_id for one in usual.examples if one.question_id.partition(".")[0] not in spoilt]
    assert [one.question_id for one in changed.examples] == asked
    assert "it is not UTF-8" in changed.problems[0].problem
    assert changed.problems[0].line == 1


def test_folders_of_pictures_are_tried_in_turn(folder: Path) -> None:
    """Those of iNaturalist's names as well."""
    evqa_files(folder, folder / "pictures")
    (folder / "pictures" / "google-landmark").rename(folder / "google-landmark")
    benchmark = open_benchmark(f"evqa:{folder}", images=[folder, folder / "pictures"])
    assert [benchmark.dataset.picture_of(example) for example in benchmark.dataset.examples] == [
        folder / "pictures" / "inat" / "val" / "06372_Plantae" / "a.jpg",
        folder / "pictures" / "inat" / "val" / "06372_Plantae" / "b.jpg",
        folder / "google-landmark" / "train" / "0" / "0" / "c" / "00cba0067c078490.jpg",
    ]


def outside_evqa(folder: Path, place: str) -> None:
    path = folder / "test.csv"
    path.write_text(path.read_text("utf-8").replace("00cba0067c078490", place), encoding="utf-8")


def outside_evqa_by_its_names(folder: Path, place: str) -> None:
    path = folder / "pictures" / "inat" / "val.json"
    path.write_text(path.read_text("utf-8").replace("val/06372_Plantae/b.jpg", f"{place}.jpg"), encoding="utf-8")


def outside_infoseek(folder: Path, place: str) -> None:
    path = folder / "infoseek_val.jsonl"
    path.write_text(path.read_text("utf-8").replace("oven_04925663", place), encoding="utf-8")


@pytest.mark.parametrize("place", ["../secret", "{}/secret"])
@pytest.mark.parametrize(
    ("kind", "lead_out", "question_id"),
    [
        ("evqa", outside_evqa, "1"),
        ("evqa", outside_evqa_by_its_names, "0.2"),
        ("infoseek", outside_infoseek, "infoseek_val_00000001"),
    ],
)
def test_pictures_outside_the_folder_are_not_opened(
    kind: str, lead_out: Callable[[Path, str], None], question_id: str, place: str, folder: Path
) -> None:
    SAVE[kind](folder, folder / "pictures")
    picture(folder / "secret.jpg")
    lead_out(folder, place.format(folder))
    dataset = open_benchmark(f"{kind}:{folder}", images=folder / "pictures").dataset
    problems = {one.question_id: one for one in dataset.problems}
    assert "must be a path inside the picture folder, not " in problems[question_id].problem
    assert not problems[question_id].no_picture


def test_a_line_of_megabytes_is_a_row_like_others(folder: Path) -> None:
    infoseek(folder, folder / "pictures")
    path = folder / "infoseek_val.jsonl"
    first, *others = path.read_text("utf-8").split("\n")
    long = json.dumps({**json.loads(first), "question": "Which? " * 1_000_000})
    path.write_text("\n".join([long, *others]), encoding="utf-8")
    dataset = open_benchmark(f"infoseek:{folder}", images=folder / "pictures").dataset
    assert [one.question_id for one in dataset.examples] == ["infoseek_val_00000001"]
    assert "the question has 7,000,000 characters; at most 2,000" in dataset.problems[0].problem


def test_a_field_of_many_lines_is_one_field(folder: Path) -> None:
    evqa_files(folder, folder / "pictures")
    path = folder / "test.csv"
    head, first, *others = path.read_text("utf-8").split("\n")
    long = first.rpartition(",")[0] + ',"' + "a line of it\n" * 20_000 + '"'
    path.write_text("\n".join([head, long, *others]), encoding="utf-8")
    dataset = open_benchmark(f"evqa:{folder}", images=folder / "pictures").dataset
    assert [one.question_id for one in dataset.examples] == ["0", "0.2", "1"]
    assert [one.question_id for one in dataset.problems] == ["0.3"]


def test_reported_rows_and_scored_rows_are_the_given_ones(
    world: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aokvqa(folder, folder / "pictures")
    faulty_aokvqa(folder)
    evaluate = ["evaluate", "--benchmark", f"aokvqa:{folder}", "--images", str(folder / "pictures"), "--no-retrieval"]
    evaluate += ["--preset", str(world / "tiny.toml"), "--var", str(world / "var")]
    assert main([*evaluate, "--output", str(folder / "out")]) == 0
    captured = capsys.readouterr()
    assert "row 1 (question first) was not asked: 'image_id' is missing" in captured.err
    assert "2 of 6 rows answered, 1 of them without a reference answer, 4 reported" in captured.out
    counts = read_json(folder / "out" / "report.json")["counts"]
    assert (counts["questions"], counts["no reference answer"], counts["A-OKVQA direct answer"]) == (2, 1, 1)
    for number in (1, 2):
        part = [*evaluate, "--output", str(folder / f"part{number}"), "--shard", f"{number}/2"]
        assert main(part) == 0
    merged = ["evaluate", "merge", str(folder / "part1"), str(folder / "part2"), "--output", str(folder / "merged")]
    assert main(merged) == 0
    assert read_json(folder / "merged" / "report.json")["counts"] == counts
    assert (
        read_json(folder / "merged" / "report.json")["problems"]
        == read_json(folder / "out" / "report.json")["problems"]
    )
