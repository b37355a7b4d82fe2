"""`python -m rag_app train`: makes the repository's own checkpoints from nothing.

    vision     the vision encoder of PreFLMR-mini learns to tell flags apart
    retriever  the stages of PreFLMR-mini; writes the checkpoint
    reader     the embedded reader; writes the checkpoint
    calibrate  how sure the reader may be, on a validation split; writes calibration.json beside it
    pictures   renders the pictures that a dataset of flag questions names, to evaluate on

Everything goes on where an earlier run stopped. Intermediate states stay in the ignored folder `runs/`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import InputError

if TYPE_CHECKING:
    from knowledge_bases.records import Passage
    from retriever.training.data import Corpus, Pair
    from retriever.training.flag_atlas import FlagAtlas

__all__ = ["add_arguments", "world_flags_corpus", "world_flags_pairs"]

RETRIEVER_OUTPUT = Path("runs/preflmr-mini")  # not where the application loads it from: that one stays until replaced
READER_CHECKPOINT = Path("generator/checkpoints/reader-mini")
VALIDATION = Path("knowledge_bases/world_flags/questions/validation.jsonl")
PICTURE_SIZE = 256  # side of an evaluation picture, pixels


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds what can be trained to the command line."""
    vision = subparsers.add_parser("vision", help="the vision encoder, on rendered flags")
    vision.add_argument("--steps", type=int, help="batches (default: the recipe's)")
    vision.set_defaults(run=_train_vision)
    retriever = subparsers.add_parser("retriever", help="the stages of PreFLMR-mini, after `vision`")
    retriever.add_argument("--text-pairs", type=Path, metavar="FILE.jsonl.gz", help="more passages to learn text from")
    retriever.add_argument("--output", type=Path, default=RETRIEVER_OUTPUT, help="(default: %(default)s)")
    retriever.set_defaults(run=_train_retriever)
    reader = subparsers.add_parser("reader", help="the embedded reader")
    reader.add_argument("--text-pairs", type=Path, metavar="FILE.jsonl.gz", help="real passages to learn reading from")
    reader.add_argument("--steps", type=int, help="batches (default: the recipe's)")
    reader.add_argument("--output", type=Path, default=READER_CHECKPOINT, help="(default: %(default)s)")
    reader.set_defaults(run=_train_reader)
    calibrate = subparsers.add_parser("calibrate", help="the reader's confidence, on a validation split")
    calibrate.add_argument(
        "--dataset", type=Path, default=VALIDATION, metavar="FILE.jsonl", help="(default: %(default)s)"
    )
    calibrate.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of its pictures")
    calibrate.set_defaults(run=_calibrate)
    pictures = subparsers.add_parser("pictures", help="render the pictures that a dataset names")
    pictures.add_argument("--dataset", type=Path, required=True, metavar="FILE.jsonl")
    pictures.add_argument("--output", type=Path, required=True, metavar="DIR")
    pictures.set_defaults(run=_render_pictures)
    for parser in (vision, retriever, reader, calibrate, pictures):
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of states (default: %(default)s)")


def _start_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)


def _load_atlas(runs: Path) -> FlagAtlas:
    from retriever.training.flag_atlas import load_atlas

    try:
        return load_atlas(runs / "flag-icons")
    except RuntimeError as error:
        raise InputError(str(error)) from error


