"""Averages checkpoints of one model that were trained on from common weights (arXiv:2203.05482)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import InputError, one_line

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["average_checkpoints"]

WEIGHTS = "model.safetensors"
_OF_WORDS = "word_embeddings.weight"  # belongs to a vocabulary, and vocabularies may differ


def average_checkpoints(folders: Sequence[Path], output: Path) -> None:
    """Writes a checkpoint whose weights are the means of several; all else, and the words' embeddings, is the last's.

    Args:
        folders: two checkpoints or more, of the same shapes.
        output: the folder to write; it must not exist.

    Raises:
        InputError: `output` exists, or the checkpoints cannot be read or do not fit together.
    """
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file, save_file

    if output.exists():
        raise InputError(f"{output} exists; give another --output, or move it away")
    if len(folders) < 2:
        raise InputError("one checkpoint has no average; give two or more")
    try:
        weights = [load_file(folder / WEIGHTS) for folder in folders]
        with safe_open(folders[-1] / WEIGHTS, "pt") as opened:
            metadata = opened.metadata()
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read the weights of {', '.join(map(str, folders))}: {one_line(error)}") from error
    last = weights[-1]
    for folder, other in zip(folders, weights, strict=True):
        differing = sorted(
            name
            for name in last.keys() | other.keys()
            if not name.endswith(_OF_WORDS) and not _alike(name, last, other)
        )
        if differing:
            raise InputError(f"{folder} and {folders[-1]} differ in {differing[0]}; give checkpoints of one shape")
    mean = {
        name: tensor
        if name.endswith(_OF_WORDS) or not tensor.is_floating_point()
        else torch.stack([one[name].float() for one in weights]).mean(dim=0).to(tensor.dtype)
        for name, tensor in last.items()
    }
    shutil.copytree(folders[-1], output)
    save_file(mean, output / WEIGHTS, metadata)


def _alike(name: str, one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return name in one and name in other and one[name].shape == other[name].shape
