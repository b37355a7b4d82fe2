"""A training stage: what learns and what stands still, going on where it stopped, in float32 and in bfloat16."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from retriever.checkpoints import load_retriever
from retriever.training.data import Corpus, KnowledgeSampler, Pair, PassageSampler, TaskMix
from retriever.training.flag_atlas import FlagAtlas
from retriever.training.loop import OtherRunError
from retriever.training.pictures import PictureRenderer
from retriever.training.recipe import GPU_STAGES, INSTRUCTIONS, STAGES, StageSettings
from retriever.training.stages import StageTrainer
from tests.retriever.conftest import TINY

WORDS = ("tower", "river", "stone", "garden")
SIDES = ("height", "colour")


def build_trainer(*, amp: bool) -> StageTrainer:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (3, 4, 3, 144, 192), generator=generator, dtype=torch.uint8)
    own = torch.arange(4)
    atlas = FlagAtlas(codes=("aa", "bb", "cc", "dd"), pixels=pixels, classes=own, drawings=own[:, None])
    places = [(entity, side) for entity in range(len(WORDS)) for side in range(len(SIDES))]
    texts = tuple(f"The {WORDS[entity]} stands. Its {SIDES[side]} is known. It is old." for entity, side in places)
    corpus = Corpus(texts=texts, entity=tuple(one for one, _ in places), side=tuple(side for _, side in places))
    pairs = [
        Pair(
            entity=entity,
            name=WORDS[entity],
            picture=entity,
            relation=SIDES[side],
            phrasings=(f"what is its {SIDES[side]}",),
            positives=(place,),
        )
        for place, (entity, side) in enumerate(places)
    ]
    encoder = load_retriever(TINY, device=torch.device("cpu"), dtype=torch.float32)
    size = encoder.model.config.vision_config.image_size
    return StageTrainer(
        encoder.model,
        encoder.processor.query_tokenizer,
        encoder.processor.context_tokenizer,
        knowledge=KnowledgeSampler(corpus, pairs, {}),
        passages=PassageSampler(texts),
        renderer=PictureRenderer(atlas, torch.Generator().manual_seed(0), size, n_backgrounds=64),
        instructions=INSTRUCTIONS,
        corpus_texts=texts,
        amp=amp,
    )


STAGE = StageSettings(
    name="tiny",
    steps=3,
    trained=("query_vision_projection.", "transformer_mapping_"),
    learning_rate=1e-2,
    entities=3,
    relations=2,
    extra=4,
    mix=TaskMix(picture_and_question=2, picture=1),
    blank=2,
    warmup=1,
    save_every=1,
    log_every=1,
)


@pytest.mark.parametrize("amp", [False, True])
def test_a_stage_trains_its_part_alone_and_goes_on_where_it_stopped(tmp_path: Path, amp: bool) -> None:
    trainer = build_trainer(amp=amp)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.run(STAGE, tmp_path)
    moved = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(STAGE.trained) for name in moved)
    again = build_trainer(amp=amp)
    again.run(replace(STAGE, steps=4), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "tiny" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row["loss"] > 0 for row in rows)
    trained, resumed = dict(trainer.model.named_parameters()), dict(again.model.named_parameters())
    assert any(not torch.equal(trained[name], resumed[name]) for name in moved)
    assert all(torch.equal(trained[name], resumed[name]) for name in before.keys() - moved)


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    build_trainer(amp=False).run(STAGE, tmp_path)
    with pytest.raises(OtherRunError, match="with other settings; move it away"):
        build_trainer(amp=False).run(replace(STAGE, trained=STAGE.trained[:1]), tmp_path)


def test_bfloat16_gives_nearly_the_loss_of_float32(tmp_path: Path) -> None:
    losses = []
    for amp in (False, True):
        build_trainer(amp=amp).run(replace(STAGE, steps=1), tmp_path / str(amp))
        losses.append(json.loads((tmp_path / str(amp) / "tiny" / "log.jsonl").read_text())["loss"])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_text_and_passages_can_learn_too(tmp_path: Path) -> None:
    trainer = build_trainer(amp=False)
    words = ("context_text_encoder_linear.", "query_text_encoder_linear.")
    stage = replace(STAGE, trained=words, passage_share=0.5, passage_batch=4, blank=0, steps=4)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.run(stage, tmp_path)
    moved = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] + "." for name in moved} == set(words)


def test_an_averaged_stage_keeps_the_mean_of_before_and_after(tmp_path: Path) -> None:
    plain, mean, again = (build_trainer(amp=False) for _ in range(3))
    before = {name: value.detach().clone() for name, value in plain.model.named_parameters()}
    plain.run(STAGE, tmp_path / "plain")
    mean.run(replace(STAGE, averaged=True), tmp_path / "mean")
    again.run(replace(STAGE, averaged=True), tmp_path / "mean")  # nothing is left to do, nor to average again
    last, averaged, resumed = (dict(trainer.model.named_parameters()) for trainer in (plain, mean, again))
    assert any(not torch.equal(last[name], before[name]) for name in before)
    for name, value in before.items():
        torch.testing.assert_close(averaged[name], (value + last[name]) / 2)
        torch.testing.assert_close(resumed[name], averaged[name])


def test_stages_without_pictures_are_told_apart() -> None:
    assert [stage.name for stage in STAGES if not stage.sees_pictures] == ["0-text"]


def test_a_gpu_runs_the_same_stages_with_larger_batches() -> None:
    for small, large in zip(STAGES, GPU_STAGES, strict=True):
        assert (small.name, small.mix) == (large.name, large.mix)
        assert set(small.trained) <= set(large.trained) or all(
            any(part.startswith(prefix) for prefix in large.trained) for part in small.trained
        )
        assert large.entities > small.entities
        assert large.passage_batch >= small.passage_batch
