"""The original FLMR's OK-VQA from parquet files in the published columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from knowledge_bases.flmr import DATA, PASSAGES, FlmrSource, description_of, example_from_flmr, region_of
from knowledge_bases.m2kr import M2krSource
from knowledge_bases.records import Region
from knowledge_bases.sources import parse_source

PICTURE = "val2014/COCO_val2014_000000297147.jpg"


def row(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    things = [
        {
            "class": "motorcycle",
            "attributes": ["red", "small", "parked", "clean", "old"],
            "attribute_scores": [0.9, 0.04, 0.3, 0.2, 0.1],
            "rect": [1.0, 2.0, 30.0, 40.0],
        },
        {"class": "man", "attributes": [], "attribute_scores": [], "rect": [0.0, 0.0, 9.0, 9.0]},
    ]
    return {
        "question_id": "2971475",
        "question": "What sport can you use this for?",
        "img_path": PICTURE,
        "image_id": "297147",
        "answers": ["race", "race", "motocross"],
        "gold_answer": "race",
        "ROIs": [f"{PICTURE}|||motor_cycle_1.0_2.0_30.5_40.0", f"{PICTURE}|||man_0_0_9_9"],
        "objects": things,
        "img_ocr": [{"description": "STOP\nhere "}, {"description": "7"}, {"description": "7"}],
        "img_caption": {"caption": "a man on a motorcycle"},
        **changes,
    }


def save(root: Path, *rows: dict[str, Any]) -> Path:
    passages = {"passage_id": ["GS_1", "GS_2"], "passage_content": ["Motocross is a sport.", "A race is run."]}
    for name, file, table in (
        (DATA, "test-00000-of-00001.parquet", pa.Table.from_pylist(list(rows or (row(),)))),
        (PASSAGES, "test_passages-00000-of-00001.parquet", pa.table(passages)),
    ):
        (root / name / "data").mkdir(parents=True)
        pq.write_table(table, root / name / "data" / file)
    return root


def test_the_description_is_that_of_the_published_example() -> None:
    expected = "<BOV> red parked clean motorcycle <SOV> man <SOV> STOP here 7 <EOV> <BOC> a man on a motorcycle <EOC>"
    assert description_of(row()) == expected
    assert description_of(row(img_caption="a plain text", objects=None, img_ocr=[])).endswith(
        "<BOV> <EOV> <BOC> a plain text <EOC>"
    )


def test_regions_are_read_whatever_their_class_is_called() -> None:
    assert region_of(f"{PICTURE}|||motor_cycle_1.0_2.0_30.5_40.0") == Region(
        label="motor_cycle", box=(1.0, 2.0, 30.5, 40.0)
    )
    with pytest.raises(ValueError, match=r"row 3: ROIs holds 'x\|\|\|man_1_2_3', which is no path"):
        region_of("x|||man_1_2_3", "row 3")


def test_questions_and_passages_of_the_split(tmp_path: Path) -> None:
    source = parse_source("flmr:OK-VQA", save(tmp_path))
    assert isinstance(source, FlmrSource)
    (example,) = map(source.example_of, source.questions())
    assert (example.question_id, str(example.image)) == ("2971475", PICTURE)
    assert [region.label for region in example.regions] == ["motor_cycle", "man"]
    assert example.description == description_of(row())
    assert example.answers == ("race", "race", "motocross")
    passages = [source.passage_of(row) for row in source.passages()]
    assert [(one.passage_id, one.source) for one in passages] == [("GS_1", "FLMR"), ("GS_2", "FLMR")]
    assert source.slug == "flmr-okvqa-test"


def test_numbers_serve_as_ids_and_faults_are_told(tmp_path: Path) -> None:
    assert example_from_flmr(row(question_id=7)).question_id == "7"
    source = FlmrSource(folder=save(tmp_path, row(img_path=None)))
    with pytest.raises(ValueError, match="flmr-okvqa-test: no img_path"):
        source.example_of(next(source.questions()))
    with pytest.raises(ValueError, match="objects is not a list of objects"):
        example_from_flmr(row(objects="x"))


def test_names() -> None:
    assert parse_source("flmr:okvqa/valid") == FlmrSource(split="valid")
    assert isinstance(parse_source("m2kr:OKVQA"), M2krSource)
    for name in ("flmr:EVQA", "flmr:OKVQA/all", "OKVQA"):
        with pytest.raises(ValueError, match=r"names no|has no split"):
            parse_source(name)
