from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rag_app.datasets import load_dataset
from rag_app.errors import InputError
from rag_app.predictions import Prediction, append_predictions, read_predictions

ROW: dict[str, Any] = {"question_id": "q1", "image": None, "question": "What?", "answers": ["a"] * 10}


def write(folder: Path, *rows: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_become_examples(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "x.png")
    row = ROW | {"image": "x.png", "pos_passage_ids": ["p"], "question_type": "capital", "unknown": 1}
    dataset = load_dataset(write(tmp_path, row, ROW | {"question_id": 7}))
    first, second = dataset.examples
    assert first.pos_passage_ids == ("p",)
    assert dataset.picture_of(first) == tmp_path / "x.png"
    assert (second.question_id, dataset.picture_of(second)) == ("7", None)
    assert dataset.integer_ids == {"7"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "row 1: a row must be a JSON object"),
        ({"question_id": "1"}, "row 1: 'image' is missing"),
        (ROW | {"question_id": True}, "row 1: 'question_id' must be"),
        (ROW | {"question": 3}, "row 1: 'question' must be a text"),
        (ROW | {"answers": "yes"}, "row 1: 'answers' must be a list of texts"),
        (ROW | {"image": "../secret.png"}, "row 1: 'image' must be a path inside"),
        (ROW | {"image": "/etc/passwd"}, "row 1: 'image' must be a path inside"),
        (ROW | {"image": "gone.png"}, r"row 1: there is no picture at .*gone.png; .*--images"),
    ],
)
def test_faulty_rows(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_dataset(write(tmp_path, row))


def test_faulty_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no dataset at .*check the path"):
        load_dataset(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="holds no questions"):
        load_dataset(write(tmp_path))
    with pytest.raises(InputError, match=r"row 2: question_id 'q1' is already in row 1"):
        load_dataset(write(tmp_path, ROW, ROW))
    (tmp_path / "bad.jsonl").write_bytes(b'{"question_id": \xff}')
    with pytest.raises(InputError, match="cannot be read"):
        load_dataset(tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl").write_text("{'a'", encoding="utf-8")
    with pytest.raises(InputError, match="row 1"):
        load_dataset(tmp_path / "bad.jsonl")


def prediction(question_id: str) -> Prediction:
    return Prediction(question_id=question_id, answer="é\n“x”", confidence=0.25, passage_ids=("p1", "p2"))


def test_predictions_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    append_predictions(path, [prediction("1"), prediction("2")])
    append_predictions(path, [prediction("3")], integer_ids={"3"})
    assert read_predictions(path) == {name: prediction(name) for name in "123"}
    assert [json.loads(line)["question_id"] for line in path.read_text(encoding="utf-8").splitlines()] == ["1", "2", 3]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_half_written_last_row_is_removed(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "predictions.jsonl"
    append_predictions(path, [prediction("1"), prediction("2")])
    path.write_bytes(path.read_bytes()[:-cut])
    assert set(read_predictions(path)) == {"1"}
    append_predictions(path, [prediction("2")])
    assert read_predictions(path) == {name: prediction(name) for name in "12"}


def test_a_damaged_row_elsewhere_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    append_predictions(path, [prediction("1"), prediction("2")])
    path.write_bytes(b"{" + path.read_bytes())
    with pytest.raises(InputError, match=r"row 1 is damaged .*delete the file to start again"):
        read_predictions(path)
