"""A scaling study at the size of PreFLMR-mini: short trainings from nothing, each with one thing changed.

    python -m benchmarks.scaling [--only NAME ...] [--vision-steps 3000] [--share 0.5]

Changed are the vision encoder's size and resolution, whether the text encoder learns, stage 2, and how many people's
drawings there are to learn from. Every variant is trained by the same schedule, a part of the recipe's, and asked the
validation questions about pictures (`python -m rag_app train pictures` renders them). The numbers tell what matters,
not what the full recipe reaches; with a fifth of these steps nothing is learnt that could be compared. Goes on where it
was stopped; prints one table, and writes it as JSON and as a plot (`scaling.png`) to `--output`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.plot import scatter
from benchmarks.text_retrieval import late_interaction
from knowledge_bases.records import VisualQuestion
from rag_app.datasets import load_dataset
from rag_app.devices import resolve_placement
from rag_app.flag_training import flag_atlas, world_flags_passages
from rag_app.pictures import open_picture
from rag_app.retriever_training import choose_stages, new_retriever, stage_trainer
from retriever.encoder import Encoder
from retriever.training.flag_atlas import FlagAtlas
from retriever.training.recipe import StageSettings
from retriever.training.vision import VisionSettings, train_vision

VALIDATION = Path("knowledge_bases/world_flags/questions/validation.jsonl")
DEPTHS = (1, 5)
TEXT = "query_text_encoder"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What is trained.

    Attributes:
        hidden_size, layers, heads: of the vision encoder.
        image_size: side of what it sees, pixels; patches have 16.
        tuned_text: whether the text encoder learns in any stage.
        knowledge_stage: whether stage 2 is run.
        drawers: how many people drew the flags that it learns from.
    """

    hidden_size: int = 192
    layers: int = 6
    heads: int = 3
    image_size: int = 112
    tuned_text: bool = True
    knowledge_stage: bool = True
    drawers: int = 7


TEXT_OF = Path("retriever/checkpoints/preflmr-mini")

VARIANTS = {
    "as it is": Variant(),
    "smaller vision encoder": Variant(hidden_size=96, layers=4, heads=3),
    "larger vision encoder": Variant(hidden_size=288, layers=8, heads=6),
    "80 pixels": Variant(image_size=80),
    "frozen text encoder": Variant(tuned_text=False),
    "without stage 2": Variant(knowledge_stage=False),
    "one drawer": Variant(drawers=1),
}
SIZES = ("smaller vision encoder", "as it is", "larger vision encoder")


@dataclass(frozen=True)
class Row:
    """What a variant measured."""

    name: str
    vision_parameters: int
    minutes: float
    recall_1: float
    recall_5: float


def stages_of(variant: Variant, device: torch.device, share: float) -> list[StageSettings]:
    """The recipe's stages 1 to 4 for a device, with a part of their steps and what the variant has."""
    chosen = []
    for stage in choose_stages(None, device):
        if stage.name == "0-text" or stage.averaged or (stage.name == "2-knowledge" and not variant.knowledge_stage):
            continue
        stage = replace(stage, steps=max(10, round(share * stage.steps)))
        if not variant.tuned_text:  # nor then is there anything to learn from passages' sentences
            trained = tuple(prefix for prefix in stage.trained if not prefix.startswith(TEXT))
            stage = replace(stage, trained=trained, passage_share=0.0)
        if stage.trained:
            chosen.append(stage)
    return chosen


