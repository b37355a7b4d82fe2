"""M2KR from a folder of parquet files in the published columns."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from knowledge_bases.m2kr import M2KR_HUB, M2krSource, example_from_m2kr, passage_from_m2kr
from knowledge_bases.store import PassageStore
from rag_app.cli import main

EVQA_FILE = Path("EVQA_passages", "test_passages-00000-of-00001.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    passages = {
        "passage_id": ["EVQA_1", "EVQA_2", "EVQA_3"],
        "passage_content": ["title: Oak content: An oak is a tree.", "Pines keep their needles.", "Birches are white."],
        "language": ["en"] * 3,
    }
    data = {
        "pos_item_ids": [["EVQA_1"], ["EVQA_2", "EVQA_3"]],
        "pos_item_contents": [["An oak is a tree."], ["Pines keep their needles.", "Birches are white."]],
        "img_id": ["a", None],
        "img_path": ["inat/val/a.jpg", None],
        "image_id": ["a", None],
        "question_id": ["EVQA_q1", "EVQA_q2"],
        "question": ["What is this?", None],
        "answers": [["tree", "oak"], None],
        "gold_answer": ["tree", "needles"],
        "question_type": ["automatic", "templated"],
        "instruction": ["Retrieve documents:", "Describe:"],
    }
    root = tmp_path / "m2kr"
    for name, file, columns in (
        ("EVQA_passages", "test_passages-00000-of-00001.parquet", passages),
        ("EVQA_passages", "train_passages-00000-of-00001.parquet", {"passage_id": ["x"], "passage_content": ["y"]}),
        ("EVQA_data", "test-00000-of-00001.parquet", data),
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), root / name / file)
    return root


@pytest.mark.parametrize(
    ("text", "name", "split", "chinese"),
    [
        ("m2kr:EVQA", "EVQA", "test", False),
        ("m2kr:infoseek/train", "Infoseek", "train", False),
        ("m2kr:CC3M/train", "CC", "train", False),
        ("m2kr:OK-VQA", "OKVQA", "test", False),
        ("m2kr:WIT_CN/valid", "WIT", "valid", True),
        ("m2kr:mMARCO_CN", "mMARCO", "test", True),
    ],
)
def test_names(text: str, name: str, split: str, chinese: bool) -> None:
    assert M2krSource.parse(text) == M2krSource(name=name, split=split, chinese=chinese)


@pytest.mark.parametrize("text", ["EVQA", "m2kr:", "m2kr:Flags", "m2kr:mMARCO", "m2kr:EVQA/all"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names no dataset|has no split"):
        M2krSource.parse(text)


def test_passages_and_questions_of_the_split(folder: Path) -> None:
    source = M2krSource.parse("m2kr:EVQA", folder)
    assert [source.passage_of(row).passage_id for row in source.passages()] == ["EVQA_1", "EVQA_2", "EVQA_3"]
    first, second = map(source.example_of, source.questions())
    assert first.image == Path("inat/val/a.jpg")
    assert first.answers == ("tree", "oak")
    assert second.image is None
    assert second.question == ""
    assert second.answers == ("needles",)
    assert second.pos_passage_ids == ("EVQA_2", "EVQA_3")


def test_whole_numbers_are_ids_and_numbers_answers(folder: Path) -> None:
    columns = {
        "question_id": [1, 2],
        "pos_item_ids": [[10], [11, 12]],
        "answers": [[300.0, None, 1.5], [None]],
        "gold_answer": [300.0, 7.0],
    }
    pq.write_table(pa.table(columns), folder / "EVQA_data" / "test-00000-of-00001.parquet")
    pq.write_table(pa.table({"passage_id": [0, 11], "passage_content": ["a", "b"]}), folder / EVQA_FILE)
    source = M2krSource.parse("m2kr:EVQA", folder)
    first, second = map(source.example_of, source.questions())
    assert (first.question_id, first.pos_passage_ids, first.answers) == ("1", ("10",), ("300.0", "1.5"))
    assert (second.pos_passage_ids, second.answers) == (("11", "12"), ("7.0",))
    assert [source.passage_of(row).passage_id for row in source.passages()] == ["0", "11"]


def test_nulls_among_answers_are_passed_over() -> None:
    given = {"question_id": "q", "answers": ["6", None, float("nan"), 6], "gold_answer": float("nan")}
    assert example_from_m2kr(given).answers == ("6", "6")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("question_id", True, "question_id holds bool (True), not a text or a whole number; check"),
        ("question_id", 1.0, "question_id holds float (1.0), not a text or a whole number; check"),
        ("question_id", None, "no question_id; check"),
        ("pos_item_ids", [1.0], "pos_item_ids is not a list of texts or whole numbers but a list of float; check"),
        ("pos_item_ids", "EVQA_1", "pos_item_ids is not a list of texts or whole numbers but str (EVQA_1); check"),
        ("answers", [["a"], "b"], "answers is not a list of texts or numbers but a list of list and str; check"),
        ("answers", [True], "answers is not a list of texts or numbers but a list of bool; check"),
        ("gold_answer", ["a"], "gold_answer holds a list of str, not a text or a number; check"),
    ],
)
def test_other_columns_are_named_with_what_they_hold(column: str, value: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=f"^here: {re.escape(message)}"):
        example_from_m2kr({"question_id": "q", column: value}, "here")


def test_a_passage_id_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"^here: passage_id holds float \(2.5\), not a text or a whole number"):
        passage_from_m2kr({"passage_id": 2.5, "passage_content": "text"}, "here")


def test_a_folder_without_the_split_is_one_line(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no parquet file of EVQA_passages for the split valid"):
        list(M2krSource.parse("m2kr:EVQA/valid", folder).passages())


def save_edition(root: Path, text: str) -> None:
    (root / EVQA_FILE).parent.mkdir(parents=True)
    pq.write_table(pa.table({"passage_id": ["1"], "passage_content": [text]}), root / EVQA_FILE)


def texts(name: str, root: Path) -> list[str]:
    source = M2krSource.parse(name, root)
    return [source.passage_of(row).text for row in source.passages()]


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("M2KR", "M2KR_CN"),
        ("z/M2KR", "CN"),
        (".", "m2kr-cn"),
        ("deeper/than/the/other", "M2KR_CN"),
        (f"datasets--{M2KR_HUB.replace('/', '--')}/snapshots/1", f"{M2KR_HUB}_CN"),
    ],
)
def test_of_both_editions_the_one_that_was_asked_for_is_read(english: str, chinese: str, tmp_path: Path) -> None:
    save_edition(tmp_path / english, "English")
    save_edition(tmp_path / chinese, "Chinese")
    assert texts("m2kr:EVQA", tmp_path) == ["English"]
    assert texts("m2kr:EVQA_CN", tmp_path) == ["Chinese"]
    assert texts("m2kr:EVQA_CN", tmp_path / english / "EVQA_passages") == ["English"]  # as it was named itself


def test_the_other_edition_does_not_stand_in(tmp_path: Path) -> None:
    save_edition(tmp_path / "M2KR", "English")
    message = r"no parquet file of EVQA_passages for the split test_passages \(folders named .*_M2KR are passed over\)"
    with pytest.raises(ValueError, match=message):
        texts("m2kr:EVQA_CN", tmp_path)
    assert texts("m2kr:EVQA", tmp_path) == ["English"]


def test_the_nearest_copy_is_read_and_equally_near_ones_are_an_error(tmp_path: Path) -> None:
    for place in ("a/deep/copy", "near", "empty/EVQA_passages"):
        save_edition(tmp_path / place, place)
    (tmp_path / "empty" / "EVQA_passages" / EVQA_FILE).unlink()
    assert texts("m2kr:EVQA", tmp_path) == ["near"]
    save_edition(tmp_path / "as near", "other")
    with pytest.raises(ValueError, match="in several places; give one of these folders: as near/EVQA_passages, near/E"):
        texts("m2kr:EVQA", tmp_path)
    assert texts("m2kr:EVQA", tmp_path / "near") == ["near"]


def build(folder: Path, var: Path, *more: str) -> list[str]:
    return ["kb", "build", "--from", "m2kr:evqa", "--folder", str(folder), "--var", str(var), *more]


def test_faulty_rows_are_reported_and_the_others_go_in(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rag_app.kb_import_commands._build_index", lambda *_: 0)
    ids = ["EVQA_1", None, "EVQA_3", "EVQA_4", "EVQA_1", "EVQA_6", "", "EVQA_8"]
    texts = ["An oak is a tree.", "It has no id.", None, " ", "An oak again.", "Six.", "Seven.", "Eight."]
    file = folder / "EVQA_passages" / "test_passages-00000-of-00001.parquet"
    pq.write_table(pa.table({"passage_id": ids, "passage_content": texts}), file)
    var = tmp_path / "var"
    assert main(build(folder, var, "--strict")) == 2
    assert "m2kr-evqa-test, line 2: no passage_id; check" in capsys.readouterr().err
    assert main(build(folder, var)) == 0
    out = capsys.readouterr().out
    assert "m2kr-evqa-test: took in 3 of 8 passages; it holds 3" in out
    assert "5 rows could not be taken in; " in out
    assert main(["kb", "add", "--kb", "mine", *build(folder, var)[2:]]) == 0
    assert "mine: took in 3 of 8 passages; it holds 3" in capsys.readouterr().out
    for line, problem in ((2, "no passage_id"), (3, "no passage_content"), (4, ""), (5, "came before"), (7, "no pass")):
        assert re.search(f"^  m2kr-evqa-test, line {line}: .*{problem}", out, re.MULTILINE)
    with (var / "knowledge_bases" / "m2kr-evqa-test.bad-rows.csv").open(encoding="utf-8", newline="") as listed:
        assert [row["line"] for row in csv.DictReader(listed)] == ["2", "3", "4", "5", "7"]


def test_of_wrong_columns_nothing_is_taken(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "EVQA_passages" / "test_passages-00000-of-00001.parquet"
    pq.write_table(pa.table({"passage_id": ["1"], "text": ["t"]}), file)
    assert main(build(folder, tmp_path / "var")) == 2
    assert "m2kr-evqa-test, line 1: no passage_content; check that" in capsys.readouterr().err


def test_a_knowledge_base_is_built_from_it_and_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rag_app.kb_import_commands._build_index", lambda *_: 0)
    command = build(folder, tmp_path / "var")
    assert main(command) == 0
    assert "took in 3 of 3 passages" in capsys.readouterr().out
    assert main(command) == 0
    assert "took in 0 of 3 passages; it holds 3" in capsys.readouterr().out
    with PassageStore.open(tmp_path / "var" / "knowledge_bases" / "m2kr-evqa-test.sqlite") as store:
        assert store.get(["EVQA_2"])[0].text == "Pines keep their needles."


def test_known_passages_are_passed_over_or_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rag_app.kb_import_commands._build_index", lambda *_: 0)
    command = build(folder, tmp_path / "var")
    assert main(command) == 0
    columns = {"passage_id": ["EVQA_2", "EVQA_4"], "passage_content": ["Changed.", "New."]}
    pq.write_table(pa.table(columns), folder / EVQA_FILE)
    path = tmp_path / "var" / "knowledge_bases" / "m2kr-evqa-test.sqlite"
    for more, said, text in (
        ([], "took in 1 of 2 passages; it holds 4; passed over 1 that it had (--replace", "Pines"),
        (["--skip-known"], "took in 0 of 2 passages; it holds 4; passed over 2 that it had", "Pines"),
        (["--replace"], "took in 2 of 2 passages; it holds 4; replaced 2\n", "Changed"),
    ):
        capsys.readouterr()
        assert main([*command, *more]) == 0
        assert said in capsys.readouterr().out
        with PassageStore.open(path) as store:
            assert store.get(["EVQA_2"])[0].text.startswith(text)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--words", "0"], "--words"),
        (["--overlap", "1"], "--overlap"),
        (["--column", "text=passage_content"], "--column"),
        (["--encoding", "utf-8", "--words", "50"], "--words, --encoding"),
    ],
)
def test_how_files_are_read_is_refused(
    more: list[str], named: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(build(folder, tmp_path / "var", *more)) == 2
    error = capsys.readouterr().err
    assert f"{named} says how files are read; leave it out with --from m2kr:evqa" in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "var").exists()


def test_progress_is_told_while_passages_are_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rag_app.kb_import_commands._build_index", lambda *_: 0)
    monkeypatch.setattr("rag_app.kb_import_commands._A_MOMENT", 0.0)
    assert main(build(folder, tmp_path / "var")) == 0
    assert "rows read: 3 of 3, took 0 s, 3 passages" in capsys.readouterr().err


def test_a_wrong_name_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kb", "build", "--from", "m2kr:flags", "--var", str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "EVQA" in error
