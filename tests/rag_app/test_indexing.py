from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from knowledge_bases.records import Passage, VisualQuestion
from knowledge_bases.store import PassageStore
from rag_app.assembly import open_finder, open_index
from rag_app.errors import InputError
from rag_app.indexing import index_key, passage_id_of, sync
from rag_app.joining import indexes_of
from rag_app.knowledge import Knowledge, find_knowledge, open_store
from rag_app.stores import SharedStore
from retriever.encoder import Encoder
from retriever.index.exact import ExactIndex
from retriever.index.manifest import DeviceMemoryError
from retriever.index.on_device import OnDeviceIndex
from retriever.index.protocol import PassageIndex, StoredIndex
from tests.tiny import PASSAGES


def shared(tmp_path: Path) -> SharedStore:
    return SharedStore(tmp_path / "mine.sqlite")


def results(index: object, encoder: Encoder) -> list[tuple[str, float]]:
    query = encoder.encode_queries([VisualQuestion(text="what is the capital of the land?")])[0]
    return index.search(query, k=10)  # type: ignore[attr-defined, no-any-return]


def test_keys_name_the_passage_and_its_content() -> None:
    one = Passage(passage_id="a@b", title="t", text="x")
    assert passage_id_of(index_key(one)) == "a@b"
    assert index_key(one) != index_key(Passage(passage_id="a@b", title="t", text="y"))


