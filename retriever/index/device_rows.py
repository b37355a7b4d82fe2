"""Rows in the memory of a device: a segment's, once, whatever snapshots of the index come and go, and a search's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.segments import Coordinates, Rows, Segment

__all__ = ["BYTES_A_SCORE", "DeviceSegment", "QueryRows", "bytes_a_row", "load_segment"]

ROWS_AT_ONCE = 1 << 17  # decoded on the processor and sent together
SMALLEST = 1e-12
BYTES_A_SCORE = 32  # of temporaries in a search, from a score to the choice of the best


@dataclass(frozen=True)
class DeviceSegment:
    """One segment, ready to be scored.

    Attributes:
        rows: (n_rows, dim) floating-point numbers, or int8.
        steps: (n_rows,) float32, what each int8 row is multiples of; None for floating-point rows.
        starts: (n_passages + 1,) int64, on the device: first row of each passage, and the end.
        offsets: the same on the processor.
        lengths: (n_passages,) rows of each passage, ascending, on the processor.
    """

    rows: Tensor
    steps: Tensor | None
    starts: Tensor
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Tensor, steps: Tensor | None, lengths: NDArray[np.int64]) -> DeviceSegment:
        """Passages of the given lengths, ascending, one after another."""
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return cls(rows, steps, torch.from_numpy(offsets).to(rows.device), offsets, lengths)


@dataclass(frozen=True)
class QueryRows:
    """The rows of several queries, one after another.

    Attributes:
        rows: (n_rows, dim), on the device, in the dtype that they are multiplied in.
        sizes: rows of each query.
        starts: (n_queries + 1,) int64, on the device: first row of each query, and the end.
    """

    rows: Tensor
    sizes: list[int]
    starts: Tensor

    @classmethod
    def of(cls, queries: Sequence[Tensor], *, device: torch.device, dtype: torch.dtype) -> QueryRows:
        """Sends at least one query to a device."""
        sizes = [len(query) for query in queries]
        starts = torch.from_numpy(np.cumsum([0, *sizes])).to(device)
        return cls(torch.cat([query.detach().to(device, dtype) for query in queries]), sizes, starts)


def bytes_a_row(dim: int, dtype: torch.dtype) -> int:
    """What a row takes in a dtype; int8 has a step beside it."""
    return dim * dtype.itemsize + (4 if dtype == torch.int8 else 0)


def load_segment(
    segment: Segment,
    coordinates: Callable[[Rows], Coordinates],
    *,
    dim: int,
    dtype: torch.dtype,
    device: torch.device,
) -> DeviceSegment:
    """Copies a segment to a device, part by part.

    Args:
        segment: compared with its checksum first.
        coordinates: how its index reads stored rows.
        dim: width of a row.
        dtype: to hold rows in; with int8, rows that are stored as int8 stay as they are.
        device: to hold them on.

    Raises:
        IndexDamagedError: the segment was altered.
    """
    segment.check()
    n_rows = segment.entry.n_tokens
    rows = torch.empty(n_rows, dim, dtype=dtype, device=device)
    steps = torch.empty(n_rows, device=device) if dtype == torch.int8 else None
    for start in range(0, n_rows, ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        values, given = coordinates({name: field[part] for name, field in segment.rows.items()})
        sent = torch.from_numpy(np.ascontiguousarray(values)).to(device)
        sizes = None if given is None else torch.from_numpy(given).to(device)
        if steps is None:
            rows[part] = sent if sizes is None else sent * sizes[:, None]
        else:
            rows[part], steps[part] = _in_steps(sent.float()) if sizes is None else (sent, sizes)
    return DeviceSegment.of(rows, steps, segment.lengths)


def _in_steps(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(n, dim) multiples of a step a row that fit into int8, and (n,) steps."""
    steps = rows.abs().amax(dim=1).clamp(min=SMALLEST) / 127
    return torch.round(rows / steps[:, None]).to(torch.int8), steps
