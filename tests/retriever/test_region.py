"""The region head: what it finds is looked at in the picture's place."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from knowledge_bases.records import VisualQuestion
from retriever.checkpoints import load_retriever, save_retriever
from retriever.encoder import Encoder
from retriever.explanation import explain
from retriever.region import (
    REGION_FOLDER,
    RegionFinder,
    RegionHead,
    Regions,
    RegionSettings,
    load_region_head,
    patch_centres,
    save_region_head,
)

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
CONTENT = "Lima. The capital of Peru is Lima, a city on the coast."
CPU, FLOAT = torch.device("cpu"), torch.float32


class FixedHead(RegionHead):
    """Sees the same box in every picture, as surely as it is told."""

    def __init__(self, settings: RegionSettings, box: tuple[float, float, float, float], logit: float = 9.0) -> None:
        super().__init__(settings)
        self._box, self._logit = torch.tensor(box), torch.tensor(logit)

    def forward(self, patches: torch.Tensor) -> Regions:
        n = len(patches)
        return Regions(self._box.expand(n, 4), self._logit.expand(n), torch.zeros(patches.shape[:2]))


def settings_for(encoder: Encoder) -> RegionSettings:
    vision = encoder.model.vision_encoder.config
    return RegionSettings(vision_size=vision.hidden_size, side=vision.image_size // vision.patch_size, vision_layer=1)


def looking(encoder: Encoder, head: RegionHead) -> Encoder:
    """The encoder with a head."""
    assert encoder.processor.image_processor is not None
    finder = RegionFinder(head, encoder.model.vision_encoder, encoder.processor.image_processor)
    return Encoder(encoder.model, encoder.processor, identify=lambda: "fixed", regions=finder)


def test_what_is_found_takes_the_place_of_the_picture(encoder: Encoder) -> None:
    left, top, right, bottom = encoder.processor.image_processor.seen(90, 60)  # type: ignore[union-attr]
    closer = looking(encoder, FixedHead(settings_for(encoder), (0.2, 0.2, 0.7, 0.8)))
    question = VisualQuestion(text="What is it?", image=PICTURE)
    seen = closer.seen(question, closer.look([question])[0])
    assert seen is not None
    look = closer.look([question])[0]
    assert look is not None
    assert look.object_score == pytest.approx(9.0)
    edges = look.box
    assert edges is not None
    assert edges[0] == round(left + 0.175 * (right - left))  # a twentieth of the box beyond its edge
    assert edges[3] == round(top + 0.83 * (bottom - top))
    cut = VisualQuestion(text="What is it?", image=PICTURE.crop(edges))
    assert torch.equal(closer.encode_queries([question])[0], encoder.encode_queries([cut])[0])
    assert not torch.equal(closer.encode_queries([question])[0], encoder.encode_queries([question])[0])
    assert explain(closer, question, CONTENT).seen == seen


@pytest.mark.parametrize(
    ("box", "logit"), [((0.2, 0.2, 0.7, 0.8), -1.0), ((-0.3, 0.0, 1.2, 1.0), 9.0), ((0.5, 0.5, 0.51, 0.9), 9.0)]
)
def test_the_whole_picture_is_seen_where_nothing_is_cut(
    encoder: Encoder, box: tuple[float, float, float, float], logit: float
) -> None:
    square = PICTURE.crop((0, 0, 60, 60))
    closer = looking(encoder, FixedHead(settings_for(encoder), box, logit))
    question = VisualQuestion(text="What is it?", image=square)
    assert torch.equal(closer.encode_queries([question])[0], encoder.encode_queries([question])[0])
    assert closer.seen(question, closer.look([question])[0]) == (0, 0, 60, 60)


def test_regions_that_were_given_and_texts_alone_stay_as_they_are(encoder: Encoder) -> None:
    closer = looking(encoder, FixedHead(settings_for(encoder), (0.2, 0.2, 0.7, 0.8)))
    questions = [
        VisualQuestion(text="What is it?", image=PICTURE, regions=(PICTURE.crop((0, 0, 30, 30)),)),
        VisualQuestion(text="What is the capital?"),
    ]
    encoder.forget_pictures()  # of the tests before, which encoded the picture alone
    for ours, plain in zip(closer.encode_queries(questions), encoder.encode_queries(questions), strict=True):
        assert torch.equal(ours, plain)
    assert closer.seen(questions[1], closer.look([questions[1]])[0]) is None
    assert closer.look(questions) == [None, None]
    assert encoder.look([VisualQuestion(text="What is it?", image=PICTURE)]) == [None]


def test_a_passage_s_picture_is_looked_at_as_a_question_s(encoder: Encoder) -> None:
    model = copy.deepcopy(encoder.model)
    model.config = replace(model.config, context_concat_output_from_vision_encoder=True)
    reads_pictures = Encoder(model, encoder.processor, identify=lambda: "pictures")
    closer = looking(reads_pictures, FixedHead(settings_for(reads_pictures), (0.2, 0.2, 0.7, 0.8)))
    look = closer.look([VisualQuestion(image=PICTURE)])[0]
    assert look is not None
    assert look.box is not None
    cut = PICTURE.crop(look.box)
    ours = closer.encode_passages([CONTENT], {0: lambda: PICTURE})[0]
    assert torch.equal(ours, reads_pictures.encode_passages([CONTENT], {0: lambda: cut})[0])
    assert not torch.equal(ours, reads_pictures.encode_passages([CONTENT], {0: lambda: PICTURE})[0])


def test_a_head_is_kept_beside_the_weights_and_counts_in_the_fingerprint(encoder: Encoder, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_retriever(encoder.model, encoder.processor, folder)
    without = load_retriever(folder, device=CPU, dtype=FLOAT).fingerprint
    torch.manual_seed(0)
    head = RegionHead(settings_for(encoder))
    save_region_head(head, folder / REGION_FOLDER)
    again = load_region_head(folder / REGION_FOLDER, device=CPU, dtype=FLOAT)
    assert again.settings == head.settings
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, head.state_dict()[name].half().float()), name
    with_head = load_retriever(folder, device=CPU, dtype=FLOAT)
    assert with_head.fingerprint != without
    rows = with_head.encode_queries([VisualQuestion(text="What is it?", image=PICTURE)])[0]
    assert rows.norm(dim=1).tolist() == pytest.approx([1.0] * len(rows), abs=1e-5)


def test_a_damaged_head_is_one_clear_line(encoder: Encoder, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_retriever(encoder.model, encoder.processor, folder)
    place = folder / REGION_FOLDER

    def message() -> str:
        with pytest.raises(ValueError, match=REGION_FOLDER) as caught:
            load_retriever(folder, device=CPU, dtype=FLOAT)
        return str(caught.value)

    settings = settings_for(encoder)
    other = RegionSettings(vision_size=settings.vision_size, side=settings.side + 1, vision_layer=1)
    save_region_head(RegionHead(other), place)
    assert "another vision encoder" in message()
    save_region_head(RegionHead(settings), place)
    values = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(values | {"layers": values["layers"] + 1}))
    assert "missing or unexpected" in message()
    (place / "config.json").write_text(json.dumps(values | {"colour": "red"}))
    assert "colour" in message()
    for name, wrong in (("hidden_size", -96), ("heads", 7), ("heads", 0), ("layers", "two"), ("side", None)):
        (place / "config.json").write_text(json.dumps(values | {name: wrong}))
        assert "is damaged" in message(), (name, wrong)
    (place / "config.json").write_text(json.dumps(values))
    content = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "cannot read" in message()
    (place / "model.safetensors").unlink()
    assert "model.safetensors" in message()


def test_the_box_is_what_the_patches_agree_on() -> None:
    head = RegionHead(RegionSettings(vision_size=8, side=4))
    with torch.no_grad():
        regions = head(torch.randn(3, 16, 8))
    assert regions.boxes.shape == (3, 4)
    assert bool((regions.boxes[:, :2] <= regions.boxes[:, 2:]).all())
    assert regions.patch_logits.shape == (3, 16)
    low, high = regions.patch_logits.min(dim=1).values, regions.patch_logits.max(dim=1).values
    assert bool(((regions.object_logits >= low) & (regions.object_logits <= high)).all())
    assert patch_centres(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