@pytest.mark.usefixtures("store")
def test_memory_that_runs_out_while_passages_are_encoded_is_one_line(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(encoder.model, "doc", full)
        with pytest.raises(InputError, match=r"ran out while passages were encoded; try again with no other .*cpu"):
            sync(shared(tmp_path), encoder, tmp_path / "i")
    _, report = sync(shared(tmp_path), encoder, tmp_path / "i")
    assert report.added == len(PASSAGES)


@pytest.mark.usefixtures("store")
def test_a_second_sync_has_nothing_to_do(tmp_path: Path, encoder: Encoder) -> None:
    calls: list[tuple[int, int]] = []
    _, first = sync(shared(tmp_path), encoder, tmp_path / "i", progress=lambda *n: calls.append(n))
    assert (first.added, first.deleted, first.repaired) == (len(PASSAGES), 0, "")
    assert calls[-1] == (len(PASSAGES), len(PASSAGES))
    _, second = sync(shared(tmp_path), encoder, tmp_path / "i")
    assert (second.added, second.deleted, second.repaired) == (0, 0, "")


def test_only_what_changed_is_encoded(tmp_path: Path, encoder: Encoder, store: PassageStore) -> None:
    sync(shared(tmp_path), encoder, tmp_path / "i")
    store.delete(["red-money", "blue-money"])
    store.add([Passage(passage_id="red-money", text="They pay with shells."), Passage(passage_id="new", text="New.")])
    index, report = sync(shared(tmp_path), encoder, tmp_path / "i")
    assert (report.added, report.deleted) == (2, 2)
    fresh, _ = sync(shared(tmp_path), encoder, tmp_path / "fresh")
    assert dict(results(index, encoder)) == pytest.approx(dict(results(fresh, encoder)), abs=1e-3)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("damage", ["flip", "cut", "manifest", "remove"])
def test_a_damaged_index_is_repaired(tmp_path: Path, encoder: Encoder, damage: str) -> None:
    index, _ = sync(shared(tmp_path), encoder, tmp_path / "i")
    expected = results(index, encoder)
    (embeddings,) = (tmp_path / "i").rglob("*.f16")
    content = embeddings.read_bytes()
    if damage == "flip":
        embeddings.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "cut":
        embeddings.write_bytes(content[:-64])
    elif damage == "manifest":
        next((tmp_path / "i").rglob("manifest.json")).write_text("{", encoding="utf-8")
    else:
        embeddings.unlink()
    repaired, report = sync(shared(tmp_path), encoder, tmp_path / "i")
    assert report.repaired
    assert results(repaired, encoder) == expected


@pytest.mark.usefixtures("store")
def test_an_interrupted_sync_carries_on(tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.indexing.PASSAGES_PER_COMMIT", 2)

    def stop(done: int, total: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(shared(tmp_path), encoder, tmp_path / "i", progress=stop)
    index, report = sync(shared(tmp_path), encoder, tmp_path / "i")
    assert (report.added, report.repaired) == (len(PASSAGES) - 4, "")
    fresh, _ = sync(shared(tmp_path), encoder, tmp_path / "fresh")
    assert dict(results(index, encoder)) == pytest.approx(dict(results(fresh, encoder)), abs=1e-3)


@pytest.mark.usefixtures("store")
def test_force_builds_anew(tmp_path: Path, encoder: Encoder) -> None:
    sync(shared(tmp_path), encoder, tmp_path / "i")
    _, report = sync(shared(tmp_path), encoder, tmp_path / "i", force=True)
    assert report.added == len(PASSAGES)


def test_a_large_index_is_compressed_and_kept_in_step(
    tmp_path: Path, encoder: Encoder, store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, _ = sync(shared(tmp_path), encoder, tmp_path / "i")
    expected = results(exact, encoder)
    monkeypatch.setattr("rag_app.indexing.COMPRESS_FROM", 10)
    notes: list[str] = []
    index, report = sync(shared(tmp_path), encoder, tmp_path / "i", notify=notes.append)
    assert type(index).__name__ == "LateInteractionIndex"
    assert (report.added, report.deleted, report.repaired) == (0, 0, "")
    assert re.fullmatch(
        r"compressing the index of 6 passages: about \d+ s, .* MB of disk and .* MB of memory", notes[0]
    )
    assert dict(results(index, encoder)) == pytest.approx(dict(expected), abs=0.05)
    store.delete(["red-money"])
    store.add([Passage(passage_id="new", text="New.")])
    changed, report = sync(shared(tmp_path), encoder, tmp_path / "i", notify=notes.append)
    assert (report.added, report.deleted, len(notes)) == (1, 1, 1)
    assert {passage_id_of(key) for key in changed.ids} == {row["passage_id"] for row in PASSAGES} - {"red-money"} | {
        "new"
    }
    codes = next((tmp_path / "i").rglob("*.q8"))
    codes.write_bytes(codes.read_bytes()[:-1])
    _, report = sync(shared(tmp_path), encoder, tmp_path / "i")
    assert "bytes instead of" in report.repaired


@pytest.mark.usefixtures("store")
def test_a_large_index_that_cannot_be_compressed_serves(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, _ = sync(shared(tmp_path), encoder, tmp_path / "i")
    monkeypatch.setattr("rag_app.indexing.COMPRESS_FROM", 10)
    monkeypatch.setattr("retriever.index.stored.write_segment", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    notes: list[str] = []
    index, _ = sync(shared(tmp_path), encoder, tmp_path / "i", notify=notes.append)
    assert results(index, encoder) == results(exact, encoder)
    assert "stays uncompressed" in notes[-1]
    assert "(full)" in notes[-1]


def test_a_small_index_needs_no_compiler() -> None:
    program = "import sys, rag_app.indexing, rag_app.finder; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def passages_file(tmp_path: Path) -> Knowledge:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in PASSAGES), encoding="utf-8")
    return find_knowledge(str(path), tmp_path / "var")


def test_a_derived_store_is_made_once_and_mended(tmp_path: Path) -> None:
    knowledge = passages_file(tmp_path)
    first = open_store(knowledge, tmp_path / "var")
    made, expected = first.path.stat().st_mtime_ns, first.content_hash()
    assert open_store(knowledge, tmp_path / "var").path.stat().st_mtime_ns == made
    first.path.write_bytes(b"not a database at all" * 300)
    assert open_store(knowledge, tmp_path / "var").content_hash() == expected


def test_a_changed_file_gives_another_store(tmp_path: Path) -> None:
    before = open_store(passages_file(tmp_path), tmp_path / "var")
    with (tmp_path / "mine.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"passage_id": "more", "text": "More."}\n')
    after = open_store(find_knowledge(str(tmp_path / "mine.jsonl"), tmp_path / "var"), tmp_path / "var")
    assert len(after) == len(before) + 1


def test_faulty_passages_leave_no_store(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"passage_id": "a", "text": "x"}\n{"passage_id": "a", "text": "y"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="'a' is already"):
        open_store(find_knowledge(str(path), tmp_path / "var"), tmp_path / "var")
    assert list((tmp_path / "var" / "stores").iterdir()) == []


def test_a_folder_that_cannot_be_written_gives_way(tmp_path: Path, encoder: Encoder) -> None:
    knowledge = passages_file(tmp_path)
    (tmp_path / "var").write_text("a file where a folder should be", encoding="utf-8")
    notes: list[str] = []
    store, index = open_index(knowledge, encoder, var=tmp_path / "var", notify=notes.append)
    assert len(index) == len(store) == len(PASSAGES)
    assert "cannot be written" in notes[0]
    shutil.rmtree(store.path.parent.parent)


def test_an_empty_knowledge_base(tmp_path: Path, encoder: Encoder) -> None:
    PassageStore.open(tmp_path / "none.sqlite", create=True).close()
    knowledge = Knowledge(name="none", title="none", own_store=tmp_path / "none.sqlite", folder="none")
    with pytest.raises(InputError, match="'none' is empty; add passages"):
        open_index(knowledge, encoder, var=tmp_path / "var")


def png(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (30, 20), colour).save(file, "PNG")
    return file.getvalue()


def test_a_passage_is_encoded_again_when_its_picture_changes(
    tmp_path: Path, encoder: Encoder, store: PassageStore
) -> None:
    model = copy.deepcopy(encoder.model)
    model.config = replace(model.config, context_concat_output_from_vision_encoder=True)
    reader = Encoder(model, encoder.processor, identify=lambda: "pictures")
    plain, _ = sync(shared(tmp_path), reader, tmp_path / "i")
    red = store.get(["red-money"])[0]
    for picture, rows in ((png("red"), reader.passage_picture_rows), (png("blue"), reader.passage_picture_rows)):
        store.replace(red, picture)
        index, report = sync(shared(tmp_path), reader, tmp_path / "i")
        assert (report.added, report.deleted) == (1, 1)
        assert index.n_tokens == plain.n_tokens + rows
    store.replace(red, png("blue")[:40])  # nothing that Pillow could read
    index, report = sync(shared(tmp_path), reader, tmp_path / "i")
    assert (report.added, index.n_tokens) == (1, plain.n_tokens)
    _, report = sync(shared(tmp_path), encoder, tmp_path / "i")  # reads texts only: an index of its own
    store.replace(red, png("green"))
    _, report = sync(shared(tmp_path), encoder, tmp_path / "i")
    assert report.added == 0


def test_passages_are_searched_where_questions_are_encoded(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowledge = passages_file(tmp_path)
    on_disk = open_finder([knowledge], encoder, var=tmp_path / "var")
    assert isinstance(indexes_of(on_disk)[0], ExactIndex)
    asked: list[Sequence[PassageIndex]] = []

    def as_on_cuda(
        index: StoredIndex, *, device: torch.device, dtype: torch.dtype, previous: Sequence[PassageIndex]
    ) -> PassageIndex:
        assert (device, dtype) == (encoder.model.device, encoder.model.dtype)
        asked.append(previous)
        return OnDeviceIndex(index, device=device, dtype=dtype, previous=previous)

    monkeypatch.setattr("rag_app.assembly.searched_on", as_on_cuda)
    finder = open_finder([knowledge], encoder, var=tmp_path / "var", previous=on_disk)
    question = VisualQuestion(text="what is the capital of the land?")
    ((*found,), (*expected,)) = (*finder.find([question], k=3), *on_disk.find([question], k=3))
    assert [one.passage for one in found] == [one.passage for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-4)
    open_finder([knowledge], encoder, var=tmp_path / "var", previous=finder)
    assert asked == [indexes_of(on_disk), indexes_of(finder)]


def test_an_index_that_does_not_fit_on_the_device_is_searched_on_the_cpu(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> PassageIndex:
        raise DeviceMemoryError("the index takes 9 GB more\nof cuda:0")

    monkeypatch.setattr("rag_app.assembly.searched_on", full)
    notes: list[str] = []
    finder = open_finder([passages_file(tmp_path)], encoder, var=tmp_path / "var", notify=notes.append)
    assert notes == ["passages are searched on the CPU: the index takes 9 GB more of cuda:0"]
    assert isinstance(indexes_of(finder)[0], ExactIndex)
    assert finder.find([VisualQuestion(text="what is the capital?")], k=1)[0]
