"""What the compiled kernels compute, written in numpy without a thought for speed. The tests compare the two."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["maxsim_of", "nearest_levels", "scan", "settled_levels", "table_of"]


def table_of(vectors: NDArray[np.int16], query: NDArray[np.int16], gain: float, lift: float) -> NDArray[np.uint8]:
    """(n, n_rows) bytes of (n, dim) vectors and (n_rows, dim) query rows: `clip(dot * gain + lift, 0, 255)`."""
    dots = vectors.astype(np.int64) @ query.astype(np.int64).T
    levels = dots.astype(np.float32) * np.float32(gain) + np.float32(lift)
    table: NDArray[np.uint8] = np.clip(levels, 0, 255).astype(np.uint8)
    return table


def scan(
    table: NDArray[np.uint8],
    fine_table: NDArray[np.uint8],
    codes: NDArray[np.uint16],
    fine: NDArray[np.uint8],
    starts: NDArray[np.int64],
    weights: NDArray[np.int32],
) -> NDArray[np.int32]:
    """(n_passages,) weighted sums over query rows of the best table entry of a passage's tokens.

    Args:
        table: (n_centroids, n_rows).
        fine_table: (512, n_rows): both fine codebooks.
        codes: (n_tokens,).
        fine: (n_tokens, 2).
        starts: (n_passages + 1,).
        weights: (n_rows,).
    """
    values = _entries(table, fine_table, codes, fine)
    bounds: NDArray[np.int32] = (np.maximum.reduceat(values, starts[:-1]) * weights).sum(axis=1)
    return bounds


def _entries(
    table: NDArray[np.uint8], fine_table: NDArray[np.uint8], codes: NDArray[np.uint16], fine: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """(n_tokens, n_rows) table entries of each token."""
    values = table[codes].astype(np.int32)
    for part in range(2):
        values = np.minimum(values + fine_table[256 * part + fine[:, part].astype(int)], 255)
    return values


def maxsim_of(query: NDArray[Any], rows: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_passages,) MaxSim of (n_rows, dim) query rows over (n_tokens, dim) rows, in float64."""
    cosines = rows.astype(np.float64) @ query.astype(np.float64).T
    scores: NDArray[np.float64] = np.maximum.reduceat(cosines, starts[:-1]).sum(axis=1)
    return scores


def nearest_levels(
    left: NDArray[np.float32], unit: NDArray[np.float32], size: float, levels: NDArray[np.float32]
) -> tuple[NDArray[np.int64], float]:
    """(dim,) numbers of the levels, worth `size * unit` times that, nearest to (dim,) coordinates; squared error."""
    apart = np.abs(left[:, None] - size * unit[:, None] * levels.astype(np.float64))
    return apart.argmin(axis=1), float((apart.min(axis=1) ** 2).sum())


def settled_levels(
    left: NDArray[np.float32],
    values: NDArray[np.float32],
    costs: NDArray[np.float64],
    picks: NDArray[np.int64],
    rounds: int,
) -> NDArray[np.int64]:
    """(dim,) numbers of levels: each of `picks` in turn becomes the one after which `costs` are smallest.

    Args:
        left: (dim,) what the levels are for.
        values: (dim, 16) what each level of each coordinate is worth.
        costs: (dim, dim) positive definite; an error e costs `e @ costs @ e`.
        picks: (dim,) to begin with.
        rounds: how many times each is chosen.
    """
    chosen = picks.copy()
    error = left - values[np.arange(len(left)), chosen].astype(np.float64)
    for _ in range(rounds):
        for at in range(len(left)):
            tries = np.repeat(error[None], values.shape[1], axis=0)
            tries[:, at] = left[at] - values[at]
            chosen[at] = np.einsum("ij,jk,ik->i", tries, costs, tries).argmin()
            error = tries[chosen[at]]
    return chosen
