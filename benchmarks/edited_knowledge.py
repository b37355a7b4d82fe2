"""Reads, or remembers? Facts are changed after training, and countries added that do not exist.

    python -m benchmarks.edited_knowledge

Half of the facts about every second country are exchanged for invented ones in a knowledge base of its own; questions
in test phrasings, beside the flag as flag-icons draws it, ask for what was exchanged. Countries that do not exist are
added to it with a flag of three stripes that no country has, drawn beside their passages. They are asked about with
that drawing, and with it as somebody else's camera may see it: turned, smaller, on another ground. Nothing is trained.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from benchmarks.presets import add_preset_argument, open_measured
from knowledge_bases.records import Passage, VisualQuestion
from knowledge_bases.world_flags.country import CountryFacts, load_countries
from knowledge_bases.world_flags.invent import edit_country, invent_country
from knowledge_bases.world_flags.passages import write_passages
from knowledge_bases.world_flags.questions import Question, questions_about, ten_answers
from rag_app.flag_training import flag_atlas
from rag_app.metrics import vqa_accuracy
from rag_app.pipeline import RagPipeline

N_QUESTIONS = 200  # of each kind
N_ADDED = 20
BATCH = 16
COLOURS = {
    "purple": "#7b2d8b",
    "orange": "#f08020",
    "white": "#ffffff",
    "black": "#101010",
    "green": "#2e8b45",
    "yellow": "#f6d13a",
    "light blue": "#7fc4ea",
    "brown": "#7a4a21",
}

Case = tuple[Question, Image.Image]


def _changed(before: CountryFacts, after: CountryFacts, rng: random.Random) -> list[Question]:
    """Questions whose answer was exchanged."""
    known = {variant for one in questions_about(before, rng, split="test") for variant in one.variants}
    return [one for one in questions_about(after, rng, split="test") if not known & set(one.variants)]


def _striped(colours: Sequence[str], *, vertical: bool) -> Image.Image:
    picture = Image.new("RGB", (360, 240))
    pen = ImageDraw.Draw(picture)
    for place, colour in enumerate(colours):
        box = (place * 120, 0, place * 120 + 119, 239) if vertical else (0, place * 80, 359, place * 80 + 79)
        pen.rectangle(box, fill=COLOURS[colour])
    return picture


def _added(rng: random.Random) -> list[tuple[CountryFacts, Image.Image]]:
    """Countries that do not exist, with a flag that is described as it is drawn."""
    orders = [colours for colours in itertools.permutations(COLOURS, 3) if {"purple", "brown"} & set(colours)]
    countries = []
    for number, colours in enumerate(rng.sample(orders, N_ADDED)):
        vertical = number % 2 == 1
        bands = f"three {'vertical' if vertical else 'horizontal'} bands of {colours[0]}, {colours[1]} and {colours[2]}"
        facts = dataclasses.replace(
            invent_country(rng), flag_colours=colours, flag_layout=bands, flag_emblem="", flag_place="", flag_parts=()
        )
        countries.append((facts, _striped(colours, vertical=vertical)))
    return countries


def _seen_anew(flag: Image.Image, rng: random.Random) -> Image.Image:
    def colour() -> tuple[int, ...]:
        return tuple(rng.randrange(256) for _ in range(3))

    ground = Image.new("RGB", (300, 300), colour())
    width = rng.randint(170, 260)
    turned = flag.resize((width, width * flag.height // flag.width)).rotate(
        rng.uniform(-12, 12), expand=True, resample=Image.Resampling.BICUBIC, fillcolor=colour()
    )
    x, y = ((side - size) // 2 + rng.randint(-15, 15) for side, size in zip(ground.size, turned.size, strict=True))
    ground.paste(turned, (x, y))
    return ground


def _write(folder: Path, passages: Sequence[Passage], pictures: Mapping[str, Image.Image]) -> None:
    """A folder that can be a knowledge base; `pictures` are shown beside the passages of these ids."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "passages.jsonl").open("w", encoding="utf-8") as file:
        for one in passages:
            row = {"passage_id": one.passage_id, "title": one.title, "text": one.text}
            if one.passage_id in pictures:
                row["picture"] = f"{one.passage_id}.png"
                pictures[one.passage_id].save(folder / row["picture"])
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _accuracy(pipeline: RagPipeline, cases: Sequence[Case]) -> float:
    right = 0.0
    for start in range(0, len(cases), BATCH):
        few = cases[start : start + BATCH]
        asked = [VisualQuestion(text=question.text, image=image) for question, image in few]
        answers = pipeline.batch(asked)
        right += sum(
            vqa_accuracy(answer.text, ten_answers(question.variants))
            for answer, (question, _) in zip(answers, few, strict=True)
        )
    return right / len(cases)


def main() -> None:
    """Prints a row a kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of drawings and passages")
    add_preset_argument(parser)
    arguments = parser.parse_args()
    runs = arguments.runs
    rng = random.Random(21)
    countries, atlas = load_countries(), flag_atlas(runs, others=False)
    after = {
        code: edit_country(facts, rng) if number % 2 == 0 else facts
        for number, (code, facts) in enumerate(countries.items())
    }
    edited: list[Case] = []
    for code, facts in countries.items():
        pixels = atlas.pixels[0, atlas.codes.index(code)].permute(1, 2, 0).to(torch.uint8)
        edited += [(question, Image.fromarray(pixels.numpy())) for question in _changed(facts, after[code], rng)]
    invented = _added(rng)
    added = [(question, image) for facts, image in invented for question in questions_about(facts, rng, split="test")]
    seen_anew = [(question, _seen_anew(image, rng)) for question, image in added]
    folder = runs / "edited_knowledge"
    everyone = [*after.values(), *(facts for facts, _ in invented)]
    pictures = {passage.passage_id: image for facts, image in invented for passage in write_passages(facts)}
    _write(folder, [passage for facts in everyone for passage in write_passages(facts)], pictures)
    application = open_measured(arguments.preset, str(folder))
    print(f"{'kind':40} {'questions':>9} {'VQA accuracy':>12}")
    for kind, cases in (
        ("facts exchanged", edited),
        ("countries added", added),
        ("countries added, seen anew", seen_anew),
    ):
        few = rng.sample(cases, min(N_QUESTIONS, len(cases)))
        print(f"{kind:40} {len(few):>9} {_accuracy(application.pipeline, few):>12.3f}")


if __name__ == "__main__":
    main()
