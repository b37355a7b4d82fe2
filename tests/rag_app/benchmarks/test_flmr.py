"""Regions of pictures, and OK-VQA as the original FLMR was published with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowledge_bases.flmr import FlmrSource
from knowledge_bases.records import Region
from rag_app.benchmarks.m2kr import open_m2kr
from rag_app.benchmarks.regions import cut_regions
from rag_app.cli import main
from rag_app.errors import InputError
from tests.knowledge_bases.test_flmr import PICTURE, row, save
from tests.rag_app.evaluation.conftest import read_json, read_lines

PIXELS = Image.fromarray(np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8))


def region(*box: float) -> Region:
    return Region(label="thing", box=(box[0], box[1], box[2], box[3]))


def test_nine_regions_are_cut_and_the_last_is_repeated() -> None:
    cut = cut_regions(PIXELS, [region(0, 0, 10, 20), region(10, 5, 40, 30)])
    assert [one.size for one in cut] == [(10, 20)] + [(30, 25)] * 8
    np.testing.assert_array_equal(np.asarray(cut[8]), np.asarray(PIXELS)[5:30, 10:40])
    assert len(cut_regions(PIXELS, [region(0, 0, 10, 10)] * 12)) == 9
    assert cut_regions(PIXELS, []) == ()


def test_tiny_regions_are_widened_within_the_picture() -> None:
    assert cut_regions(PIXELS, [region(20, 20, 23, 24)])[0].size == (8, 8)  # 17.5 to 25.5, rounded to even
    assert cut_regions(PIXELS, [region(0, 0, 2, 2)])[0].size == (4, 4)
    assert cut_regions(PIXELS, [region(20, 0, 23, 30)])[0].size == (3, 30)


@pytest.mark.parametrize("box", [(0, 0, 70, 10), (-5, 0, 10, 10), (30, 0, 10, 10), (0, 0, float("nan"), 10)])
def test_boxes_elsewhere_are_errors(box: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="does not lie in the picture of 60 x 40 pixels"):
        cut_regions(PIXELS, [region(*box)])


def test_an_empty_region_is_an_error() -> None:
    with pytest.raises(InputError, match="is empty"):
        cut_regions(PIXELS, [region(10, 0, 10, 30)])


@pytest.mark.parametrize("place", ["../secret.jpg", "{}/secret.jpg"])
def test_pictures_outside_the_folder_are_not_opened(place: str, tmp_path: Path) -> None:
    PIXELS.save(tmp_path / "secret.jpg")
    folder = save(tmp_path / "flmr", row(img_path=place.format(tmp_path)))
    with pytest.raises(InputError, match="row 1: its picture must be a path inside the picture folder, not "):
        open_m2kr(FlmrSource(folder=folder), images=folder)


def test_from_parquet_files_to_the_report(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        row(),
        row(question_id="2", ROIs=[f"{PICTURE}|||man_0_0_9_9"]),
        row(question_id="3", ROIs=[f"{PICTURE}|||man_0_0_900_9"]),
        row(question_id="4", img_path="val2014/gone.jpg"),
    ]
    folder = save(tmp_path / "flmr", *rows)
    (folder / "val2014").mkdir()
    PIXELS.save(folder / PICTURE)
    common = ["--folder", str(folder), "--preset", str(world / "tiny.toml"), "--var", str(tmp_path / "var")]
    assert main(["kb", "build", "--from", "flmr:OKVQA", *common]) == 0
    output = tmp_path / "out"
    evaluate = ["evaluate", "--benchmark", "flmr:OKVQA", "--images", str(folder), "--output", str(output), *common]
    assert main(evaluate) == 0
    captured = capsys.readouterr()
    assert "2 of 4 rows scored, 2 reported (1 for want of their picture)" in captured.out
    assert "question 3) was not asked: region 'man'" in captured.err
    report = read_json(output / "report.json")
    assert next(iter(report["metrics"])) == "Pseudo-Recall@5"
    assert {"OK-VQA accuracy (stemmed)", "Pseudo-Recall@100"} <= report["metrics"].keys()
    one, other = (detail["passage_scores"] for detail in read_lines(output / "details.jsonl"))
    assert one != other  # the regions take part in the search
