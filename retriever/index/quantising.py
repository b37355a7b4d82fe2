"""Coordinates in 8 or 4 bits, as multiples of a step that each row has of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.levels import LEVELS

__all__ = ["STEPS", "in_levels", "in_steps", "settled"]

SMALLEST_STEP = 2.0**-16
STEPS = np.exp2(np.arange(256) / 16).astype(np.float32) * np.float32(SMALLEST_STEP)
ALONG_ROW = 4.0  # what an error along the row itself costs more than others: a query's row is like the row it finds
ROUNDS = 3  # of choosing every level of a row again


def in_steps(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Step codes (n, 1), and (n, dim) int8 multiples of the step."""
    steps = _step_codes(embeddings.abs().amax(dim=1, keepdim=True) / 127)
    sizes = torch.from_numpy(STEPS).to(embeddings.device)[steps]
    return steps, torch.round(embeddings / sizes).clamp(-127, 127).to(torch.int8)


def in_levels(left: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Step codes (n, 1), and (n, dim) numbers of 4-bit levels: of several steps the one with the smallest error."""
    normal = torch.from_numpy(LEVELS).to(left.device)
    borders = (normal[1:] + normal[:-1]) / 2
    base = (left / unit).pow(2).mean(dim=1, keepdim=True).sqrt()
    best_error = torch.full_like(base, torch.inf)
    best_steps = torch.zeros_like(base, dtype=torch.long)
    best_picks = torch.zeros_like(left, dtype=torch.uint8)
    for factor in (0.85, 0.92, 1.0, 1.08, 1.17):
        steps = _step_codes(base * factor)
        sizes = torch.from_numpy(STEPS).to(left.device)[steps]
        picks = torch.bucketize((left / (sizes * unit)).contiguous(), borders)
        error = (left - sizes * unit * normal[picks]).pow(2).sum(dim=1, keepdim=True)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_steps = torch.where(better, steps, best_steps)
        best_picks = torch.where(better, picks.to(torch.uint8), best_picks)
    return best_steps, best_picks


def settled(
    left: Tensor,
    embeddings: Tensor,
    steps: Tensor,
    picks: Tensor,
    unit: NDArray[np.float32],
    metric: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """(n, dim) levels that cost less by the metric than the nearest ones, `picks`: errors of one coordinate make up for
    those of others. Rows are shared among as many threads as torch has."""
    from retriever.index.kernels import settle_levels  # numba, which an index of 8 bits is built without

    arrays = left.cpu().numpy(), embeddings.cpu().numpy(), STEPS[steps[:, 0].cpu().numpy()], unit, metric
    chosen: NDArray[np.uint8] = picks.cpu().numpy().copy()
    n_threads = torch.get_num_threads()
    borders = np.linspace(0, len(chosen), n_threads + 1).astype(np.int64)
    work = partial(settle_levels, *arrays, np.float32(ALONG_ROW), LEVELS, ROUNDS, chosen)
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, borders[:-1], borders[1:]))
    return chosen


def _step_codes(sizes: Tensor) -> Tensor:
    """(n, 1) codes of the smallest steps that are not below the given sizes."""
    return torch.ceil(torch.log2(sizes.clamp(min=SMALLEST_STEP) / SMALLEST_STEP) * 16).clamp(0, 255).long()