def train(variant: Variant, atlas: FlagAtlas, folder: Path, options: argparse.Namespace) -> tuple[Encoder, int]:
    """The trained retriever, and how many parameters its vision encoder has."""
    where = resolve_placement(options.device)
    atlas = replace(atlas, drawings=atlas.drawings[:, : variant.drawers])
    vision = VisionSettings(
        hidden_size=variant.hidden_size,
        layers=variant.layers,
        heads=variant.heads,
        image_size=variant.image_size,
        steps=options.vision_steps,
        warmup=max(1, options.vision_steps // 10),
        batch_size=options.vision_batch,
        amp=where.dtype == torch.bfloat16,
    )
    shape = f"{variant.hidden_size}-{variant.layers}-{variant.image_size}-{variant.drawers}"
    folder_of_it = options.output / "vision" / shape  # variants of the same one share it
    weights = train_vision(atlas, folder_of_it, vision, device=where.device)
    model, processor = new_retriever(weights, vision, text_of=options.text)
    trainer = stage_trainer(model.to(where.device), processor, atlas, amp=vision.amp)
    for stage in stages_of(variant, where.device, options.share):
        trainer.run(stage, folder / "stages")
    size = sum(tensor.numel() for tensor in load_file(weights).values())
    return Encoder(trainer.model, processor, identify=lambda: folder.name), size


def recalls(encoder: Encoder, images: Path) -> list[float]:
    """Recall@K of the validation questions that have a picture, over the whole corpus."""
    store = world_flags_passages()
    places = {passage.passage_id: place for place, passage in enumerate(store)}
    dataset = load_dataset(VALIDATION, images=images)
    asked = [(one, path) for one in dataset.examples if (path := dataset.picture_of(one)) is not None]
    questions = [VisualQuestion(text=one.question, image=open_picture(path)) for one, path in asked]
    right = [{places[key] for key in one.pos_passage_ids} for one, _ in asked]
    queries = [rows.float().cpu() for rows in encoder.encode_queries(questions)]
    scores = late_interaction(queries, [rows.cpu() for rows in encoder.encode_passages([one.content for one in store])])
    found = scores.topk(max(DEPTHS), dim=1).indices.tolist()
    return [
        sum(bool(set(row[:depth]) & answers) for row, answers in zip(found, right, strict=True)) / len(right)
        for depth in DEPTHS
    ]


def measured(name: str, atlas: FlagAtlas, options: argparse.Namespace) -> Row:
    """The row of a variant; kept, so that it is trained once."""
    folder = options.output / name.replace(" ", "-")
    kept = folder / "row.json"
    if kept.exists():
        return Row(**json.loads(kept.read_text()))
    began = time.monotonic()
    encoder, size = train(VARIANTS[name], atlas, folder, options)
    minutes = round((time.monotonic() - began) / 60, 1)
    recall_1, recall_5 = recalls(encoder, options.images)
    row = Row(name, size, minutes, recall_1, recall_5)
    kept.write_text(json.dumps(asdict(row), indent=1) + "\n")
    return row


def write_plot(rows: Sequence[Row], path: Path) -> None:
    """Recall@1 over the parameters of the vision encoder, as a PNG; its sizes on a line."""
    import resvg_py

    points = {row.name: (float(row.vision_parameters), row.recall_1) for row in rows}
    series = {"sizes": [points[name] for name in SIZES if name in points]}
    series |= {name: [point] for name, point in points.items() if name not in SIZES}
    series = {name: found for name, found in series.items() if found}
    title, x = "Recall@1 of the validation questions, short schedule", "parameters of the vision encoder"
    drawn = scatter(series, title=title, x=x, y="", log_x=True, share=True)
    path.write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=drawn)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row a variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), metavar="NAME", help=", ".join(VARIANTS))
    parser.add_argument("--vision-steps", type=int, default=3000)
    parser.add_argument("--vision-batch", type=int, default=64)
    parser.add_argument("--text", type=Path, default=TEXT_OF, metavar="DIR", help="whose text encoder all start with")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--share", type=float, default=0.5, help="of the stages' steps (default: %(default)s)")
    parser.add_argument("--images", type=Path, default=Path("runs/pictures"), metavar="DIR")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the drawings")
    parser.add_argument("--output", type=Path, default=Path("runs/scaling"))
    options = parser.parse_args(arguments)
    atlas = flag_atlas(options.runs, others=True)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = []
    print("| variant | vision encoder | Recall@1 | Recall@5 | minutes |\n|---|---|---|---|---|")
    for name in options.only or VARIANTS:
        row = measured(name, atlas, options)
        rows.append(row)
        size = f"{row.vision_parameters / 1e6:.1f} M"
        print(f"| {name} | {size} | {row.recall_1:.3f} | {row.recall_5:.3f} | {row.minutes} |", flush=True)
    (options.output / "scaling.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    write_plot(rows, options.output / "scaling.png")


if __name__ == "__main__":
    main()
