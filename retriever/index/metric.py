"""What an error of a stored row costs: a quadratic form, of queries like those to come.

A query's score sums up cosines. Rows that are alike, such as padding or the words of an instruction, find the same
token, and what that is off in their direction counts once for each of them; in other directions errors cancel out. So
an error e costs `e @ metric @ e`, where the metric is the mean of the outer products of a query's summed rows
(`pooling.py`). Codes and levels are chosen for small costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.pooling import pooled

__all__ = ["even", "metric_of", "roots_of"]

EVENLY = 0.5  # share of the cost that is the same in all directions: other queries may come
LEAST = 0.01  # eigenvalue, after rounding


def even(dim: int) -> NDArray[np.float32]:
    """The metric without a query: distance squared."""
    return np.eye(dim, dtype=np.float32)


def metric_of(queries: Sequence[Tensor], dim: int) -> NDArray[np.float32]:
    """(dim, dim) symmetric, eigenvalues of 1 on average, rounded to float16; every query counts alike.

    Args:
        queries: (n_rows, dim) each.
        dim: width of an embedding.
    """
    total = np.zeros((dim, dim))
    for query in queries:
        sums, _ = pooled(query.detach().cpu().float().numpy())
        outer = sums.T.astype(np.float64) @ sums
        total += outer / max(float(np.trace(outer)), 1e-9)
    if not total.any():
        return even(dim)
    mixed = EVENLY * np.eye(dim) + (1 - EVENLY) * dim * total / np.trace(total)
    metric: NDArray[np.float32] = mixed.astype(np.float16).astype(np.float32)
    return metric


def roots_of(metric: NDArray[np.float32], device: torch.device) -> tuple[Tensor, Tensor]:
    """(dim, dim) float32 factor after which distances squared are costs, and its inverse."""
    values, vectors = torch.linalg.eigh(torch.from_numpy(metric).double())
    sizes = values.clamp(min=LEAST).sqrt()
    forth, back = (vectors * sizes) @ vectors.T, (vectors / sizes) @ vectors.T
    return forth.float().to(device), back.float().to(device)
