"""How often the embedded default says "not sure" where it must.

    python -m benchmarks.abstaining [--pictures runs/pictures]

Some questions have no right answer: those that no passage answers (about the pictures of the test split, or without a
picture by the country's name), good questions about pictures that show no flag (drawn here: plain colours, noise,
shapes, faces of shapes, stripes of text), and, without a picture, what has nothing to do with a country. What
abstaining costs on answerable questions with a picture is in the report of `make evaluate`; on those without one (the
test split's, with the country's name) it is told here.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.presets import add_preset_argument, open_measured
from knowledge_bases.records import VisualQuestion
from knowledge_bases.world_flags.unanswerable import load_unanswerable
from rag_app.datasets import load_dataset
from rag_app.metrics import vqa_accuracy
from rag_app.pictures import open_picture
from rag_app.pipeline import RagPipeline
from rag_app.text_questions import about_nothing, named_questions, unanswerable_text_questions

TEST = Path("knowledge_bases/world_flags/questions/test.jsonl")
SIZE = 256  # side of a drawn picture, pixels
N_PICTURES = 240
N_TEXTS = 240  # without a picture, that no passage answers
N_NAMED = 400  # without a picture, that one does
BATCH = 16


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _plain(rng: random.Random) -> Image.Image:
    return Image.new("RGB", (SIZE, SIZE), _colour(rng))


def _noise(rng: random.Random) -> Image.Image:
    cells = rng.choice((8, 32, 256))
    values = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(
        (SIZE, SIZE), rng.choice((Image.Resampling.NEAREST, Image.Resampling.BICUBIC))
    )


def _shapes(rng: random.Random) -> Image.Image:
    picture = _plain(rng)
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.randint(3, 12)):
        x, y, w, h = (rng.randrange(SIZE) for _ in range(4))
        draw = rng.choice((pen.ellipse, pen.rectangle))
        draw((x, y, x + w // 2, y + h // 2), fill=_colour(rng))
    return picture


def _face(rng: random.Random) -> Image.Image:
    picture = _plain(rng)
    pen = ImageDraw.Draw(picture)
    left, top, side = rng.randint(10, 60), rng.randint(10, 60), rng.randint(110, 180)
    pen.ellipse((left, top, left + side, top + side), fill=_colour(rng))
    dark = _colour(rng)
    for at in (0.3, 0.65):
        x, y = left + side * at, top + side * 0.35
        pen.ellipse((x, y, x + side * 0.1, y + side * 0.1), fill=dark)
    pen.arc((left + side * 0.25, top + side * 0.4, left + side * 0.75, top + side * 0.8), 20, 160, fill=dark, width=5)
    return picture


def _page(rng: random.Random) -> Image.Image:
    picture = Image.new("RGB", (SIZE, SIZE), (250, 250, 245))
    pen = ImageDraw.Draw(picture)
    for y in range(20, SIZE - 20, rng.randint(14, 24)):
        x = 15
        while x < SIZE - 40:
            width = rng.randint(8, 40)
            pen.rectangle((x, y, x + width, y + 6), fill=(40, 40, 40))
            x += width + 8
    return picture


DRAWERS: tuple[Callable[[random.Random], Image.Image], ...] = (_plain, _noise, _shapes, _face, _page)


def abstained(pipeline: RagPipeline, questions: Sequence[VisualQuestion]) -> float:
    """Share of the questions on which the pipeline abstains."""
    count = 0
    for start in range(0, len(questions), BATCH):
        count += sum(answer.abstained for answer in pipeline.batch(list(questions[start : start + BATCH])))
    return count / len(questions)


def told(pipeline: RagPipeline, asked: Sequence[tuple[VisualQuestion, tuple[str, ...]]]) -> tuple[float, float, float]:
    """VQA accuracy with every answer given, with those that abstaining leaves, and the share that it withholds."""
    every, left, withheld = 0.0, 0.0, 0
    for start in range(0, len(asked), BATCH):
        few = asked[start : start + BATCH]
        for answer, (_, accepted) in zip(pipeline.batch([question for question, _ in few]), few, strict=True):
            score = vqa_accuracy(answer.text, accepted)
            every, left, withheld = every + score, left + score * (not answer.abstained), withheld + answer.abstained
    return every / len(asked), left / len(asked), withheld / len(asked)


def main() -> None:
    """Prints a row a kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("runs/pictures"), help="as `make evaluate` renders them")
    add_preset_argument(parser)
    arguments = parser.parse_args()
    folder = arguments.pictures
    examples = load_dataset(TEST, images=folder).examples
    rng = random.Random(5)
    texts = load_unanswerable("test")
    shown = rng.sample(sorted({str(one.image) for one in examples}), 4 * len(texts))
    unanswerable = [
        VisualQuestion(text=texts[place % len(texts)], image=open_picture(folder / name))
        for place, name in enumerate(shown)
    ]
    flagless = [
        VisualQuestion(text=rng.choice(examples).question, image=DRAWERS[place % len(DRAWERS)](rng))
        for place in range(N_PICTURES)
    ]
    application = open_measured(arguments.preset)
    print(f"{'kind':41} {'questions':>9} {'abstained':>9}")
    kinds = {
        "no passage answers": unanswerable,
        "the picture shows no flag": flagless,
        "no picture: no passage answers": unanswerable_text_questions("test", N_TEXTS, rng),
        "no picture: not about a country, nonsense": about_nothing("test", rng),
    }
    for kind, questions in kinds.items():
        print(f"{kind:41} {len(questions):>9} {abstained(application.pipeline, questions):>9.3f}")
    named = named_questions(rng.sample(examples, N_NAMED), rng)
    every, left, withheld = told(application.pipeline, named)
    print(f"\n{len(named)} answerable questions with the country's name instead of a picture: {every:.3f} right,")
    print(f"{left:.3f} where abstaining withholds some, {withheld:.3f} withheld")


if __name__ == "__main__":
    main()
