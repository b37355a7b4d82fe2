"""Settings that answers depend on, and others: across machines, and with what runs of before have kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_app.assembly import Application
from rag_app.datasets import Dataset
from rag_app.errors import InputError
from rag_app.evaluation.files import PREDICTIONS, SETTINGS
from rag_app.evaluation.kept import evaluate_kept
from rag_app.evaluation.merging import merge
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.run import Run, evaluate
from rag_app.evaluation.settings import different
from rag_app.evaluation.shards import WHOLE, Shard
from rag_app.manifest import settings_of
from tests.rag_app.evaluation.conftest import make_run, read_json

ELSEWHERE: dict[str, Any] = {
    "device": "cuda:1",
    "name": "mine",
    "license": "MIT",
    "download_gb": 3.0,
    "gpu_gb": 20.0,
    "device_map": "balanced",
    "server_timeout": 300,
    "description": "x",
}


def settings(application: Application, device: str = "cpu", **preset: Any) -> dict[str, Any]:  # noqa: ANN401
    """Those of a machine with such a device, and of a preset that differs."""
    here = settings_of(application)
    of_device = ELSEWHERE if device != "cpu" else {}
    return {**here, "device": device, "preset": {**here["preset"], **of_device, **preset}}


def run(application: Application, dataset: Dataset, given: dict[str, Any], shard: Shard = WHOLE) -> Run:
    return replace(make_run(application, dataset, shard=shard), settings=given)


def test_a_run_is_resumed_on_another_device(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    evaluate(run(application, dataset, settings(application)), tmp_path)
    rows = (tmp_path / PREDICTIONS).read_bytes().split(b"\n")
    (tmp_path / PREDICTIONS).write_bytes(b"\n".join(rows[:6]) + b"\n")
    there = settings(application, "cuda")
    report = evaluate(run(application, dataset, there), tmp_path)
    assert report["manifest"]["resumed_questions"] == 6
    assert report["manifest"]["device"] == "cpu; cuda"
    assert evaluate(run(application, dataset, there), tmp_path)["manifest"]["device"] == "cpu; cuda"


def test_shards_of_different_devices_are_merged(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second", "merged")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        if number < 2:
            given = settings(application, ("cpu", "cuda")[number])
            evaluate(run(application, dataset, given, Shard(index=number, count=2)), folder)
    report = merge(folders[:2], folders[2])
    assert report["counts"]["questions"] == 10
    assert report["manifest"]["device"] == "cpu; cuda"
    assert read_json(folders[2] / SETTINGS)["device"] == "cpu; cuda"


@pytest.mark.parametrize("key", ["k", "batch_size", "mode", "retriever", "generator", "adapter", "max_prompt_tokens"])
def test_what_answers_depend_on_is_compared(application: Application, key: str) -> None:
    assert different(settings(application), settings(application, **{key: "other"})) == ["preset"]


def test_a_limit_that_is_not_set_is_as_if_there_were_none(application: Application) -> None:
    now = settings(application)
    early = {key: value for key, value in now["preset"].items() if not key.startswith("max_")}
    assert len(early) == len(now["preset"]) - 2
    assert different(now, {**now, "preset": early}) == []


def test_the_resolved_dtype_is_compared_and_how_it_was_asked_for_is_not(application: Application) -> None:
    here = settings(application)
    assert different(here, settings(application, dtype="float32")) == []
    assert different(here, here | {"dtype": "float16"}) == ["dtype"]


def test_runs_of_before_go_on_and_are_never_mixed(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    """Earlier versions kept the same keys and compared all of them, and did not say where the index was searched."""
    now = settings(application)
    evaluate(run(application, dataset, now), tmp_path)
    early = {key: value for key, value in read_json(tmp_path / SETTINGS).items() if key != "searched"}
    (tmp_path / SETTINGS).write_text(json.dumps(early), encoding="utf-8")
    assert evaluate(run(application, dataset, now), tmp_path)["manifest"]["resumed_questions"] == 10
    for changes, named in (
        ({"preset": {**early["preset"], "batch_size": 3}}, "preset"),
        ({"index": {"kind": "compressed", "k": application.pipeline.k}}, "index"),
        ({"dtype": "bfloat16", "device": "cuda"}, "dtype"),
    ):
        (tmp_path / SETTINGS).write_text(json.dumps({**early, **changes}), encoding="utf-8")
        with pytest.raises(InputError, match=rf"made with other settings \({named}\); give another --output"):
            evaluate(run(application, dataset, now), tmp_path)
    for content in ("[]", "{}", ""):
        (tmp_path / SETTINGS).write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="made with other settings"):
            evaluate(run(application, dataset, now), tmp_path)


def test_the_page_finds_an_evaluation_again_under_another_name_of_its_preset(
    application: Application, dataset: Dataset
) -> None:
    other = application.snapshot()
    other.change(preset=replace(application.preset, name="renamed", license="MIT", device="cpu"))
    first, second = (evaluate_kept(one, dataset, Mode.RETRIEVAL, name="renamed") for one in (application, other))
    assert first.folder == second.folder
