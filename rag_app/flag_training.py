"""World Flags as training and evaluation material: its flags, passages and questions, as the trainers take them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from knowledge_bases.records import Passage, VisualQuestion
from knowledge_bases.world_flags.country import load_countries
from knowledge_bases.world_flags.passages import passage_id, write_passages
from knowledge_bases.world_flags.questions import is_held_out, load_look_alikes
from knowledge_bases.world_flags.relations import asks_about, load_phrasings
from knowledge_bases.world_flags.unanswerable import load_unanswerable
from rag_app.datasets import Dataset
from rag_app.errors import InputError
from rag_app.json_lines import read_json_lines
from rag_app.locking import folder_lock
from rag_app.pictures import open_picture
from retriever.training.data import Corpus, Pair
from retriever.training.drawings import OTHER_SOURCES
from retriever.training.flag_atlas import FlagAtlas, load_atlas
from retriever.training.pictures import PictureRenderer, PictureSettings

__all__ = [
    "entity_rivals",
    "flag_atlas",
    "render_pictures",
    "unanswerable_questions",
    "world_flags_corpus",
    "world_flags_pairs",
    "world_flags_passages",
]

UNANSWERABLE = 120  # questions of each of two kinds, to calibrate abstaining
PICTURE_SIZE = 256  # side of an evaluation picture, pixels


def flag_atlas(runs: Path, *, others: bool) -> FlagAtlas:
    """Flag-icons' flags; `others` adds how other people draw them. Trainings beside each other fetch them once.

    Raises:
        InputError: the drawings cannot be fetched.
    """
    folder = runs / "drawings"
    try:
        with folder_lock(folder):
            return load_atlas(folder, OTHER_SOURCES if others else ())
    except RuntimeError as error:
        raise InputError(str(error)) from error


def world_flags_passages() -> list[Passage]:
    """The passages as the build writes them."""
    return [passage for facts in load_countries().values() for passage in write_passages(facts)]


def _entities(atlas: FlagAtlas) -> dict[str, int]:
    """Country code -> entity: the class of its flag, as look-alikes cannot be told apart."""
    return dict(zip(atlas.codes, atlas.classes.tolist(), strict=True))


def world_flags_corpus(atlas: FlagAtlas, passages: Sequence[Passage]) -> Corpus:
    """World Flags as a training corpus."""
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


def entity_rivals(atlas: FlagAtlas) -> dict[int, list[int]]:
    """For an entity, those whose flags are easily taken for its own."""
    entities, rivals = _entities(atlas), dict[int, list[int]]()
    for group in load_look_alikes("similar"):
        for code in group:
            others = [entities[other] for other in group if entities[other] != entities[code]]
            rivals.setdefault(entities[code], []).extend(others)
    return rivals


def unanswerable_questions(dataset: Dataset, runs: Path) -> list[VisualQuestion]:
    """Questions that no passage answers, about a dataset's pictures; its questions, about pictures without a flag."""
    rng = random.Random(0)
    examples = [example for example in dataset.examples if dataset.picture_of(example) is not None]
    about = rng.sample(examples, min(UNANSWERABLE, len(examples)))
    texts = load_unanswerable("validation")
    paths = [path for example in about if (path := dataset.picture_of(example)) is not None]
    asked = [VisualQuestion(text=rng.choice(texts), image=open_picture(path)) for path in paths]
    atlas = flag_atlas(runs, others=False)
    renderer = PictureRenderer(atlas, torch.Generator().manual_seed(3), PICTURE_SIZE, n_backgrounds=256)
    drawn = renderer.render(torch.full((len(about),), -1), PictureSettings(clutter_share=0.6))
    pictures = (drawn * 255).to(torch.uint8)
    return asked + [
        VisualQuestion(text=example.question, image=Image.fromarray(picture.permute(1, 2, 0).numpy()))
        for example, picture in zip(about, pictures, strict=True)
    ]


def render_pictures(dataset: Path, output: Path, runs: Path) -> None:
    """Renders the pictures that a dataset of flag questions names.

    Raises:
        InputError: the dataset cannot be read, or names a picture that is no flag's.
    """
    try:
        names = sorted({row["image"] for row in read_json_lines(dataset)})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read the pictures' names from {dataset}: {error}") from error
    atlas = flag_atlas(runs, others=False)
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
            path = output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path, quality=90)