def _train_vision(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from retriever.training.vision import VisionSettings, train_vision

    _start_logging()
    settings = VisionSettings()
    if arguments.steps:
        settings = replace(settings, steps=arguments.steps)
    train_vision(_load_atlas(arguments.runs), arguments.runs / "vision", settings)
    return 0


def _passages() -> list[Passage]:
    from knowledge_bases.world_flags.country import load_countries
    from knowledge_bases.world_flags.passages import write_passages

    return [passage for facts in load_countries().values() for passage in write_passages(facts)]


def _entities(atlas: FlagAtlas) -> dict[str, int]:
    """Country code -> entity: the class of its flag, as look-alikes cannot be told apart."""
    return dict(zip(atlas.codes, atlas.classes.tolist(), strict=True))


def world_flags_corpus(atlas: FlagAtlas, passages: Sequence[Passage]) -> Corpus:
    """World Flags as a training corpus."""
    from retriever.training.data import Corpus

    entities = _entities(atlas)
    parts = [passage.passage_id.removeprefix("wf-").rsplit("-", 1) for passage in passages]
    sides = sorted({side for _, side in parts})
    return Corpus(
        texts=tuple(passage.content for passage in passages),
        entity=tuple(entities[code] for code, _ in parts),
        side=tuple(sides.index(side) for _, side in parts),
    )


def world_flags_pairs(atlas: FlagAtlas, passages: Sequence[Passage]) -> list[Pair]:
    """What training may ask: every country-relation pair that is not held out, in the training phrasings."""
    from knowledge_bases.world_flags.country import load_countries
    from knowledge_bases.world_flags.passages import passage_id
    from knowledge_bases.world_flags.questions import is_held_out
    from knowledge_bases.world_flags.relations import asks_about, load_phrasings
    from retriever.training.data import Pair

    entities, phrasings = _entities(atlas), load_phrasings()
    places = {passage.passage_id: place for place, passage in enumerate(passages)}
    return [
        Pair(
            entity=entities[code],
            name=facts.name,
            picture=atlas.codes.index(code),
            relation=ask.relation,
            phrasings=tuple(ask.phrase(phrasing) for phrasing in phrasings[ask.relation]["train"]),
            positives=tuple(places[passage_id(code, side)] for side in ask.sides),
        )
        for code, facts in load_countries().items()
        for ask in asks_about(facts)
        if not is_held_out(code, ask.relation)
    ]


def _rivals(atlas: FlagAtlas) -> dict[int, list[int]]:
    from knowledge_bases.world_flags.questions import load_look_alikes

    entities, rivals = _entities(atlas), dict[int, list[int]]()
    for group in load_look_alikes("similar"):
        for code in group:
            others = [entities[other] for other in group if entities[other] != entities[code]]
            rivals.setdefault(entities[code], []).extend(others)
    return rivals


def _read_texts(path: Path) -> list[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read passages from {path} ({error}); give gzipped JSON lines with a text") from error


def _train_retriever(arguments: argparse.Namespace) -> int:
    import torch

    from retriever.checkpoints import save_retriever
    from retriever.configuration import FLMRVisionConfig
    from retriever.images import ImageProcessor
    from retriever.processing import FLMRProcessor
    from retriever.training.data import KnowledgeSampler, PassageSampler
    from retriever.training.initial import MiniSettings, new_model, new_tokenizers
    from retriever.training.pictures import PictureRenderer
    from retriever.training.stages import INSTRUCTIONS, STAGES, StageTrainer
    from retriever.training.vision import VisionSettings

    _start_logging()
    if arguments.output.exists():
        raise InputError(f"{arguments.output} exists; give another --output, or move it away")
    torch.manual_seed(0)
    atlas, passages = _load_atlas(arguments.runs), _passages()
    corpus = world_flags_corpus(atlas, passages)
    extra = _read_texts(arguments.text_pairs) if arguments.text_pairs else []
    weights = arguments.runs / "vision" / "vision.safetensors"
    if not weights.exists():
        raise InputError(f"{weights} is missing; run `python -m rag_app train vision` first")
    shape = VisionSettings().clip_config()
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
    vision = FLMRVisionConfig(**{name: getattr(shape, name) for name in names})
    settings = MiniSettings()
    query_tokenizer, context_tokenizer = new_tokenizers(settings)
    texts = [*corpus.texts, *extra]
    sample = random.Random(0).sample(texts, min(400, len(texts)))
    trainer = StageTrainer(
        new_model(weights, vision, settings, sample),
        query_tokenizer,
        context_tokenizer,
        knowledge=KnowledgeSampler(corpus, world_flags_pairs(atlas, passages), _rivals(atlas)),
        passages=PassageSampler([*extra, *corpus.texts]),
        renderer=PictureRenderer(atlas, torch.Generator().manual_seed(0), vision.image_size),
        instructions=INSTRUCTIONS,
        corpus_texts=corpus.texts,
    )
    for stage in STAGES:
        trainer.run(stage, arguments.runs / "retriever")
    squash = ImageProcessor(height=vision.image_size, width=vision.image_size, shortest_edge=None)
    processor = FLMRProcessor(query_tokenizer, context_tokenizer, squash)
    save_retriever(trainer.model.half(), processor, arguments.output)
    return 0


def _train_reader(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from generator.training.reader import ReaderTrainingSettings, train_reader

    _start_logging()
    settings = ReaderTrainingSettings(
        output=arguments.output, run=arguments.runs / "reader", wikipedia=arguments.text_pairs
    )
    if arguments.steps:
        settings = replace(settings, loop=replace(settings.loop, steps=arguments.steps))
    train_reader(settings, progress=logging.getLogger(__name__).info)
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    from rag_app.assembly import open_application
    from rag_app.calibrating import fit, read_dataset
    from rag_app.config import DEFAULT_PRESET, load_preset, var_folder
    from rag_app.datasets import load_dataset
    from rag_app.knowledge import find_knowledge
    from rag_app.progress import ProgressLine

    _start_logging()
    preset, var = load_preset(DEFAULT_PRESET), var_folder()
    dataset = load_dataset(arguments.dataset, images=arguments.images)
    application = open_application(
        preset, find_knowledge(preset.knowledge_base, var), var=var, progress=ProgressLine("passages encoded")
    )
    reads = read_dataset(application.pipeline, dataset, progress=ProgressLine("questions read"))
    calibration, accuracy = fit(reads)
    calibration.save(READER_CHECKPOINT)
    logging.getLogger(__name__).info("VQA accuracy by temperature %s; kept %s", accuracy, calibration)
    return 0


def _render_pictures(arguments: argparse.Namespace) -> int:
    import torch
    from PIL import Image

    from retriever.training.pictures import PictureRenderer, PictureSettings

    try:
        rows = [json.loads(line) for line in arguments.dataset.read_text(encoding="utf-8").splitlines()]
        names = sorted({row["image"] for row in rows})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read the pictures' names from {arguments.dataset}: {error}") from error
    atlas = _load_atlas(arguments.runs)
    unknown = [name for name in names if Path(name).stem.rsplit("-", 1)[0] not in atlas.codes]
    if unknown:
        raise InputError(f"{unknown[0]!r} names no flag; pictures are named CODE-NUMBER.jpg")
    generator = torch.Generator().manual_seed(20_000)
    renderer = PictureRenderer(atlas, generator, PICTURE_SIZE, n_backgrounds=256)
    for start in range(0, len(names), 32):
        few = names[start : start + 32]
        flags = torch.tensor([atlas.codes.index(Path(name).stem.rsplit("-", 1)[0]) for name in few])
        pictures = (renderer.render(flags, PictureSettings()) * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for name, picture in zip(few, pictures, strict=True):
            path = arguments.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path, quality=90)
    return 0
