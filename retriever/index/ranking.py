"""What every index does alike: checking what it is given, taking queries together, and choosing the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["best_places", "check_new_rows", "check_queries", "in_groups"]


def check_queries(queries: Sequence[Tensor], dim: int, k: int) -> None:
    """Raises ValueError if a query does not fit the index, or k is below 1."""
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least 1 passage")
    for query in queries:
        if query.dim() != 2 or query.shape[1] != dim:
            raise ValueError(f"a query has rows of shape {tuple(query.shape)} and the index takes (n, {dim})")


def check_new_rows(ids: Sequence[str], embeddings: Sequence[Tensor], dim: int) -> None:
    """Raises ValueError if there is not one (1+, dim) tensor a passage, finite in float16."""
    if len(ids) != len(embeddings):
        raise ValueError(f"{len(ids)} ids and {len(embeddings)} embeddings were given; give one of each a passage")
    for passage_id, rows in zip(ids, embeddings, strict=True):
        if rows.dim() != 2 or rows.shape[1] != dim or rows.shape[0] == 0:
            raise ValueError(f"passage {passage_id!r} has rows of shape {tuple(rows.shape)}, not (1+, {dim})")
        if not torch.isfinite(rows.to(torch.float16)).all():
            raise ValueError(f"passage {passage_id!r} has rows that are not finite in float16")


def in_groups(queries: Sequence[Tensor], n_rows: int) -> Iterator[list[Tensor]]:
    """Consecutive queries that have at most so many rows together, or one that has more."""
    group: list[Tensor] = []
    for query in queries:
        if group and sum(item.shape[0] for item in group) + query.shape[0] > n_rows:
            yield group
            group = []
        group.append(query)
    if group:
        yield group


def best_places(scores: NDArray[np.float32] | NDArray[np.int32], places: NDArray[np.int64], k: int) -> NDArray[np.intp]:
    """Positions of the k highest scores, best first, equal ones by place."""
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= threshold)
    order = np.lexsort((places[candidates], -scores[candidates]))
    chosen: NDArray[np.intp] = candidates[order[:k]]
    return chosen
