"""What each kind of query row is worth: PreFLMR-mini with rows left out, and as a single vector.

    python -m benchmarks.ablations [--dataset FILE.jsonl] [--images runs/pictures]

Nothing is trained anew: the rows of the committed checkpoint are left out at query time, so a row says what the model
loses without them, not what a model trained without them would reach. `python -m rag_app train pictures` renders the
pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.presets import add_preset_argument
from benchmarks.text_retrieval import late_interaction, single_vector
from knowledge_bases.records import VisualQuestion
from rag_app.assembly import load_encoder
from rag_app.config import var_folder
from rag_app.datasets import load_dataset
from rag_app.devices import resolve_placement
from rag_app.knowledge import find_knowledge, open_store
from rag_app.pictures import open_picture
from rag_app.progress import ProgressLine
from retriever.configuration import FLMRConfig

VALIDATION = Path("knowledge_bases/world_flags/questions/validation.jsonl")
DEPTHS = (1, 5)


def variants(config: FLMRConfig) -> dict[str, Callable[[Tensor], Tensor]]:
    """Name -> which rows of a query with a picture are kept: text rows, then prefix rows, then one a patch."""
    patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    pictured = patches + config.mapping_network_prefix_length
    return {
        "all rows": lambda rows: rows,
        "without patch rows (no mapping network)": lambda rows: rows[:-patches],
        "without the picture's global rows": lambda rows: torch.cat([rows[:-pictured], rows[-patches:]]),
        "text rows alone": lambda rows: rows[:-pictured],
        "picture rows alone": lambda rows: rows[-pictured:],
    }


def main() -> None:
    """Prints a row a variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=VALIDATION, metavar="FILE.jsonl")
    parser.add_argument("--images", type=Path, default=Path("runs/pictures"), metavar="DIR")
    add_preset_argument(parser)
    arguments = parser.parse_args()
    preset, var = arguments.preset, var_folder()
    encoder = load_encoder(preset, resolve_placement(preset.device, preset.dtype))
    store = list(open_store(find_knowledge(preset.knowledge_base, var), var))
    passages = encoder.encode_passages([one.content for one in store], progress=ProgressLine("passages encoded"))
    places = {passage.passage_id: place for place, passage in enumerate(store)}
    dataset = load_dataset(arguments.dataset, images=arguments.images)
    pictured = [(one, path) for one in dataset.examples if (path := dataset.picture_of(one)) is not None]
    questions = [VisualQuestion(text=one.question, image=open_picture(path)) for one, path in pictured]
    right = [{places[key] for key in one.pos_passage_ids} for one, _ in pictured]
    queries = encoder.encode_queries(questions)
    scores = {
        name: late_interaction([keep(rows) for rows in queries], passages)
        for name, keep in variants(encoder.model.config).items()
    }
    scores["one vector a text (means of all rows)"] = single_vector(queries, passages)
    print(f"{len(questions)} questions of {arguments.dataset.name}, {len(passages):,} passages")
    print(f"{'':42}" + " ".join(f"{f'Recall@{depth}':>9}" for depth in DEPTHS))
    for name, matrix in scores.items():
        found = matrix.topk(max(DEPTHS)).indices.tolist()
        shares = [
            sum(bool(set(row[:depth]) & answers) for row, answers in zip(found, right, strict=True)) / len(right)
            for depth in DEPTHS
        ]
        print(f"{name:42}" + " ".join(f"{share:>9.3f}" for share in shares))


if __name__ == "__main__":
    main()
