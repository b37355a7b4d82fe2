"""What renderers draw with: random tensors and the frame's coordinates, which run from -1 to 1."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["chance", "mesh", "uniform"]


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """A tensor of evenly spread numbers."""
    return torch.rand(shape, generator=generator) * (high - low) + low


def chance(n: int, share: float, generator: torch.Generator) -> Tensor:
    """(n,) bool, True with probability `share`."""
    return torch.rand(n, generator=generator) < share


def mesh(size: int) -> tuple[Tensor, Tensor]:
    """x and y of a square picture's pixels, (1, size, size) each."""
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x[None], y[None]  # (1, size, size) each
