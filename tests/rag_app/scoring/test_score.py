"""The command `score` on small files in the columns that each benchmark publishes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_app.cli import main


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def document(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def score(
    capsys: pytest.CaptureFixture[str], metric: str, predictions: Path, references: list[Path], *more: str
) -> dict[str, Any]:
    paths = ["--predictions", str(predictions), "--references", *map(str, references)]
    assert main(["score", "--metric", metric, *paths, "--json", *more]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def fails(capsys: pytest.CaptureFixture[str], metric: str, predictions: Path, references: Path, *more: str) -> str:
    arguments = ["score", "--metric", metric, "--predictions", str(predictions), "--references", str(references)]
    assert main([*arguments, *more]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def test_vqa_in_the_official_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [{"answer": "Teal" if i < 4 else f"x{i}", "answer_confidence": "yes", "answer_id": i} for i in range(10)]
    annotations = [{"question_id": 7, "answers": answers}, {"question_id": 8, "answers": answers}]
    references = document(tmp_path / "annotations.json", {"annotations": annotations, "info": {}})
    given = [{"question_id": 8, "answer": "red"}, {"question_id": 7, "answer": "teal."}]
    predictions = document(tmp_path / "results.json", given)
    result = score(capsys, "vqa", predictions, [references])
    assert result == {
        "metric": "vqa",
        "metrics": {"VQA accuracy": 0.5},
        "counts": {"questions": 2, "VQA accuracy": 2, "given": 2, "unscored": 0},
    }
    for annotation in answers:
        del annotation["answer_id"]
    references = document(tmp_path / "annotations.json", {"annotations": annotations})
    assert score(capsys, "vqa", predictions, [references])["metrics"]["VQA accuracy"] == pytest.approx(0.3)


def test_our_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = lines(tmp_path / "r.jsonl", {"question_id": "q", "answers": ["a"] * 3 + ["b"] * 7})
    predictions = lines(tmp_path / "p.jsonl", {"question_id": "q", "answer": "a", "confidence": 0.4, "passage_ids": []})
    assert score(capsys, "vqa", predictions, [references])["metrics"]["VQA accuracy"] == pytest.approx(0.9)
    measured = score(capsys, "calibration", predictions, [references])["metrics"]
    assert measured == {"VQA accuracy": pytest.approx(0.9), "ECE": pytest.approx(0.5)}
    one = lines(tmp_path / "one.jsonl", {"question_id": "q", "answers": ["A."]})
    measured = score(capsys, "calibration", predictions, [one])["metrics"]
    assert measured == {"Exact match": 1.0, "ECE": pytest.approx(0.6)}
    assert score(capsys, "exact-match", predictions, [references])["metrics"] == {"Exact match": 1.0}
    assert score(capsys, "OK-VQA", predictions, [references])["metric"] == "okvqa"


def test_okvqa_uses_the_stems_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = ["pony tails"] * 5 + ["bun"] * 5
    stemmed = ["poni tail"] * 5 + ["bun"] * 5
    answers = [
        {"answer": one, "raw_answer": other, "answer_id": i}
        for i, (one, other) in enumerate(zip(stemmed, raw, strict=True))
    ]
    references = document(tmp_path / "r.json", {"annotations": [{"question_id": 1, "answers": answers}]})
    predictions = document(tmp_path / "p.json", [{"question_id": 1, "answer": "Pony tails"}])
    assert score(capsys, "okvqa", predictions, [references])["metrics"] == {
        "OK-VQA accuracy (stemmed)": 1.0,
        "OK-VQA accuracy (unstemmed)": 0.0,
    }


def test_aokvqa_leaves_difficult_questions_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"question_id": "a", "direct_answers": ["ski"] * 2 + ["snow"] * 8, "difficult_direct_answer": False},
        {"question_id": "b", "direct_answers": ["x"] * 10, "difficult_direct_answer": True},
    ]
    references = document(tmp_path / "r.json", rows)
    predictions = document(tmp_path / "p.json", {"a": "ski", "b": "x"})
    result = score(capsys, "aokvqa", predictions, [references])
    assert result["metrics"] == {"A-OKVQA direct answer": pytest.approx(2 / 3)}
    assert result["counts"]["given"] == result["counts"]["questions"] + result["counts"]["unscored"] == 2


def test_aokvqa_in_the_layout_of_its_leaderboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = {"choices": ["train", "cab"], "correct_choice_idx": 1, "direct_answers": ["cab"] * 2 + ["taxi"] * 8}
    rows = [{"question_id": one, "difficult_direct_answer": one == "b", **common} for one in "ab"]
    references = document(tmp_path / "r.json", rows)
    given = {"a": {"multiple_choice": "cab", "direct_answer": "taxi"}, "b": {"multiple_choice": "Cab"}}
    predictions = document(tmp_path / "p.json", given)
    assert score(capsys, "aokvqa", predictions, [references])["metrics"] == {"A-OKVQA direct answer": 1.0}
    chosen = score(capsys, "A-OKVQA-MC", predictions, [references])  # difficult questions count
    assert chosen["metrics"] == {"A-OKVQA multiple choice": 0.5}
    simple = document(tmp_path / "s.json", {"a": "cab", "b": "cab"})
    assert score(capsys, "aokvqa-mc", simple, [references])["metrics"] == {"A-OKVQA multiple choice": 1.0}


def test_questions_that_do_not_count_need_no_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"a": {"answer": "yes", "isBalanced": True}, "b": {"answer": "no", "isBalanced": False}}
    references = document(tmp_path / "r.json", rows)
    predictions = document(tmp_path / "p.json", [{"questionId": "a", "prediction": "yes"}])
    for missing in ("error", "zero", "skip"):
        result = score(capsys, "gqa", predictions, [references], "--missing", missing)
        assert result["metrics"] == {"GQA exact match": 1.0}
        assert result["counts"] == {"questions": 1, "GQA exact match": 1, "given": 2, "unscored": 1}
    unbalanced = document(tmp_path / "u.json", {"a": {"answer": "yes", "isBalanced": False}})
    assert "no question is left that the metric gqa counts" in fails(capsys, "gqa", predictions, unbalanced)


EVQA = """question,answer,question_type,dataset_image_ids
"What, exactly?",the Alps|Alps mountains,templated,1|2
Which colours?,red&&blue,multi_answer,3
How many?,three,2_hop,4
"""


def test_evqa_in_the_official_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.csv").write_text(EVQA, encoding="utf-8")
    given = [{"answer": "Alps mountains"}, {"answer": "red, white and blue"}, {"answer": "4"}]
    predictions = lines(tmp_path / "p.jsonl", *given)
    result = score(capsys, "evqa", predictions, [tmp_path / "r.csv"], "--details", str(tmp_path / "d.jsonl"))
    assert result["metrics"] == {"E-VQA exact match": pytest.approx(2 / 3)}  # never "E-VQA" without BEM
    details = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text("utf-8").splitlines()]
    assert [row["E-VQA exact match"] for row in details] == [1.0, 1.0, 0.0]


def test_evqa_by_picture_as_evaluate_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.csv").write_text(EVQA, encoding="utf-8")
    given = {"0": "the alps", "0.2": "Andes", "1": "blue", "2": "three"}
    rows = [{"question_id": name, "answer": answer} for name, answer in given.items()]
    predictions, details = lines(tmp_path / "p.jsonl", *rows), tmp_path / "d.jsonl"
    result = score(capsys, "evqa", predictions, [tmp_path / "r.csv"], "--details", str(details))
    assert result["metrics"] == {"E-VQA exact match": pytest.approx(3 / 4)}
    assert result["counts"]["given"] == 4
    found = [json.loads(line) for line in details.read_text("utf-8").splitlines()]
    assert [(row["question_id"], row["E-VQA exact match"]) for row in found] == [
        ("0", 1.0),
        ("0.2", 0.0),
        ("1", 1.0),
        ("2", 1.0),
    ]
    surplus = lines(tmp_path / "s.jsonl", *rows[:-1], {"question_id": "0.3", "answer": "x"})
    message = fails(capsys, "evqa", surplus, tmp_path / "r.csv")
    assert "no prediction for 1 of 4 questions, the first is '2', and no question for 1 prediction" in message
    by_row = lines(tmp_path / "rows.jsonl", rows[0], *rows[2:])  # one answer a row, as others may give
    assert score(capsys, "evqa", by_row, [tmp_path / "r.csv"])["counts"]["given"] == 3


def test_infoseek_in_the_official_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split, other = "val_unseen_question", "val_unseen_entity"
    references = lines(
        tmp_path / "val.jsonl",
        {"data_id": "1", "answer_eval": ["Alps", "the Alpine range"], "data_split": split},
        {"data_id": "2", "answer_eval": [{"wikidata": 10.0, "range": [9.0, 11.0]}], "data_split": split},
        {"data_id": "3", "answer_eval": ["1871"], "data_split": other},
        {"data_id": "4", "answer_eval": {"wikidata": 5, "range": [4.5, 5.5]}, "data_split": other},
        {"data_id": "5", "answer_eval": ["x"], "data_split": other},
    )
    types = lines(
        tmp_path / "qtype.jsonl",
        *(
            {"data_id": str(i + 1), "question_type": t}
            for i, t in enumerate(["String", "Numerical", "Time", "Numerical", "String"])
        ),
    )
    given = ["alpine range.", "20", "1871", "about 5 m", "y"]
    predictions = lines(tmp_path / "p.jsonl", *({"data_id": str(i + 1), "prediction": p} for i, p in enumerate(given)))
    metrics = score(capsys, "infoseek", predictions, [references, types])["metrics"]
    assert metrics["InfoSeek unseen question accuracy"] == 0.5
    assert metrics["InfoSeek unseen entity accuracy"] == pytest.approx(2 / 3)
    assert metrics["InfoSeek"] == pytest.approx(0.5714)  # of 50 and 66.67, in percent and rounded
    assert metrics["InfoSeek unseen entity, numerical"] == 1.0
    assert metrics["InfoSeek unseen question, numerical"] == 0.0


def test_gqa_in_the_official_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = document(tmp_path / "r.json", {"01": {"answer": "yes", "question": "?"}, "02": {"answer": "left"}})
    predictions = document(
        tmp_path / "p.json", [{"questionId": "02", "prediction": "left"}, {"questionId": "01", "prediction": "Yes"}]
    )
    assert score(capsys, "gqa", predictions, [references])["metrics"] == {"GQA exact match": 0.5}


def test_recall_in_the_reports_of_flmr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = lines(tmp_path / "r.jsonl", {"question_id": "q", "pos_item_ids": ["p2"], "answers": ["Lima"]})
    found = {"q": {"Recall@1": 9, "retrieved_passage": [{"passage_id": "p1", "score": 2}, {"passage_id": "p2"}]}}
    predictions = document(tmp_path / "p.json", found)
    assert score(capsys, "recall", predictions, [references], "--k", "1", "2")["metrics"] == {
        "Recall@1": 0.0,
        "Recall@2": 1.0,
    }
    numbered = lines(tmp_path / "n.jsonl", {"question_id": "q", "pos_item_ids": [7], "passage_ids": [3, 7]})
    assert score(capsys, "recall", numbered, [numbered], "--k", "1", "2")["metrics"] == {
        "Recall@1": 0.0,
        "Recall@2": 1.0,
    }
    passages = lines(
        tmp_path / "passages.jsonl", {"passage_id": "p1", "text": "LIMA!"}, {"passage_id": "p2", "text": "-"}
    )
    measured = score(capsys, "pseudo-recall", predictions, [references], "--k", "1", "--passages", str(passages))
    assert measured["metrics"] == {"Pseudo-Recall@1": 1.0}
    assert "--passages" in fails(capsys, "pseudo-recall", predictions, references)


def test_missing_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = lines(
        tmp_path / "r.jsonl", *({"question_id": i, "answers": ["a", "b", "a", "a", "a"]} for i in range(4))
    )
    predictions = lines(tmp_path / "p.jsonl", {"question_id": 0, "answer": "a"}, {"question_id": 9, "answer": "a"})
    message = fails(capsys, "vqa", predictions, references)
    assert "no prediction for 3 of 4 questions, the first is '1', and no question for 1 prediction;" in message
    counted = score(capsys, "vqa", predictions, [references], "--missing", "zero")
    assert counted["metrics"]["VQA accuracy"] == pytest.approx(0.25)
    assert counted["counts"]["questions"] == 4
    left_out = score(capsys, "vqa", predictions, [references], "--missing", "skip")
    assert left_out["metrics"]["VQA accuracy"] == 1.0
    assert left_out["counts"] == {"questions": 1, "VQA accuracy": 1, "given": 4, "unscored": 3}


def test_a_null_answer_is_a_missing_one_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    references = lines(tmp_path / "r.jsonl", *({"question_id": i, "answers": ["a"] * 10} for i in range(3)))
    given = [{"question_id": 0, "answer": "a"}, {"question_id": 1, "answer": None, "confidence": 0.9}]
    predictions = lines(tmp_path / "p.jsonl", *given, {"question_id": 2, "answer": None, "prediction": "a"})
    message = fails(capsys, "vqa", predictions, references)
    assert "question '1': 'answer' is null; write the answer, or give --missing zero or --missing skip" in message
    zero = score(capsys, "vqa", predictions, [references], "--missing", "zero")
    assert zero["metrics"]["VQA accuracy"] == pytest.approx(2 / 3)
    assert zero["counts"] == {"questions": 3, "VQA accuracy": 3, "given": 3, "unscored": 0}
    skip = score(capsys, "vqa", predictions, [references], "--missing", "skip")
    assert skip["metrics"]["VQA accuracy"] == 1.0
    assert skip["counts"] == {"questions": 2, "VQA accuracy": 2, "given": 3, "unscored": 1}
    right = {"answer": "a", "confidence": 1.0}
    sure = lines(tmp_path / "c.jsonl", {"question_id": 0, **right}, given[1], {"question_id": 2, **right})
    assert score(capsys, "calibration", sure, [references], "--missing", "zero")["metrics"]["ECE"] == 0.0
    absent = lines(tmp_path / "a.jsonl", *({"question_id": i, "guess": "a"} for i in range(3)))
    assert "question '0': 'answer' is missing" in fails(capsys, "vqa", absent, references, "--missing", "zero")


def test_a_null_answer_in_the_column_that_a_metric_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = {"choices": ["train", "cab"], "correct_choice_idx": 1, "direct_answers": ["cab"] * 10}
    rows = [{"question_id": one, "difficult_direct_answer": one == "b", **common} for one in "ab"]
    references = document(tmp_path / "r.json", rows)
    half = {"multiple_choice": "cab", "direct_answer": None}
    predictions = document(tmp_path / "p.json", {"a": half, "b": half})
    assert "question 'a': 'direct_answer' is null" in fails(capsys, "aokvqa", predictions, references)
    zero = score(capsys, "aokvqa", predictions, [references], "--missing", "zero")
    assert (zero["metrics"], zero["counts"]["unscored"]) == ({"A-OKVQA direct answer": 0.0}, 1)
    assert score(capsys, "aokvqa-mc", predictions, [references])["metrics"] == {"A-OKVQA multiple choice": 1.0}


def test_k_belongs_to_the_metrics_that_have_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = lines(tmp_path / "good.jsonl", GOOD | {"passage_ids": ["p"], "pos_passage_ids": ["p"]})
    for metric in ("vqa", "evqa", "calibration"):
        line = fails(capsys, metric, good, good, "--k", "5")
        assert f"--k belongs to --metric recall and pseudo-recall; {metric} has no K" in line
    usual = score(capsys, "recall", good, [good])["metrics"]
    assert usual == {"Recall@1": 1.0, "Recall@5": 1.0, "Recall@10": 1.0}


GOOD = {"question_id": "q", "answers": ["a"], "answer": "a"}


@pytest.mark.parametrize(
    ("metric", "prediction", "reference", "message"),
    [
        ("vqa", {"question_id": "q"}, GOOD, "question 'q': 'answer' is missing"),
        ("vqa", GOOD | {"answer": ["a"]}, GOOD, "question 'q': 'answer' must be a text, not list"),
        ("vqa", GOOD, GOOD | {"answers": []}, "question 'q': 'answers' must be a list"),
        ("vqa", GOOD, GOOD | {"answers": "yes"}, "question 'q': 'answers' must be a list"),
        ("vqa", [], GOOD, "p.jsonl, row 1: a row must be a JSON object, not list"),
        ("vqa", GOOD, GOOD | {"question_id": "other"}, "no question of the references has a prediction"),
        ("infoseek", GOOD, GOOD, "'question_type' is missing"),
        ("infoseek", GOOD, GOOD | {"question_type": "Numerical", "answer_eval": ["x"]}, "could not convert"),
        ("infoseek", GOOD, GOOD | {"question_type": "Numerical", "answer_eval": [10**400, 1]}, "int too large"),
        ("infoseek", GOOD, GOOD | {"question_type": "Numerical", "answer_eval": [None, 1]}, "not 'NoneType'"),
        ("okvqa", GOOD, GOOD | {"answers": 5}, "question 'q': 'answers' must be a list"),
        ("aokvqa-mc", GOOD, GOOD | {"choices": ["a"], "correct_choice_idx": 1}, "but there are 1 choices"),
        ("aokvqa-mc", GOOD, GOOD | {"choices": ["a"]}, "'correct_choice_idx' must be a whole number"),
        ("recall", GOOD | {"passage_ids": [1, "2"]}, GOOD | {"pos_item_ids": [1]}, "must be a list of texts"),
        ("evqa", GOOD, GOOD | {"answers": ["the"]}, "nothing is left of the reference 'the'"),
        ("recall", GOOD, GOOD | {"pos_passage_ids": ["p"]}, "'passage_ids' is missing"),
        ("calibration", GOOD | {"confidence": 7}, GOOD, r"'confidence' must be a number in [0, 1]"),
        ("aokvqa", GOOD, GOOD | {"difficult_direct_answer": True}, "no question is left that the metric aokvqa counts"),
    ],
)
def test_faulty_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, prediction: object, reference: object, message: str
) -> None:
    predictions, references = lines(tmp_path / "p.jsonl", prediction), lines(tmp_path / "r.jsonl", reference)
    assert message in fails(capsys, metric, predictions, references)


def test_faulty_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = lines(tmp_path / "good.jsonl", GOOD)
    assert "there is no file" in fails(capsys, "vqa", tmp_path / "none.jsonl", good)
    (tmp_path / "bad.jsonl").write_text('{"question_id": 1}\n{"q', encoding="utf-8")
    assert "bad.jsonl, row 2: " in fails(capsys, "vqa", tmp_path / "bad.jsonl", good)
    (tmp_path / "bad.json").write_text("[1, ", encoding="utf-8")
    assert "bad.json is no JSON" in fails(capsys, "vqa", tmp_path / "bad.json", good)
    for name in ("deep.json", "deep.jsonl"):
        (tmp_path / name).write_text("[" * 200_000, encoding="utf-8")
        assert name in fails(capsys, "vqa", tmp_path / name, good)
    (tmp_path / "bad.jsonl").write_bytes(b"\xff")
    assert "cannot be read" in fails(capsys, "vqa", tmp_path / "bad.jsonl", good)
    assert "holds no rows" in fails(capsys, "vqa", lines(tmp_path / "e.jsonl"), good)
    twice = lines(tmp_path / "twice.jsonl", GOOD, GOOD)
    assert "row 2: question_id 'q' comes twice" in fails(capsys, "vqa", twice, good)
    assert "row 2: it has no question_id" in fails(
        capsys, "vqa", lines(tmp_path / "n.jsonl", GOOD, {"answer": "a"}), good
    )
    assert "invalid choice: 'bleu'" in fails(capsys, "bleu", good, good)
    assert "holds no checkpoint of BEM" in fails(capsys, "evqa", good, good, "--bem", str(tmp_path))
    assert "--bem belongs to --metric evqa" in fails(capsys, "vqa", good, good, "--bem", str(tmp_path))
    assert "--k must be at least 1" in fails(capsys, "recall", good, good, "--k", "0")
    assert "cannot be written" in fails(capsys, "vqa", good, good, "--details", str(tmp_path / "no" / "d.jsonl"))


def test_any_question_id_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = GOOD | {"question_id": "\ud800 é"}  # half a surrogate pair, as JSON may hold it
    path, details = lines(tmp_path / "r.jsonl", row), tmp_path / "d.jsonl"
    score(capsys, "vqa", path, [path], "--details", str(details))
    assert json.loads(details.read_text("utf-8"))["question_id"] == row["question_id"]


def test_a_table_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = lines(tmp_path / "good.jsonl", GOOD | {"answers": ["a", "b", "a", "a", "a"]})
    assert main(["score", "--metric", "vqa", "--predictions", str(good), "--references", str(good)]) == 0
    assert capsys.readouterr().out == ("VQA accuracy    100.00 %  1 question\n1 of 1 question scored\n")
