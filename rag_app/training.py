"""`python -m rag_app train`: makes the repository's own checkpoints from nothing.

    vision     the vision encoder of PreFLMR-mini learns to tell flags apart
    retriever  the stages of PreFLMR-mini; writes the checkpoint
    region     where in a picture the flag is, for a retriever to look closer; writes into its checkpoint
    reader     the embedded reader; writes the checkpoint
    blip2      a small BLIP-2 that copies its answers from the passage; writes a checkpoint
    average    the mean of checkpoints that were trained on from common weights; writes a checkpoint
    calibrate  how sure the reader may be, on a validation split; writes calibration.json beside it
    pictures   renders the pictures that a dataset of flag questions names, to evaluate on

Trainings go on where an earlier run of theirs stopped. Intermediate states stay in the ignored folder `runs/`.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from rag_app.argument_types import positive_number, positive_whole_number
from rag_app.errors import InputError, reported_as_input

__all__ = ["add_arguments"]

RETRIEVER_OUTPUT = Path("runs/preflmr-mini")  # not where the application loads it from: that one stays until replaced
READER_CHECKPOINT = Path("generator/checkpoints/reader-mini")
BLIP2_OUTPUT = Path("runs/blip2-mini")
EMBEDDED_RETRIEVER = Path("retriever/checkpoints/preflmr-mini")
VALIDATION = Path("knowledge_bases/world_flags/questions/validation.jsonl")


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds what can be trained to the command line."""
    vision = subparsers.add_parser("vision", help="the vision encoder, on rendered flags")
    vision.add_argument("--steps", type=positive_whole_number, help="batches (default: the recipe's)")
    vision.add_argument("--start", type=Path, metavar="DIR", help="a retriever whose vision encoder to go on from")
    vision.set_defaults(run=_train_vision)
    retriever = subparsers.add_parser("retriever", help="the stages of PreFLMR-mini, after `vision`")
    retriever.add_argument("--text-pairs", type=Path, metavar="FILE.jsonl.gz", help="more passages to learn text from")
    retriever.add_argument("--start", type=Path, metavar="DIR", help="a retriever to go on from")
    retriever.add_argument(
        "--vision",
        type=Path,
        metavar="FILE.safetensors",
        help="its vision encoder (default: that of --start; without --start, RUNS/vision/vision.safetensors)",
    )
    retriever.add_argument("--stages", nargs="+", metavar="NAME", help="run these stages only, such as 4-entities")
    retriever.add_argument("--steps", type=positive_whole_number, help="batches of a stage that goes on from --start")
    retriever.add_argument(
        "--learning-rate", type=positive_number, help="peak of such a stage; lower than from nothing"
    )
    retriever.add_argument("--seed", type=int, help="of the batches; going on wants another (default: the recipe's)")
    retriever.add_argument("--output", type=Path, default=RETRIEVER_OUTPUT, help="(default: %(default)s)")
    retriever.set_defaults(run=_train_retriever)
    region = subparsers.add_parser("region", help="the region head of a retriever, after `retriever`")
    region.add_argument(
        "--checkpoint", type=Path, default=RETRIEVER_OUTPUT, metavar="DIR", help="(default: %(default)s)"
    )
    region.add_argument("--steps", type=positive_whole_number, help="batches (default: the recipe's)")
    region.set_defaults(run=_train_region)
    reader = subparsers.add_parser("reader", help="the embedded reader")
    reader.add_argument("--text-pairs", type=Path, metavar="FILE.jsonl.gz", help="real passages to learn reading from")
    reader.add_argument("--steps", type=positive_whole_number, help="batches (default: the recipe's)")
    reader.add_argument("--start", type=Path, metavar="DIR", help="a reader whose layers to go on from")
    reader.add_argument(
        "--seed", type=int, default=0, help="of the exercises; going on wants another (default: %(default)s)"
    )
    reader.add_argument("--output", type=Path, default=READER_CHECKPOINT, help="(default: %(default)s)")
    reader.set_defaults(run=_train_reader)
    blip2 = subparsers.add_parser("blip2", help="a small BLIP-2, with the embedded retriever's vision encoder")
    blip2.add_argument("--text-pairs", type=Path, metavar="FILE.jsonl.gz", help="real passages to learn reading from")
    blip2.add_argument("--steps", type=positive_whole_number, help="batches (default: the recipe's)")
    blip2.add_argument("--start", type=Path, metavar="DIR", help="a BLIP-2-mini, or a reader, to go on from")
    blip2.add_argument("--output", type=Path, default=BLIP2_OUTPUT, help="(default: %(default)s)")
    blip2.set_defaults(run=_train_blip2)
    average = subparsers.add_parser("average", help="the mean of checkpoints that have common ancestors")
    average.add_argument("checkpoints", type=Path, nargs="+", metavar="DIR", help="the last one's other files are kept")
    average.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    average.set_defaults(run=_average)
    calibrate = subparsers.add_parser("calibrate", help="the reader's confidence, on a validation split")
    calibrate.add_argument(
        "--dataset", type=Path, default=VALIDATION, metavar="FILE.jsonl", help="(default: %(default)s)"
    )
    calibrate.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of its pictures")
    calibrate.add_argument(
        "--retriever", type=Path, default=EMBEDDED_RETRIEVER, metavar="DIR", help="(default: %(default)s)"
    )
    calibrate.add_argument(
        "--reader", type=Path, default=READER_CHECKPOINT, metavar="DIR", help="which gets it (default: %(default)s)"
    )
    calibrate.set_defaults(run=_calibrate)
    pictures = subparsers.add_parser("pictures", help="render the pictures that a dataset names")
    pictures.add_argument("--dataset", type=Path, required=True, metavar="FILE.jsonl")
    pictures.add_argument("--output", type=Path, required=True, metavar="DIR")
    pictures.set_defaults(run=_render_pictures)
    for parser in (vision, retriever, region):
        parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    for parser in (vision, retriever, region, reader, blip2, calibrate, pictures):
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of states (default: %(default)s)")


