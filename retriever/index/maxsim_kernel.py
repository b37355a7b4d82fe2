"""MaxSim in one Triton kernel: no cosine leaves the chip. Imported only where there are Triton and a CUDA device.

One program scores one passage for one query. It goes through the query a block of rows at a time, multiplies each block
with the passage, block by block, and keeps the best of each row in registers. Programs that follow one another score
the same passage, so that it is read from memory once for all queries. `device_search.torch_scores` is the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from retriever.index.device_rows import BYTES_A_SCORE, DeviceSegment, QueryRows

__all__ = ["kernel_scores"]

LARGEST_BLOCK = 64  # rows of a passage, and of a query, multiplied at a time
SMALLEST_BLOCK = 16  # that a product may have
PROGRAMS = 1 << 30  # in one launch


@triton.jit  # type: ignore[untyped-decorator]
def _maxsim(  # type: ignore[no-untyped-def]
    rows,  # (n_rows, DIM)
    steps,  # (n_rows,) float32; not read without HAS_STEPS
    starts,  # (n_passages + 1,) int64
    query_rows,  # (n_query_rows, DIM)
    query_starts,  # (n_queries + 1,) int64
    scores,  # (n_queries, n_passages) float32
    n_passages,
    n_queries,
    DIM: tl.constexpr,
    HAS_STEPS: tl.constexpr,
    BLOCK_DIM: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_QUERY: tl.constexpr,
) -> None:
    program = tl.program_id(0)
    passage = program // n_queries
    query = program % n_queries
    start = tl.load(starts + passage)
    n_rows = (tl.load(starts + passage + 1) - start).to(tl.int32)
    query_start = tl.load(query_starts + query)
    n_query_rows = (tl.load(query_starts + query + 1) - query_start).to(tl.int32)
    dims = tl.arange(0, BLOCK_DIM)
    total = tl.zeros((BLOCK_QUERY,), dtype=tl.float32)
    for first_query_row in range(0, n_query_rows, BLOCK_QUERY):
        query_row = first_query_row + tl.arange(0, BLOCK_QUERY)
        asked = query_row < n_query_rows
        columns = tl.load(
            query_rows + (query_start + query_row)[None, :] * DIM + dims[:, None],
            mask=asked[None, :] & (dims < DIM)[:, None],
            other=0.0,
        )
        best = tl.full((BLOCK_QUERY,), float("-inf"), dtype=tl.float32)
        for first_row in range(0, n_rows, BLOCK_ROWS):
            row = first_row + tl.arange(0, BLOCK_ROWS)
            there = row < n_rows
            block = tl.load(
                rows + (start + row)[:, None] * DIM + dims[None, :],
                mask=there[:, None] & (dims < DIM)[None, :],
                other=0,
            ).to(columns.dtype)
            cosines = tl.dot(block, columns, input_precision="ieee")
            if HAS_STEPS:
                cosines *= tl.load(steps + start + row, mask=there, other=0.0)[:, None]
            best = tl.maximum(best, tl.max(tl.where(there[:, None], cosines, float("-inf")), axis=0))
        total += tl.where(asked, best, 0.0)
    tl.store(scores + query.to(tl.int64) * n_passages + passage, tl.sum(total, axis=0))


def kernel_scores(segment: DeviceSegment, queries: QueryRows, block_bytes: int) -> Iterator[tuple[int, Tensor]]:
    """MaxSim of every passage, accumulated in float32; one launch a block. As `device_search.Scores` says."""
    n_queries, dim = len(queries.sizes), segment.rows.shape[1]
    n_passages = len(segment.lengths)
    step = max(1, min(block_bytes // (BYTES_A_SCORE * n_queries), PROGRAMS // n_queries))
    device = segment.rows.device
    for first in range(0, n_passages, step):
        count = min(step, n_passages - first)
        scores = torch.empty(n_queries, count, device=device)
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            _maxsim[(count * n_queries,)](
                segment.rows,
                segment.starts if segment.steps is None else segment.steps,
                segment.starts[first:],
                queries.rows,
                queries.starts,
                scores,
                count,
                n_queries,
                DIM=dim,
                HAS_STEPS=segment.steps is not None,
                BLOCK_DIM=max(SMALLEST_BLOCK, triton.next_power_of_2(dim)),
                BLOCK_ROWS=_block(int(segment.lengths[first + count - 1])),
                BLOCK_QUERY=_block(max(queries.sizes)),
                num_warps=4,
                num_stages=2,
            )
        yield first, scores


def _block(n_rows: int) -> int:
    """Rows of a block that suit so many."""
    return int(min(LARGEST_BLOCK, max(SMALLEST_BLOCK, triton.next_power_of_2(n_rows))))
