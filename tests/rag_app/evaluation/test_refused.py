"""Evaluations whose generator is a server that refuses some questions, or all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator.remote import RemoteGenerator, RemoteSettings
from rag_app import predictions
from rag_app.assembly import Application
from rag_app.datasets import Dataset, scan_dataset
from rag_app.errors import InputError
from rag_app.evaluation.merging import merge
from rag_app.evaluation.modes import Mode
from rag_app.evaluation.run import evaluate
from rag_app.evaluation.shards import WHOLE, Shard
from tests.generator.chat_server import ChatServer, serving_chat
from tests.rag_app.evaluation.conftest import make_run, question_rows, read_json, read_lines, results, save_questions


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.fixture(scope="module")
def process() -> Iterator[ChatServer]:
    with serving_chat() as server:
        yield server


@pytest.fixture
def server(process: ChatServer) -> ChatServer:
    """Refuses every question that is "too long", and answers each other from its first passage."""
    process.behave(answers={"red land": "Lima", "blue land": "Oslo"}, refused="too long", logprobs=[-0.25])
    return process


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Ten questions in batches of four, after a wrong row; the server refuses those in lines 4, 7 and 11."""
    rows: list[Any] = question_rows()
    for number in (2, 5, 9):
        rows[number]["question"] += " too long"
    return scan_dataset(save_questions(tmp_path, ["no json", *rows]))


def evaluated(
    application: Application,
    dataset: Dataset,
    output: Path,
    server: ChatServer,
    *,
    mode: Mode = Mode.RETRIEVAL,
    shard: Shard = WHOLE,
    depth: int = 0,
) -> dict[str, Any]:
    output.mkdir(exist_ok=True)
    settings = RemoteSettings(address=server.address, model="m", first_wait=0.01, retries=1)
    pipeline = application.pipeline if mode is not Mode.NOTHING else application.pipeline.without_retrieval()
    pipeline = type(pipeline)(finder=pipeline.finder, generator=RemoteGenerator(settings), k=3)
    run = replace(make_run(application, dataset, mode=mode, shard=shard), pipeline=pipeline)
    evaluate(replace(run, recall_at=(1, depth) if depth else ()), output)
    return results(output)


@pytest.mark.parametrize(
    ("mode", "depth"), [(Mode.RETRIEVAL, 0), (Mode.RETRIEVAL, 5), (Mode.ORACLE, 0), (Mode.NOTHING, 0)]
)
def test_a_refused_question_is_a_row_reported(
    application: Application, dataset: Dataset, tmp_path: Path, server: ChatServer, mode: Mode, depth: int
) -> None:
    report = evaluated(application, dataset, tmp_path / "out", server, mode=mode, depth=depth)["report"]
    assert [problem["line"] for problem in report["problems"]] == [1, 4, 7, 11]
    for problem, number in zip(report["problems"][1:], (2, 5, 9), strict=True):
        assert problem["question_id"] == str(number)
        assert "refused the request (400): " in problem["problem"]
        assert "maximum context length" in problem["problem"]
    assert report["counts"] == {**report["counts"], "given": 11, "questions": 7, "reported": 4}
    assert [row["question_id"] for row in read_lines(tmp_path / "out" / "predictions.jsonl")] == [0, 1, 3, 4, 6, 7, 8]


def test_the_others_get_what_they_get_without_it(
    application: Application, dataset: Dataset, tmp_path: Path, server: ChatServer
) -> None:
    some = evaluated(application, dataset, tmp_path / "some", server)
    server.behave(answers={"red land": "Lima", "blue land": "Oslo"}, logprobs=[-0.25])
    everything = evaluated(application, dataset, tmp_path / "all", server)
    assert everything["report"]["counts"]["questions"] == 10
    for name in ("predictions.jsonl", "details.jsonl"):
        assert set(some[name].splitlines()) < set(everything[name].splitlines())


@pytest.mark.parametrize("write", range(6))  # three batches of two files
def test_a_resumed_run_ends_as_an_unbroken_one(
    application: Application,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: ChatServer,
    write: int,
) -> None:
    expected = evaluated(application, dataset, tmp_path / "whole", server)
    append, calls = predictions._append, iter(range(99))

    def stopping(path: Path, text: str) -> None:
        if next(calls) == write:
            append(path, text[: len(text) // 2])
            raise Killed
        append(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "_append", stopping)
        with pytest.raises(Killed):
            evaluated(application, dataset, tmp_path / "stopped", server)
    assert evaluated(application, dataset, tmp_path / "stopped", server) == expected
    assert evaluated(application, dataset, tmp_path / "stopped", server) == expected  # nothing is left but the refused


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shards_merge_into_the_unbroken_run(
    application: Application, dataset: Dataset, tmp_path: Path, server: ChatServer, count: int
) -> None:
    expected = evaluated(application, dataset, tmp_path / "whole", server)
    folders = [tmp_path / f"part{index}" for index in range(count)]
    for index, folder in enumerate(folders):
        shard = evaluated(application, dataset, folder, server, shard=Shard(index=index, count=count))
        counts = shard["report"]["counts"]
        assert counts["questions"] + counts["reported"] == counts["given"]
    (tmp_path / "merged").mkdir()
    merge(folders, tmp_path / "merged")
    assert results(tmp_path / "merged")["report"]["counts"] == expected["report"]["counts"]
    if count <= 3:  # as many batches
        assert results(tmp_path / "merged") == expected


def test_what_is_answered_already_is_not_reported(
    application: Application, dataset: Dataset, tmp_path: Path, server: ChatServer
) -> None:
    """A server may refuse tomorrow what it answered today."""
    server.behave(refused="number 5")
    evaluated(application, dataset, tmp_path / "out", server)
    server.behave(refused="number")
    report = evaluated(application, dataset, tmp_path / "out", server)["report"]
    assert [problem["line"] for problem in report["problems"]] == [1, 7]
    assert report["counts"]["questions"] == 9


def test_every_question_may_be_refused(
    application: Application, dataset: Dataset, tmp_path: Path, server: ChatServer
) -> None:
    server.behave(refused="capital", refused_status=413)
    report = evaluated(application, dataset, tmp_path / "out", server)["report"]
    assert report["counts"] == {**report["counts"], "given": 11, "questions": 0, "reported": 11}
    assert read_json(tmp_path / "out" / "report.json")["problems"][-1]["line"] == 11


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_server_that_answers_nobody_ends_the_run(
    application: Application, dataset: Dataset, tmp_path: Path, server: ChatServer, status: int
) -> None:
    server.behave(refused="number 5", refused_status=status)
    with pytest.raises(InputError, match=rf"generator: .* refused the request \({status}\)") as caught:
        evaluated(application, dataset, tmp_path / "out", server)
    assert "\n" not in str(caught.value)
    assert len(read_lines(tmp_path / "out" / "predictions.jsonl")) == 4  # the first batch
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_server_that_is_gone_ends_the_run(application: Application, dataset: Dataset, tmp_path: Path) -> None:
    with serving_chat() as gone:
        pass
    with pytest.raises(InputError, match="cannot be reached"):
        evaluated(application, dataset, tmp_path / "out", gone)
