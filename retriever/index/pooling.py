"""Taking a query's rows together that are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_POOLED", "pooled"]

MOST_POOLED = 64  # rows that a query is pooled to, at most
LEAST_POOLED = 16  # rows that are left as they are


def pooled(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Half as many rows, `MOST_POOLED` at most: (n, dim) sums of rows that are alike, and (n,) how many of them.

    Leaders are picked one by one, the row that is least like those picked before; each row joins the leader that it is
    most like.
    """
    few = min(len(rows), MOST_POOLED, max(LEAST_POOLED, (len(rows) + 1) // 2))
    if few == len(rows):
        return rows, np.ones(len(rows), dtype=np.int64)
    cosines = rows @ rows.T
    leaders = [0]
    nearest = cosines[0].copy()
    for _ in range(few - 1):
        leaders.append(int(nearest.argmin()))
        np.maximum(nearest, cosines[leaders[-1]], out=nearest)
    joined = cosines[leaders].argmax(axis=0)
    counts = np.bincount(joined, minlength=few)
    order, groups = np.argsort(joined, kind="stable"), counts[counts > 0]
    sums: NDArray[np.float32] = np.add.reduceat(rows[order], np.cumsum(groups) - groups, axis=0)
    return sums, groups