def _average(arguments: argparse.Namespace) -> int:
    from rag_app.averaging import average_checkpoints

    average_checkpoints(arguments.checkpoints, arguments.output)
    return 0


def _start_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)


def _train_vision(arguments: argparse.Namespace) -> int:
    from rag_app.devices import resolve_placement
    from rag_app.retriever_training import make_vision_encoder

    _start_logging()
    make_vision_encoder(
        arguments.runs, resolve_placement(arguments.device), steps=arguments.steps, start=arguments.start
    )
    return 0


def _train_retriever(arguments: argparse.Namespace) -> int:
    from generator.training.wikipedia import read_texts
    from rag_app.devices import resolve_placement
    from rag_app.retriever_training import choose_stages, make_retriever

    _start_logging()
    where = resolve_placement(arguments.device)
    with reported_as_input():
        extra = read_texts(arguments.text_pairs) if arguments.text_pairs else ()
    make_retriever(
        arguments.runs,
        arguments.output,
        choose_stages(
            arguments.stages,
            where.device,
            steps=arguments.steps,
            learning_rate=arguments.learning_rate,
            seed=arguments.seed,
        ),
        where,
        start=arguments.start,
        vision=arguments.vision,
        extra=extra,
    )
    return 0


def _train_region(arguments: argparse.Namespace) -> int:
    from rag_app.devices import resolve_placement
    from rag_app.retriever_training import make_region_head

    _start_logging()
    make_region_head(arguments.runs, arguments.checkpoint, resolve_placement(arguments.device), steps=arguments.steps)
    return 0


def _train_reader(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from generator.training.reader import ReaderTrainingSettings, train_reader
    from retriever.precision import has_native_bfloat16

    _start_logging()
    settings = ReaderTrainingSettings(
        output=arguments.output, run=arguments.runs / "reader", wikipedia=arguments.text_pairs, start=arguments.start
    )
    settings = replace(settings, loop=replace(settings.loop, seed=arguments.seed, amp=has_native_bfloat16()))
    with reported_as_input():
        if arguments.steps:
            settings = replace(settings, loop=settings.loop.lasting(arguments.steps))
        train_reader(settings, progress=logging.getLogger(__name__).info)
    return 0


def _train_blip2(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from generator.training.blip2 import Blip2TrainingSettings, train_blip2
    from rag_app.blip2_training import retriever_vision
    from rag_app.retriever_training import load_encoder
    from retriever.training.initial import clip_of

    _start_logging()
    settings = Blip2TrainingSettings(
        output=arguments.output, run=arguments.runs / "blip2", wikipedia=arguments.text_pairs, start=arguments.start
    )
    if arguments.start and not (arguments.start / "config.json").is_file():
        raise InputError(f"{arguments.start} has no config.json; give the folder of a BLIP-2-mini or of a reader")
    if arguments.text_pairs and not arguments.text_pairs.is_file():  # before drawings are fetched
        raise InputError(f"{arguments.text_pairs} is missing; give JSON lines with a text, gzipped or not")
    with reported_as_input():
        if arguments.steps:
            settings = replace(settings, loop=settings.loop.lasting(arguments.steps))
        train_blip2(settings, retriever_vision(clip_of(load_encoder(EMBEDDED_RETRIEVER).model), arguments.runs))
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    import random
    from dataclasses import replace

    from rag_app.assembly import open_application
    from rag_app.calibrating import fit, read_dataset, read_questions
    from rag_app.config import DEFAULT_PRESET, load_preset, var_folder
    from rag_app.datasets import load_dataset
    from rag_app.flag_training import unanswerable_questions
    from rag_app.knowledge import find_knowledge
    from rag_app.progress import ProgressLine
    from rag_app.text_questions import about_nothing, named_questions, unanswerable_text_questions

    _start_logging()
    preset, var = load_preset(DEFAULT_PRESET), var_folder()
    preset = replace(preset, retriever=str(arguments.retriever.resolve()), generator=str(arguments.reader.resolve()))
    dataset = load_dataset(arguments.dataset, images=arguments.images)
    application = open_application(
        preset, find_knowledge(preset.knowledge_base, var), var=var, progress=ProgressLine("passages encoded")
    )
    reads = read_dataset(application.pipeline, dataset, progress=ProgressLine("questions read"))
    rng = random.Random(0)
    lacking = unanswerable_questions(dataset, arguments.runs)
    lacking += [*unanswerable_text_questions("validation", len(lacking) // 2, rng), *about_nothing("validation", rng)]
    named = named_questions(dataset.examples, rng)
    questions = [*(question for question, _ in named), *lacking]
    answers = [*(accepted for _, accepted in named), *([()] * len(lacking))]
    progress = ProgressLine("questions without a picture or an answer read")
    reads += read_questions(application.pipeline, questions, answers, progress=progress)
    calibration, accuracy = fit(reads)
    calibration.save(arguments.reader)
    logging.getLogger(__name__).info("VQA accuracy by temperature %s; kept %s", accuracy, calibration)
    return 0


def _render_pictures(arguments: argparse.Namespace) -> int:
    from rag_app.flag_training import render_pictures

    render_pictures(arguments.dataset, arguments.output, arguments.runs)
    return 0
