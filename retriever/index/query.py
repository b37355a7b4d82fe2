"""A query in the forms in which it is compared with passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from retriever.index.vector_code import LANES, TILE_ROWS

__all__ = ["Query", "padded"]

LARGEST_SUM = 2.0**30  # of products, to stay within 32 bits

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Query:
    """A query in the forms that the steps need.

    Attributes:
        rows: (n, dim) float32.
        grid: what a row was multiplied by before it was rounded.
        packed: (n_blocks, padded dim / 2, 16, 2) int16: for each pair of dimensions 16 rounded rows side by side.
    """

    rows: NDArray[np.float32]
    grid: float
    packed: NDArray[np.int16]

    @classmethod
    def of(cls, rows: NDArray[np.float32], longest: float, *, width: int = TILE_ROWS) -> Query:
        """The finest grid on which rows fit into 16 bits, and their products with `longest` integer vectors into 32."""
        norm = max(1e-6, float(np.linalg.norm(rows, axis=1).max(initial=0.0)))
        grid = min(32767 / max(1e-6, float(np.abs(rows).max(initial=0.0))), LARGEST_SUM / (longest * norm))
        lines = padded(np.rint(rows * grid).astype(np.int16), width, LANES)
        blocks = lines.reshape(-1, TILE_ROWS, lines.shape[1] // 2, 2)
        return cls(rows, grid, np.ascontiguousarray(blocks.transpose(0, 2, 1, 3)))


def padded(array: NDArray[_Number], n_rows: int, n_columns: int) -> NDArray[_Number]:
    """With zeros, to a multiple of so many rows and columns."""
    return np.pad(array, [(0, -size % whole) for size, whole in zip(array.shape, (n_rows, n_columns), strict=True)])
