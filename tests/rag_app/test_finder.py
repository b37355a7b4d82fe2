"""What goes with a passage that was found."""

from __future__ import annotations

import copy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from knowledge_bases.records import Passage, VisualQuestion
from knowledge_bases.store import PassageStore
from rag_app.assembly import Application
from rag_app.errors import InputError
from rag_app.finder import PassageFinder
from rag_app.indexing import sync
from rag_app.stores import SharedStore
from retriever.encoder import Encoder
from retriever.region import RegionFinder
from tests.retriever.test_region import FixedHead, settings_for
from tests.tiny import PASSAGES


def test_an_object_matters_where_the_passage_has_no_picture_of_its_own(
    application: Application, tmp_path: Path
) -> None:
    plain = application.pipeline.finder
    assert plain is not None
    model, processor = copy.deepcopy(plain.encoder.model), plain.encoder.processor
    model.config = replace(model.config, context_concat_output_from_vision_encoder=True)
    assert processor.image_processor is not None
    head = FixedHead(settings_for(plain.encoder), (0.1, 0.1, 0.9, 0.9), logit=2.5)
    regions = RegionFinder(head, model.vision_encoder, processor.image_processor)
    encoder = Encoder(model, processor, identify=lambda: "looking", regions=regions)
    picture, file = Image.new("RGB", (40, 30), "red"), BytesIO()
    picture.save(file, "PNG")
    with PassageStore.open(tmp_path / "mine.sqlite", create=True) as store:
        store.add((Passage(**row) for row in PASSAGES), {"red-money": file.getvalue()})
    shared = SharedStore(tmp_path / "mine.sqlite")
    finder = PassageFinder(encoder=encoder, index=sync(shared, encoder, tmp_path / "i")[0], store=shared)
    found = finder.find([VisualQuestion(text="what do they pay with?", image=picture)], k=len(PASSAGES))[0]
    scores = {one.passage.passage_id: one.object_score for one in found}
    assert scores.pop("red-money") is None
    assert len(scores) == len(PASSAGES) - 1
    assert list(scores.values()) == pytest.approx([2.5] * len(scores))
    without = finder.find([VisualQuestion(text="what do they pay with?")], k=2)[0]
    assert [one.object_score for one in without] == [None, None]


def test_a_passage_that_was_deleted_since_is_left_out(application: Application, tmp_path: Path) -> None:
    plain = application.pipeline.finder
    assert plain is not None
    with PassageStore.open(tmp_path / "mine.sqlite", create=True) as store:
        store.add(Passage(**row) for row in PASSAGES)
    shared = SharedStore(tmp_path / "mine.sqlite")
    finder = PassageFinder(encoder=plain.encoder, index=sync(shared, plain.encoder, tmp_path / "i")[0], store=shared)
    question = VisualQuestion(text="what do they pay with?")
    before = [one.passage.passage_id for one in finder.find([question], k=3)[0]]
    with PassageStore.open(tmp_path / "mine.sqlite") as store:
        store.delete(before[:1])
    assert [one.passage.passage_id for one in finder.find([question], k=3)[0]] == before[1:]
    with PassageStore.open(tmp_path / "mine.sqlite") as store:
        store.delete(before[1:])
    with pytest.raises(InputError, match="run `kb sync`"):
        finder.find([question], k=3)


def test_a_retriever_without_pictures_says_so(application: Application) -> None:
    finder = application.pipeline.finder
    assert isinstance(finder, PassageFinder)
    processor = copy.copy(finder.encoder.processor)
    processor.image_processor = None
    encoder = Encoder(finder.encoder.model, processor, identify=lambda: "texts")
    texts = PassageFinder(encoder=encoder, index=finder.index, store=finder.store)
    with pytest.raises(InputError, match="takes no pictures"):
        texts.find([VisualQuestion(text="what is it?", image=Image.new("RGB", (40, 30), "red"))], k=1)
