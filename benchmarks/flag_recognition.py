"""How often the embedded retriever finds the country of a flag in other people's pictures.

    python -m benchmarks.flag_recognition [FOLDER ...]

Without folders, flags are rendered as drawn by people whose drawings no training picture shows (npm packages, fetched
into runs/): as they are, as waving cloth, and as a phone photo. Pictures of a folder are named by the lower-case code
of the country (`fr.png`, `gb-sct.jpg`, `fr-2.png`). The country counts as found at K when one of the first K passages
is about it, or about a country whose flag cannot be told apart from it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from benchmarks.presets import add_preset_argument, open_measured
from knowledge_bases.records import VisualQuestion
from knowledge_bases.world_flags.questions import load_look_alikes
from rag_app.finder import Finder
from rag_app.pictures import open_picture
from retriever.training.drawings import HELD_OUT_SOURCES, draw_levels, fetch_drawings
from retriever.training.flag_atlas import FlagAtlas
from retriever.training.pictures import PictureRenderer, PictureSettings

STYLES = {
    "flat": None,  # the drawing as it is
    "cloth": PictureSettings(flat_share=0, min_scale=0.6, max_scale=1.1, wave_share=1, cover_share=0, noise_share=0),
    "photo": PictureSettings(flat_share=0),
}
PICTURE_SIZE = 256  # side of a rendered picture, pixels
QUESTION = "Which country does this flag belong to?"
DEPTHS = (1, 5)
BATCH = 32


def country_of(passage_id: str) -> str:
    """The country's code in a World Flags passage id."""
    return passage_id.removeprefix("wf-").rsplit("-", 1)[0]


def find_ranks(finder: Finder, pictures: Sequence[Path], codes: Sequence[str]) -> list[int | None]:
    """Place (from 0) of the first passage about each picture's country; None beyond the deepest."""
    alike = {code: set(group) for group in load_look_alikes() for code in group}
    ranks: list[int | None] = []
    for start in range(0, len(pictures), BATCH):
        few = pictures[start : start + BATCH]
        questions = [VisualQuestion(text=QUESTION, image=open_picture(path)) for path in few]
        for code, found in zip(codes[start : start + BATCH], finder.find(questions, k=max(DEPTHS)), strict=True):
            right = alike.get(code, {code})
            places = [i for i, one in enumerate(found) if country_of(one.passage.passage_id) in right]
            ranks.append(places[0] if places else None)
    return ranks


def render_foreign(runs: Path) -> list[Path]:
    """Folders of pictures of the flags of every held-out source, in every style; rendered at the first call."""
    folders = []
    for source in HELD_OUT_SOURCES:
        files = fetch_drawings(source, runs / "drawings")
        codes = sorted(files)
        pixels = draw_levels([files[code] for code in codes])
        own = torch.arange(len(codes))
        atlas = FlagAtlas(codes=tuple(codes), pixels=pixels, classes=own, drawings=own[:, None])
        for style, settings in STYLES.items():
            folder = runs / "foreign" / f"{source.name}-{style}"
            folders.append(folder)
            if folder.is_dir():
                continue
            drawn = pixels[0]
            if settings is not None:
                renderer = PictureRenderer(atlas, torch.Generator().manual_seed(11), PICTURE_SIZE, n_backgrounds=256)
                drawn = (renderer.render(own, settings) * 255).to(torch.uint8)
            part = folder.with_suffix(".part")
            part.mkdir(parents=True, exist_ok=True)
            for code, picture in zip(codes, drawn, strict=True):
                Image.fromarray(picture.permute(1, 2, 0).numpy()).save(part / f"{code}.png")
            part.rename(folder)
    return folders


def main() -> None:
    """Prints a row a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of packages and rendered pictures")
    add_preset_argument(parser)
    arguments = parser.parse_args()
    folders = arguments.folders or render_foreign(arguments.runs)
    application = open_measured(arguments.preset)
    finder = application.pipeline.finder
    assert finder is not None
    assert application.store is not None
    known = {country_of(passage.passage_id) for passage in application.store}
    print(f"{'folder':32} {'pictures':>8} " + " ".join(f"{f'top {k}':>7}" for k in DEPTHS))
    for folder in folders:
        named = [(path, re.sub(r"-\d+$", "", path.stem)) for path in sorted(folder.iterdir()) if path.is_file()]
        asked = [(path, code) for path, code in named if code in known]
        ranks = find_ranks(finder, [path for path, _ in asked], [code for _, code in asked])
        shares = [sum(rank is not None and rank < k for rank in ranks) / max(1, len(ranks)) for k in DEPTHS]
        print(f"{folder.name:32} {len(asked):>8} " + " ".join(f"{share:>7.3f}" for share in shares))


if __name__ == "__main__":
    main()
