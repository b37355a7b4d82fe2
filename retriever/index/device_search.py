"""Exhaustive MaxSim on a device: passages are scored a block at a time, and the best are kept as blocks go by.

A block's scores come from torch, on any device, or from the fused kernel (`maxsim_kernel.py`), which torch is the
reference of. A passage competes by one 64-bit number: its score in the upper half, mapped so that integers order as
scores do, and in the lower half how early it was inserted. So equal scores come out in the order of insertion.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.device_rows import BYTES_A_SCORE, DeviceSegment, QueryRows

__all__ = ["Scores", "agree", "best_passages", "scores_for", "torch_scores"]

logger = logging.getLogger(__name__)

UNEVEN = 1.125  # how much longer than the shortest passage of a block the longest may be
EMPTY = torch.iinfo(torch.int64).min
LAST = (1 << 32) - 1
TOLERANCE = 1e-4  # between two ways to add up the same products, a query row


Scores = Callable[[DeviceSegment, QueryRows, int], Iterator[tuple[int, Tensor]]]
"""Takes a segment, queries, and bytes that temporaries may take, if one passage's do not take more. Yields for each
block its first passage and (n_queries, n_passages) float32 MaxSim."""


def best_passages(
    segments: Iterable[tuple[DeviceSegment, Tensor]], queries: QueryRows, *, k: int, scores: Scores, block_bytes: int
) -> list[list[tuple[int, float]]]:
    """The k passages with the highest MaxSim for each query, as (rank, score), best first, equal ones by rank.

    Args:
        segments: each with the (n_passages,) int64 ranks of its passages in the order of insertion, -1 at deleted ones.
        queries: one or several.
        k: at most the number of passages that were not deleted.
        scores: how blocks are scored.
        block_bytes: that a block's temporaries may take.
    """
    best = torch.full((len(queries.sizes), k), EMPTY, device=queries.rows.device)
    for segment, ranks in segments:
        for first, block in scores(segment, queries, block_bytes):
            keys = _keys(block, ranks[first : first + block.shape[1]])
            best = torch.cat([best, keys], dim=1).topk(k, dim=1).values
    return [list(zip(ranks.tolist(), found.tolist(), strict=True)) for ranks, found in map(_parts, best.cpu().numpy())]


def torch_scores(segment: DeviceSegment, queries: QueryRows, block_bytes: int) -> Iterator[tuple[int, Tensor]]:
    """MaxSim of every passage in float32, a block of passages of nearly the same length at a time."""
    dim, n_rows = segment.rows.shape[1], len(queries.rows)
    a_token = 8 * (dim + n_rows) + BYTES_A_SCORE * (len(queries.sizes) + 1)
    columns = queries.rows.float().T
    for first, last in _blocks(segment.lengths, max(1, block_bytes // a_token)):
        longest = int(segment.lengths[last - 1])
        cosines = _cosines(segment, first, last, columns)  # ((last - first) * longest, n_rows)
        highest = cosines.view(last - first, longest, n_rows).amax(dim=1)
        yield first, torch.stack([part.sum(dim=1) for part in torch.split(highest, queries.sizes, dim=1)])


@cache
def scores_for(device: torch.device, dtype: torch.dtype, held: torch.dtype, dim: int) -> Scores:
    """The fused kernel where it can be compiled and agrees with torch, else torch.

    It is for 16-bit products on devices of compute capability 8 and above: elsewhere Triton's come without tensor cores
    and need more registers than there are, as the compiled code shows.

    Args:
        device: of the rows.
        dtype: that is multiplied in.
        held: of the rows.
        dim: width of a row.
    """
    if device.type != "cuda" or dtype.itemsize != 2 or find_spec("triton") is None:
        return torch_scores
    if torch.cuda.get_device_capability(device) < (8, 0):
        return torch_scores
    try:
        from retriever.index.maxsim_kernel import kernel_scores

        if agree(kernel_scores, device, dtype, held, dim):
            return kernel_scores
        logger.warning("the MaxSim kernel disagrees with torch on %s and is not used", device)
    except Exception as error:  # of the compiler that Triton looks for, the driver, or what it makes of this device
        logger.warning("the MaxSim kernel cannot be used on %s: %s", device, " ".join(str(error).split()))
    return torch_scores


def agree(scores: Scores, device: torch.device, dtype: torch.dtype, held: torch.dtype, dim: int) -> bool:
    """Whether scores are those of torch, on a few random passages and queries."""
    generator = torch.Generator().manual_seed(0)
    lengths = np.asarray([1, 2, 31, 32, 33, 70, 130])
    rows = torch.randn(int(lengths.sum()), dim, generator=generator) / dim**0.5
    queries = [rows[:1], rows[50:82], rows]  # with its own rows, every row of a passage matters
    steps = (1 + torch.rand(len(rows), generator=generator)).to(device) / 64 if held == torch.int8 else None
    kept = (rows * 64).round().to(torch.int8) if held == torch.int8 else rows.to(held)
    segment = DeviceSegment.of(kept.to(device), steps, lengths)
    few = QueryRows.of(queries, device=device, dtype=dtype)
    mine, expected = (
        torch.cat([block for _, block in way(segment, few, 1 << 24)], dim=1).cpu() for way in (scores, torch_scores)
    )
    allowed = TOLERANCE * torch.tensor([[len(query)] for query in queries])
    return bool(((mine - expected).abs() <= allowed).all())


def _blocks(lengths: NDArray[np.int64], n_tokens: int) -> Iterator[tuple[int, int]]:
    """First passages of blocks and their ends: of nearly the same length, about `n_tokens` when all are filled up."""
    first = 0
    while first < len(lengths):
        last = int(np.searchsorted(lengths, int(lengths[first] * UNEVEN), side="right"))
        last = min(last, first + max(1, n_tokens // int(lengths[last - 1])))
        yield first, last
        first = last


def _cosines(segment: DeviceSegment, first: int, last: int, columns: Tensor) -> Tensor:
    """(n_passages * longest, n_columns): shorter passages repeat their last row, which changes no maximum."""
    longest = int(segment.lengths[last - 1])
    part: slice | Tensor = slice(int(segment.offsets[first]), int(segment.offsets[last]))
    if segment.lengths[first] < longest:
        starts, ends = segment.starts[first:last, None], segment.starts[first + 1 : last + 1, None]
        part = torch.minimum(starts + torch.arange(longest, device=starts.device), ends - 1).view(-1)
    cosines = segment.rows[part].float() @ columns
    return cosines if segment.steps is None else cosines.mul_(segment.steps[part][:, None])


def _keys(scores: Tensor, ranks: Tensor) -> Tensor:
    """(n_queries, n_passages) int64: what passages compete by."""
    bits = (scores + 0.0).view(torch.int32)  # -0.0 + 0.0 is 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() * (LAST + 1) + (LAST - ranks)).masked_fill_(ranks < 0, EMPTY)


def _parts(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ranks and scores that keys were made of."""
    ordered = (keys >> 32).astype(np.int32)
    return LAST - (keys & LAST), (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)
