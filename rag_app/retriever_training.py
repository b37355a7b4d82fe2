"""Makes the embedded retriever out of World Flags: its vision encoder, its stages, its region head."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from rag_app.devices import Placement
from rag_app.errors import InputError, reported_as_input
from rag_app.flag_training import (
    entity_rivals,
    flag_atlas,
    world_flags_corpus,
    world_flags_pairs,
    world_flags_passages,
)
from retriever.checkpoints import load_retriever, save_retriever
from retriever.configuration import FLMRVisionConfig
from retriever.encoder import Encoder
from retriever.images import ImageProcessor
from retriever.modeling import FLMRModelForRetrieval
from retriever.processing import FLMRProcessor
from retriever.region import REGION_FOLDER, RegionSettings, save_region_head
from retriever.training.data import KnowledgeSampler, PassageSampler
from retriever.training.flag_atlas import FlagAtlas
from retriever.training.initial import MiniSettings, clip_of, new_beside_text, new_model, new_tokenizers
from retriever.training.invented_flags import with_invented_flags
from retriever.training.loop import OtherRunError
from retriever.training.pictures import PictureRenderer
from retriever.training.recipe import GPU_STAGES, INSTRUCTIONS, STAGES, StageSettings
from retriever.training.region import RegionTrainingSettings, train_region_head
from retriever.training.stages import StageTrainer
from retriever.training.vision import GPU_VISION, VisionSettings, train_vision

__all__ = [
    "choose_stages",
    "load_encoder",
    "make_region_head",
    "make_retriever",
    "make_vision_encoder",
    "new_retriever",
    "stage_trainer",
]


N_INVENTED = 400  # flags of no country, to be found by the picture beside a passage


def make_vision_encoder(runs: Path, where: Placement, *, steps: int | None, start: Path | None) -> None:
    """Trains the vision encoder into `runs`, from nothing or from that of a checkpoint; with larger batches on a GPU.

    Raises:
        InputError: the drawings cannot be fetched, or the checkpoint cannot be loaded.
    """
    settings = VisionSettings(amp=_mixed(where)) if where.device.type == "cpu" else GPU_VISION
    settings = replace(settings, steps=steps or settings.steps)
    begun = clip_of(load_encoder(start).model).state_dict() if start else None
    atlas = flag_atlas(runs, others=True)
    with reported_as_input(kinds=(OtherRunError,)):
        train_vision(atlas, runs / "vision", settings, start_from=begun, device=where.device)


def make_retriever(
    runs: Path,
    output: Path,
    stages: Sequence[StageSettings],
    where: Placement,
    *,
    start: Path | None,
    vision: Path | None,
    extra: Sequence[str],
) -> None:
    """Runs stages and writes the checkpoint, in half precision.

    Args:
        runs: folder of drawings and states.
        output: folder to write.
        stages: in their order.
        where: to train.
        start: a retriever to go on from; None starts from nothing.
        vision: weights of its vision encoder; None takes those of `start`, or without it those in `runs` where a
            stage sees pictures.
        extra: more passages to learn text from.

    Raises:
        InputError: the output exists, the vision encoder is missing, or something cannot be read or fetched.
    """
    if output.exists():
        raise InputError(f"{output} exists; give another --output, or move it away")
    if vision is None and start is None and any(stage.sees_pictures for stage in stages):
        vision = runs / "vision" / "vision.safetensors"
    if vision is not None and not vision.exists():
        raise InputError(f"{vision} is missing; run `python -m rag_app train vision` first")
    torch.manual_seed(0)
    atlas = flag_atlas(runs, others=True)
    if start is not None:
        encoder = load_encoder(start)
        model, processor = encoder.model, encoder.processor
        if vision is not None:
            clip_of(model).load_state_dict(load_file(vision))
    else:
        model, processor = new_retriever(vision, VisionSettings(), extra)
    trainer = stage_trainer(model.to(where.device), processor, atlas, extra, amp=_mixed(where))
    with reported_as_input(kinds=(OtherRunError,)):
        for stage in stages:
            trainer.run(stage, runs / "retriever")
    model = trainer.model.half().cpu()
    for name, module in model.named_modules():
        if name.endswith("word_embeddings"):  # MiniLM's, which no stage trains
            module.to(torch.float8_e4m3fn)
    save_retriever(model, processor, output)


def make_region_head(runs: Path, checkpoint: Path, where: Placement, *, steps: int | None) -> None:
    """Trains a region head on a checkpoint's vision encoder and writes it into the checkpoint.

    Raises:
        InputError: the drawings cannot be fetched, or the checkpoint cannot be loaded.
    """
    settings = RegionTrainingSettings(amp=_mixed(where))
    settings = replace(settings, steps=steps or settings.steps)
    vision = load_encoder(checkpoint).model.vision_encoder.to(where.device)
    config = vision.config
    shape = RegionSettings(vision_size=config.hidden_size, side=config.image_size // config.patch_size)
    atlas = flag_atlas(runs, others=True)
    renderer = PictureRenderer(atlas, torch.Generator(where.device).manual_seed(0), config.image_size)
    with reported_as_input(kinds=(OtherRunError,)):
        head = train_region_head(vision, renderer, len(atlas.codes), runs / "region", settings, shape)
    save_region_head(head, checkpoint / REGION_FOLDER)


def choose_stages(
    names: Sequence[str] | None,
    device: torch.device,
    *,
    steps: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
) -> list[StageSettings]:
    """The recipe's stages for a device, or some of them; batches, peak of the rate and seed are changed where given.

    Raises:
        InputError: there is no such stage.
    """
    recipe = STAGES if device.type == "cpu" else GPU_STAGES
    known = [stage.name for stage in recipe]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InputError(f"there is no stage {unknown[0]!r}; there are {', '.join(known)}")
    return [
        replace(
            stage,
            steps=steps or stage.steps,
            learning_rate=learning_rate or stage.learning_rate,
            seed=stage.seed if seed is None else seed,
        )
        for stage in recipe
        if not names or stage.name in names
    ]


def new_retriever(
    vision_weights: Path | None, vision: VisionSettings, extra: Sequence[str] = (), *, text_of: Path | None = None
) -> tuple[FLMRModelForRetrieval, FLMRProcessor]:
    """PreFLMR-mini before its first stage.

    Args:
        vision_weights: of the vision encoder; None leaves it untrained, as stages without pictures do not need it.
        vision: what it was trained with.
        extra: passages beside those of World Flags, to take the principal axes of text from.
        text_of: a retriever whose text encoder to take instead, as it was trained.
    """
    shape = vision.clip_config()
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
    config = FLMRVisionConfig(**{name: getattr(shape, name) for name in names})
    settings = MiniSettings()
    squash = ImageProcessor(height=config.image_size, width=config.image_size, shortest_edge=None)
    if text_of is not None:
        trained = load_encoder(text_of)
        model = new_beside_text(vision_weights, config, trained.model)
        tokenizers = trained.processor.query_tokenizer, trained.processor.context_tokenizer
        return model, FLMRProcessor(*tokenizers, squash)
    texts = [*(passage.content for passage in world_flags_passages()), *extra]
    model = new_model(vision_weights, config, settings, random.Random(0).sample(texts, min(400, len(texts))))
    return model, FLMRProcessor(*new_tokenizers(settings), squash)


def stage_trainer(
    model: FLMRModelForRetrieval,
    processor: FLMRProcessor,
    atlas: FlagAtlas,
    extra: Sequence[str] = (),
    *,
    amp: bool,
) -> StageTrainer:
    """Trains a model, on the device that it is on, on World Flags and on sentences of more passages."""
    generator = torch.Generator(next(model.parameters()).device).manual_seed(0)
    drawn, invented = with_invented_flags(atlas, N_INVENTED, torch.Generator().manual_seed(0))
    passages = world_flags_passages()
    corpus = world_flags_corpus(atlas, passages)
    return StageTrainer(
        model,
        processor.query_tokenizer,
        processor.context_tokenizer,
        knowledge=KnowledgeSampler(corpus, world_flags_pairs(atlas, passages), entity_rivals(atlas), invented),
        passages=PassageSampler([*extra, *corpus.texts]),
        renderer=PictureRenderer(drawn, generator, model.config.vision_config.image_size),
        instructions=INSTRUCTIONS,
        corpus_texts=corpus.texts,
        amp=amp,
    )


def _mixed(where: Placement) -> bool:
    """Whether to train in bfloat16 beside float32: where it is multiplied in hardware."""
    return where.dtype == torch.bfloat16


def load_encoder(folder: Path) -> Encoder:
    """A retriever to train, in float32.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        return load_retriever(folder, device=torch.device("cpu"), dtype=torch.float32)
    except ValueError as error:
        raise InputError(str(error)) from error
