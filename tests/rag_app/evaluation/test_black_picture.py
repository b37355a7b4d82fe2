"""Questions without a picture are searched with a black one, and read as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from knowledge_bases.records import VisualQuestion, VqaExample
from rag_app.assembly import Application
from rag_app.datasets import Dataset
from rag_app.evaluation.asking import Asker, Prepared
from rag_app.evaluation.black_picture import as_without_picture, encodes_pictures, with_black_picture
from rag_app.evaluation.modes import Mode

BARE = VisualQuestion(text="what is the capital of the red land?")
RED = replace(BARE, image=Image.new("RGB", (60, 40), "red"))


def test_a_picture_of_its_own_is_kept() -> None:
    assert with_black_picture(RED) is RED
    black = with_black_picture(BARE)
    assert black.text == BARE.text
    assert black.image is not None
    assert (black.image.size, black.image.getcolors()) == ((336, 336), [(336 * 336, (0, 0, 0))])


@pytest.mark.parametrize("depth", [0, 5])
def test_what_is_read_has_no_picture(depth: int, application: Application, dataset: Dataset) -> None:
    asker = Asker(
        application.pipeline, dataset, mode=Mode.RETRIEVAL, store=application.store, depth=depth, black_picture=True
    )
    examples = tuple(VqaExample(question_id=name, question=BARE.text) for name in ("bare", "red"))
    asked = asker.ask(Prepared(examples=examples, questions=(BARE, RED), problems=()))
    (_, bare), (_, red) = asked.answered
    finder = application.pipeline.finder
    assert finder is not None
    searched = finder.find([with_black_picture(BARE), RED], k=max(depth, application.pipeline.k))
    assert bare.passages == as_without_picture(searched[0])
    assert red.passages == searched[1]
    assert {one.picture_score for one in bare.passages} == {None}
    assert None not in {one.picture_score for one in red.passages}
    (alone,) = finder.find([BARE], k=1)
    assert bare.passages[0].score != pytest.approx(alone[0].score)


def test_a_checkpoint_of_texts_gets_none(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = application.pipeline.finder
    assert finder is not None
    assert encodes_pictures(finder.encoder)
    monkeypatch.setattr(finder.encoder.processor, "image_processor", None)
    assert not encodes_pictures(finder.encoder)
