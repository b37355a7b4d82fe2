"""Readers of files: every kind comes in, every bad row is named."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_bases.catalog import find_knowledge_base, list_knowledge_bases
from knowledge_bases.exporting import write_csv, write_jsonl
from knowledge_bases.files import read_passages
from knowledge_bases.m2kr import example_from_m2kr, passage_from_m2kr
from knowledge_bases.records import Passage


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_with_commas_newlines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '\ufeffpassage_id,title,text\nx,T,"one, two\nthree"\n,,"no id"\n')
    assert list(read_passages(path)) == [
        Passage(passage_id="x", title="T", text="one, two\nthree"),
        Passage(passage_id="a-2", text="no id"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "text\ngood\n \n", r"a\.csv, line 3: no text"),
        ("a.csv", "passage_id,text\nx,one, two\n", r"a\.csv, line 2: 3 fields where the header has 2; put quotes"),
        ("a.csv", 'text\nfine\n"open\n', r"a\.csv, line 3: .*check the quotes"),
        ("a.jsonl", '{"text": "fine"}\n{"text": \n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"text": "fine"}\n\n["x"]\n', r"a\.jsonl, line 3: list where an object"),
        ("a.jsonl", '{"text": 5.5}', r"a\.jsonl, line 1: text is float, not text"),
        ("a.jsonl", '{"text": "x"}\n{"title": "x"}', r"a\.jsonl, line 2: no text"),
        ("a.csv", "words\nx\n", r"a\.csv has no column that looks like the text.* It has words"),
        ("a.md", "# only a title\n", r"a\.md: there is no text in it"),
        ("a.pdf", "x", r"a\.pdf: not a PDF that can be read"),
        ("a.docx", "x", r"holds nothing that can be read; give \.csv, "),
        ("a.zip", "not a zip", r"cannot read .*a\.zip"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        list(read_passages(write(tmp_path / name, text)))
    assert "\n" not in str(caught.value)


def test_not_utf8_and_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text\nna\xefve\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"line 2: bytes that are not text .*; save the file as UTF-8"):
        list(read_passages(tmp_path / "a.csv"))
    with pytest.raises(ValueError, match="no file or folder at"):
        list(read_passages(tmp_path / "b.csv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds nothing that can be read"):
        list(read_passages(tmp_path / "empty"))


def test_folders_take_titles_from_headings_or_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "b.md", "# Heading\n\nBody.\n")
    write(tmp_path / "a.txt", "Plain.\n")
    write(tmp_path / "c.png", "ignored")
    assert list(read_passages(tmp_path)) == [
        Passage(passage_id="a.txt", title="a", text="Plain.", source="a.txt"),
        Passage(passage_id="sub/b.md", title="Heading", text="Body.", source="sub/b.md"),
    ]


def test_zip_with_pictures(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("kb/passages.jsonl", '{"passage_id": "x", "text": "y"}\n')
        archive.writestr("kb/flag.png", b"\x89PNG")
    assert list(read_passages(tmp_path / "a.zip")) == [Passage(passage_id="x", text="y")]
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("flag.png", b"\x89PNG")
    with pytest.raises(ValueError, match=r"holds nothing that can be read"):
        list(read_passages(tmp_path / "b.zip"))


def test_m2kr_rows() -> None:
    assert passage_from_m2kr({"passage_id": "7", "passage_content": "text", "language": "en"}).content == "text"
    example = example_from_m2kr(
        {"question_id": "q", "question": None, "img_path": None, "pos_item_ids": ["7"], "gold_answer": "a"}
    )
    assert (example.question, example.image, example.pos_passage_ids, example.answers) == ("", None, ("7",), ("a",))
    with pytest.raises(ValueError, match="row 3: no passage_content"):
        passage_from_m2kr({"passage_id": "7"}, "row 3")
    with pytest.raises(ValueError, match="pos_item_ids is not a list"):
        example_from_m2kr({"question_id": "q", "pos_item_ids": "7"})


def test_catalogue_knows_names_and_paths(tmp_path: Path) -> None:
    base = find_knowledge_base("world_flags")
    assert base.title == "World Flags"
    assert base in list_knowledge_bases()
    assert {"validation", "test"} <= set(base.questions)
    path = write(tmp_path / "mine.csv", "text\nx\n")
    assert find_knowledge_base(str(path)).passages_path == path
    with pytest.raises(ValueError, match=r"unknown knowledge base 'world_flag'; choose one of world_flags or give"):
        find_knowledge_base("world_flag")


fields = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(fields, fields.filter(str.strip)), min_size=1, max_size=4))
def test_any_unicode_survives_jsonl_and_csv(rows: list[tuple[str, str]]) -> None:
    passages = [Passage(passage_id=f"p{n}", title=title, text=text) for n, (title, text) in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        for name, writer in (("a.jsonl", write_jsonl), ("a.csv", write_csv)):
            with (Path(folder) / name).open("w", encoding="utf-8", newline="") as file:
                writer(file, passages)
            assert list(read_passages(Path(folder) / name)) == passages
