"""Two knowledge bases in one question."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor

from knowledge_bases.records import Passage, ScoredPassage, VisualQuestion
from knowledge_bases.store import StoreError
from rag_app.answers import Answer
from rag_app.assembly import Application, open_application
from rag_app.cli import main
from rag_app.entities import entities_found, recognised
from rag_app.errors import InputError
from rag_app.finder import PassageFinder
from rag_app.joining import JoinedFinder, own_id
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import find_knowledge, find_together
from rag_app.retriever_adapter import PassageRetriever
from rag_app.stores import JoinedStore
from rag_app.timing import Stopwatch
from retriever.region import Look
from tests.rag_app.test_cli import ask, fails
from tests.tiny import PASSAGES, tiny_preset

QUESTION = VisualQuestion(text="what is the capital?", image=Image.new("RGB", (60, 40), "red"))
OTHERS = [
    {"passage_id": "red-capital", "title": "The red town", "text": "Nobody lives in the red town but cats."},
    {"passage_id": "green-capital", "title": "The green land", "text": "The capital of the green land is Bonn."},
]


@pytest.fixture(scope="module")
def others(world: Path) -> Path:
    """A knowledge base of which one id is also in the other."""
    path = world / "others.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in OTHERS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def both(world: Path, others: Path) -> Application:
    preset = tiny_preset(world / "reader", world / "passages.jsonl")
    return open_application(
        preset, *find_together(f"{preset.knowledge_base},{others}", world / "var"), var=world / "var"
    )


def alone(world: Path, path: Path) -> Application:
    preset = tiny_preset(world / "reader", world / "passages.jsonl")
    return open_application(preset, find_knowledge(str(path), world / "var"), var=world / "var")


def ids(found: Sequence[ScoredPassage]) -> list[str]:
    return [one.passage.passage_id for one in found]


def found_by(application: Application, k: int = 99) -> tuple[ScoredPassage, ...]:
    assert application.pipeline.finder is not None
    return application.pipeline.finder.find([QUESTION], k=k)[0]


def test_the_passages_of_both_are_ranked_together(both: Application, world: Path, others: Path) -> None:
    expected = [
        (f"{path.stem}/{one.passage.passage_id}", one.score, one.picture_score)
        for path in (world / "passages.jsonl", others)
        for one in found_by(alone(world, path))
    ]
    expected.sort(key=lambda row: -row[1])
    found = found_by(both)
    assert [(one.passage.passage_id, one.score, one.picture_score) for one in found] == expected
    assert len(found) == len(PASSAGES) + len(OTHERS)
    assert {one.knowledge_base for one in found} == {"passages", "others"}
    assert [(own_id(one), one.knowledge_base) for one in found] == [
        tuple(one.passage.passage_id.split("/")[::-1]) for one in found
    ]
    assert found_by(both, 4) == found[:4]
    assert {"passages/red-capital", "others/red-capital"} <= set(ids(found))


def test_a_question_is_encoded_once(both: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = both.pipeline.finder
    assert isinstance(finder, JoinedFinder)
    passes: list[int] = []
    encode = finder.encoder.encode_queries

    def counted(questions: Sequence[VisualQuestion], looks: Sequence[Look | None]) -> list[Tensor]:
        passes.append(len(questions))
        return encode(questions, looks)

    monkeypatch.setattr(finder.encoder, "encode_queries", counted)
    watch = Stopwatch()
    finder.find([QUESTION, VisualQuestion(text="how do people pay?")], k=2, watch=watch)
    assert passes == [2]
    assert list(watch.timings_ms()) == ["encode", "search", "fetch", "total"]


def test_answers_explanations_and_entities(both: Application) -> None:
    answer = both.pipeline.taking(8).invoke(QUESTION)
    assert len({one.passage_id for one in answer.candidates}) == 8
    for one in answer.passages:
        explained = both.pipeline.explain(QUESTION, one.passage)
        assert explained.score == pytest.approx(one.score, abs=0.05)
    assert [one["knowledge_base"] for one in answer.as_json()["passages"]] == [
        one.knowledge_base for one in answer.passages
    ]
    assert recognised(answer, both.knowledge_base) in {one.passage.title for one in answer.passages}
    entities = entities_found(both.pipeline, QUESTION, both.knowledge_base)
    assert {"The red land", "The red town", "The green land"} <= set(entities)
    assert both.knowledge_base == "passages,others"
    assert both.pipeline.finder is not None
    documents = PassageRetriever(finder=both.pipeline.finder, k=2).invoke("what?")
    assert [str(one.id).count("/") for one in documents] == [1, 1]


def test_entities_are_read_by_the_rule_of_their_own_knowledge_base() -> None:
    passage = Passage(passage_id="world_flags/wf-gh-capital", title="Gold Coast", text="x")
    found = ScoredPassage(passage=passage, score=1.0, knowledge_base="world_flags")
    assert recognised(Answer(text="x", confidence=1.0, passages=(found,)), "world_flags,notes") == "Ghana"
    other = replace(found, passage=replace(passage, passage_id="notes/wf-gh-capital"), knowledge_base="notes")
    assert recognised(Answer(text="x", confidence=1.0, passages=(other,)), "world_flags,notes") == "Gold Coast"
    plain = ScoredPassage(passage=replace(passage, passage_id="/wf-gh-capital"), score=1.0)
    assert own_id(plain) == "/wf-gh-capital"


def test_the_store_of_both(both: Application) -> None:
    store = both.store
    assert isinstance(store, JoinedStore)
    assert len(store) == both.n_passages == len(PASSAGES) + len(OTHERS)
    assert [one.passage_id for one in store][-2:] == ["others/red-capital", "others/green-capital"]
    assert [one.title for one in store.get(["others/red-capital", "passages/red-capital"])] == [
        "The red town",
        "The red land",
    ]
    assert store.full_ids("red-capital") == ("passages/red-capital", "others/red-capital")
    assert store.full_ids("others/red-capital") == ("others/red-capital",)
    assert store.full_ids("gone") == ("gone",)
    assert store.picture("others/red-capital") is None
    for wrong in ("red-capital", "gone/red-capital", "others/gone"):
        with pytest.raises(StoreError, match=f"passage .*{wrong.rpartition('/')[2]}"):
            store.get([wrong])
    assert store.content_hash() != JoinedStore(dict(reversed(store.parts.items()))).content_hash()


def test_only_one_encoder(both: Application, world: Path, others: Path) -> None:
    parts = [one.pipeline.finder for one in (alone(world, others), alone(world, world / "passages.jsonl"))]
    assert all(isinstance(one, PassageFinder) for one in parts)
    with pytest.raises(ValueError, match="only with one encoder"):
        JoinedFinder({str(number): one for number, one in enumerate(parts) if isinstance(one, PassageFinder)})


def test_using_two_and_one_again(both: Application, world: Path, others: Path) -> None:
    application = alone(world, others)
    in_use, before = KnowledgeInUse(application), application.snapshot()
    with pytest.raises(InputError, match="choose at least one"):
        in_use.use()
    with pytest.raises(InputError, match="'others'; give each once"):
        in_use.use("others", "others")
    with pytest.raises(InputError, match="unknown knowledge base 'passages'"):
        in_use.use("others", "passages")
    assert main(["kb", "add", str(world / "passages.jsonl"), "--kb", "mine", "--var", str(world / "var")]) == 0
    assert in_use.use("mine", "others") == len(PASSAGES) + len(OTHERS)
    assert application.knowledge_base == "mine,others"
    assert {one.knowledge_base for one in found_by(application)} == {"mine", "others"}
    assert {one.knowledge_base for one in found_by(before)} == {""}
    own = in_use.passages("mine")
    assert own is not None
    assert len(own) == len(PASSAGES)
    assert in_use.passages("passages") is None
    assert main(["kb", "delete", "red-money", "--kb", "mine", "--var", str(world / "var")]) == 0
    in_use.follow("mine")
    assert "mine/red-money" not in ids(found_by(application))
    assert in_use.use("others") == len(OTHERS)
    assert {one.knowledge_base for one in found_by(application)} == {""}


def test_on_the_command_line(
    world: Path, others: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAG_APP_VAR", str(world / "var"))
    together = f"{world / 'passages.jsonl'},{others}"
    assert main(ask(world, "--json", "--k", "8", "--kb", together)) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["knowledge_base"] == "passages,others"
    assert {one["knowledge_base"] for one in answer["passages"]} == {"passages", "others"}
    assert main(ask(world, "--kb", together)) == 0
    assert "others/" in capsys.readouterr().out or "passages/" in capsys.readouterr().out
    assert "'none'; choose one of" in fails(capsys, ask(world, "--kb", f"{others},none"))
    assert "unknown knowledge base ''" in fails(capsys, ask(world, "--kb", f"{others},"))
    assert "called 'others'; give each once" in fails(capsys, ask(world, "--kb", f"{others},{others}"))
    assert "unknown knowledge base 'a,b'" in fails(capsys, ["kb", "info", "--kb", "a,b"])


def test_evaluating_both(world: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right passages of a dataset are known by the ids that they have in their own knowledge base."""
    monkeypatch.setenv("RAG_APP_VAR", str(world / "var"))
    rows = [
        {"question_id": 1, "image": "picture.png", "question": "what is the capital?", "answers": ["Bonn"] * 10}
        | {"pos_passage_ids": ["green-capital"]}
    ]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = ["evaluate", "--dataset", str(tmp_path / "asked.jsonl"), "--images", str(world), "--k", "8"]
    given += ["--preset", str(world / "tiny.toml"), "--kb", f"{world / 'passages.jsonl'},{others}"]
    assert main([*given, "--output", str(tmp_path / "found")]) == 0
    report = json.loads((tmp_path / "found" / "report.json").read_text())
    assert report["metrics"]["Recall@8"] == 1
    assert report["manifest"]["knowledge_base"] == "passages,others"
    assert main([*given, "--output", str(tmp_path / "oracle"), "--oracle"]) == 0
    (line,) = (tmp_path / "oracle" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["passage_ids"] == ["others/green-capital"]
