"""Coordinates in 8 or 4 bits, as multiples of a step that each row has of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.levels import LEVELS

__all__ = ["STEPS", "in_levels", "in_steps"]

SMALLEST_STEP = 2.0**-16
STEPS = np.exp2(np.arange(256) / 16).astype(np.float32) * np.float32(SMALLEST_STEP)
FACTORS = np.asarray([0.85, 0.92, 1.0, 1.08, 1.17], dtype=np.float32)  # of a row's deviation that steps are tried of
ALONG_ROW = 4.0  # what an error along the row itself costs more than others: a query's row is like the row it finds
ROUNDS = 3  # of choosing every level of a row again


def in_steps(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Step codes (n, 1), and (n, dim) int8 multiples of the step."""
    steps = _step_codes(embeddings.abs().amax(dim=1, keepdim=True) / 127)
    sizes = torch.from_numpy(STEPS).to(embeddings.device)[steps]
    return steps, torch.round(embeddings / sizes).clamp(-127, 127).to(torch.int8)


def in_levels(
    left: Tensor, embeddings: Tensor, unit: NDArray[np.float32], metric: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Step codes (n, 1), and (n, dim) numbers of 4-bit levels of what centroids and fine codes leave of embeddings.

    Of several steps the one with the smallest error. From the nearest levels, others are chosen that cost less by the
    metric: errors of one coordinate make up for those of others. Rows are shared among as many threads as torch has.
    """
    from retriever.index.kernels import nearest_levels, settle_levels  # numba, which 8 bits are encoded without

    whole, rows = left.cpu().numpy(), embeddings.cpu().numpy()
    steps, picks = np.zeros((len(whole), 1), dtype=np.uint8), np.zeros(whole.shape, dtype=np.uint8)

    def encode(first: int, last: int) -> None:
        nearest_levels(whole, unit, STEPS, FACTORS, LEVELS, steps, picks, first, last)
        settle_levels(
            whole, rows, STEPS, steps, unit, metric, np.float32(ALONG_ROW), LEVELS, ROUNDS, picks, first, last
        )

    n_threads = torch.get_num_threads()
    borders = np.linspace(0, len(whole), n_threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(encode, borders[:-1], borders[1:]))
    return steps, picks


def _step_codes(sizes: Tensor) -> Tensor:
    """(n, 1) codes of the smallest steps that are not below the given sizes."""
    return torch.ceil(torch.log2(sizes.clamp(min=SMALLEST_STEP) / SMALLEST_STEP) * 16).clamp(0, 255).long()
