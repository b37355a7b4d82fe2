from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app.indexing import sync
from rag_app.sample_questions import N_SAMPLES, sample_questions
from rag_app.stores import SharedStore
from retriever.encoder import Encoder
from retriever.index.compressed import LateInteractionIndex
from retriever.training.cloze import question_about
from tests.tiny import PASSAGES


def picture() -> bytes:
    content = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(content, "PNG")
    return content.getvalue()


@pytest.mark.usefixtures("store")
def test_every_passage_gives_a_question_of_its_text(tmp_path: Path, encoder: Encoder) -> None:
    ids = [row["passage_id"] for row in PASSAGES]
    shared = SharedStore(tmp_path / "mine.sqlite")
    found = sample_questions(shared, ids, encoder)
    assert len(found) == len(ids)
    assert all(torch.allclose(rows.norm(dim=1), torch.ones(len(rows)), atol=1e-3) for rows in found)
    again = sample_questions(shared, ids, encoder)
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))
    assert sample_questions(shared, [], encoder) == []
    assert sample_questions(shared, [*ids, "taken out"], encoder) == []


def test_passages_with_pictures_give_longer_questions_too(
    tmp_path: Path, encoder: Encoder, store: PassageStore
) -> None:
    store.add([Passage(passage_id="shown", text="A teal land. It has a sea.")], pictures={"shown": picture()})
    store.add(
        Passage(passage_id=f"more-{number}", text=f"There are {number} hills in it.") for number in range(N_SAMPLES)
    )
    shared = SharedStore(tmp_path / "mine.sqlite")
    found = sample_questions(shared, [one.passage_id for one in shared], encoder)
    assert len(found) == N_SAMPLES + 1
    assert len(found[-1]) > max(len(rows) for rows in found[:-1])


@pytest.mark.usefixtures("store")
def test_a_compressed_index_is_measured_with_them(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.indexing.COMPRESS_FROM", 10)
    shared = SharedStore(tmp_path / "mine.sqlite")
    index, _ = sync(shared, encoder, tmp_path / "i")
    assert isinstance(index, LateInteractionIndex)
    asked = {len(rows) for rows in sample_questions(shared, [row["passage_id"] for row in PASSAGES], encoder)}
    assert asked < {entry.n_rows for entry in index.stored.manifest.calibration}  # and long ones that were made up
    assert not (index.codec.metric == torch.eye(encoder.dim).numpy()).all()


@pytest.mark.parametrize("text", ["", " ", "。", "One", "1999", "日本の首都は東京です。", "(", "a " * 5000])
def test_any_text_gives_a_question(text: str) -> None:
    for seed in range(20):
        assert question_about(text, random.Random(seed)).strip()
