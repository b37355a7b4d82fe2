"""The inner loops of the compressed index, compiled by numba at first use and kept on disk.

`vector_code.py` and `row_code.py` have what is written in vectors; `reference.py` says in numpy what each function
computes. Functions take a range of passages and release the GIL, so that threads share the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from retriever.index.row_code import take_bytes, take_levels
from retriever.index.vector_code import (
    LANES,
    TILE_ROWS,
    TILE_TOKENS,
    bound,
    fill_block,
    sum_of_best,
)

__all__ = [
    "GRID",
    "LANES",
    "TILE_ROWS",
    "TILE_TOKENS",
    "fill_table",
    "maxsim",
    "nearest_levels",
    "rescore",
    "scan",
    "settle_levels",
    "width_for",
]

GRID = 8192  # centroids and decoded 4-bit rows are rounded to this part of 1
WIDTHS = (16, 32, 64) if TILE_TOKENS == 8 else (16, 32)  # columns in a block of a table: what vectors hold


def _compiled(function: Callable[..., None], **options: Any) -> Callable[..., None]:
    """Compiles at first use; where no folder for the machine code can be written, in every process anew."""
    made: Callable[..., None]
    try:
        made = njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:
        made = njit(nogil=True, **options)(function)
    return made


def width_for(n_rows: int) -> int:
    """Columns in a block of the table of so many query rows."""
    return next((width for width in WIDTHS if width >= n_rows), WIDTHS[-1])


@_compiled
def fill_table(vectors: Any, query: Any, gain: Any, lift: Any, table: Any, first: Any, last: Any) -> None:
    """Fills the columns of query blocks `first` to `last` of a table of cosines in bytes.

    Args:
        vectors: (n, dim) int16, n a multiple of 8, dim even.
        query: (n_blocks, dim / 2, 16, 2) int16.
        gain, lift: float32; a byte is `clip(dot * gain + lift, 0, 255)`, rounded down.
        table: (n_rows / width, n, width) uint8, width 16, 32 or 64; written.
        first, last: blocks of 16 rows.
    """
    for block in range(first, last):
        fill_block(vectors, query, block, gain, lift, table)


@_compiled
def scan(
    table: Any,
    fine_table: Any,
    weights: Any,
    codes: Any,
    fine: Any,
    starts: Any,
    bounds: Any,
    first: Any,
    last: Any,
) -> None:
    """Approximate scores of passages `first` to `last`, in steps of the table.

    Block after block, so that a block of a table stays in the processor's cache.

    Args:
        table: (n_blocks, n_centroids, 16, 32 or 64) uint8.
        fine_table: (n_blocks, 512, 16, 32 or 64) uint8: both fine codebooks.
        weights: (n_blocks * width,) int32: how many times a column counts.
        codes: (n_tokens, 1) uint16.
        fine: (n_tokens, 2) uint8.
        starts: (n_passages + 1,) int64.
        bounds: (n_passages,) int32; written.
        first, last: passages.
    """
    for passage in range(first, last):
        bounds[passage] = 0
    for block in range(table.shape[0]):
        if table.shape[2] == 16:
            for passage in range(first, last):
                start, stop = starts[passage], starts[passage + 1]
                bounds[passage] += bound(16, table, fine_table, codes, fine, weights, block, start, stop)
        elif table.shape[2] == 32:
            for passage in range(first, last):
                start, stop = starts[passage], starts[passage + 1]
                bounds[passage] += bound(32, table, fine_table, codes, fine, weights, block, start, stop)
        else:
            for passage in range(first, last):
                start, stop = starts[passage], starts[passage + 1]
                bounds[passage] += bound(64, table, fine_table, codes, fine, weights, block, start, stop)


@_compiled
def rescore(
    query: Any,
    rows: Any,
    steps: Any,
    codes: Any,
    fine: Any,
    parts: Any,
    starts: Any,
    chosen: Any,
    scores: Any,
    first: Any,
    last: Any,
) -> None:
    """MaxSim of chosen passages over their decoded rows, in deviations of the query's grid.

    Args:
        query: (n_blocks, padded dim / 2, 16, 2) int16.
        rows: (n_tokens, dim) int8, or (n_tokens, dim / 2) uint8 of two 4-bit levels each.
        steps: (n_tokens, 1) uint8.
        codes: (n_tokens, 1) uint16.
        fine: (n_tokens, 2) uint8.
        parts: of the codec, float32: step sizes (256,), centroids (n, padded dim), fine codebooks (512, padded dim),
            deviations (2, n), a line for each half of the dimensions, or no column with 8 bits.
        starts: (n_passages + 1,) int64.
        chosen: (n_chosen,) int64 passages.
        scores: (n_chosen,) float32; written.
        first, last: which of the chosen.
    """
    sizes, centroids, codebooks, deviations = parts  # once: each time costs a count of references
    exact, half = deviations.shape[1] == 0, rows.shape[1]
    capacity = 0
    for number in range(first, last):
        capacity = max(capacity, starts[chosen[number] + 1] - starts[chosen[number]])
    capacity += TILE_TOKENS
    taken, factors = np.zeros((capacity, 2 * query.shape[1]), dtype=np.int16), np.zeros(capacity, dtype=np.float32)
    packed = np.zeros(deviations.shape[1], dtype=np.uint8)
    for number in range(first, last):
        start, stop = starts[chosen[number]], starts[chosen[number] + 1]
        n_tiles = (stop - start + TILE_TOKENS - 1) // TILE_TOKENS
        for place in range(n_tiles * TILE_TOKENS):
            token = min(start + place, stop - 1)  # the last token again fills the last tile
            if exact:
                take_bytes(rows, token, taken, place)
                for at in range(half - half % TILE_ROWS, half):
                    taken[place, at] = np.int8(rows[token, at])
                factors[place] = sizes[steps[token, 0]]
            else:
                for at in range(half):
                    packed[at] = rows[token, at]
                take_levels(
                    centroids, codes[token, 0], codebooks, fine[token, 0], 256 + np.int64(fine[token, 1]),
                    packed, deviations, sizes[steps[token, 0]], np.float32(GRID), half, taken, place,
                )  # fmt: skip
                factors[place] = np.float32(1 / GRID)
        scores[number] = sum_of_best(taken, factors, n_tiles, query)


@_compiled
def maxsim(columns: Any, rows: Any, starts: Any, scores: Any, first: Any, last: Any) -> None:
    """MaxSim of passages `first` to `last` in float32; equal passages have equal scores.

    Args:
        columns: (dim, n_query_rows) float32.
        rows: (n_tokens, dim) float32.
        starts: (n_passages + 1,) int64.
        scores: (n_passages,) float32; written.
        first, last: passages.
    """
    n_rows = columns.shape[1]
    cosines, best = np.empty(n_rows, dtype=np.float32), np.empty(n_rows, dtype=np.float32)
    for passage in range(first, last):
        best[:] = -np.inf
        for token in range(starts[passage], starts[passage + 1]):
            cosines[:] = 0
            for at in range(rows.shape[1]):
                value = rows[token, at]
                for column in range(n_rows):
                    cosines[column] += value * columns[at, column]
            for column in range(n_rows):
                best[column] = max(best[column], cosines[column])
        total = np.float32(0)
        for column in range(n_rows):
            total += best[column]
        scores[passage] = total


@_compiled
def nearest_levels(
    left: Any,
    unit: Any,
    sizes: Any,
    factors: Any,
    levels: Any,
    steps: Any,
    picks: Any,
    first: Any,
    last: Any,
) -> None:
    """The nearest levels of rows `first` to `last`, with that step of some that leaves the smallest error.

    Args:
        left: (n, dim) float32, to be put into levels.
        unit: (dim,) float32: a level is worth `size * unit` times that.
        sizes: (256,) float32, 16 to an octave.
        factors: (n_factors,) float32 of a row's deviation: the sizes to try are the next above these.
        levels: (16,) float32, ascending.
        steps: (n, 1) uint8; written.
        picks: (n, dim) uint8; written.
        first, last: rows.
    """
    dim = left.shape[1]
    scaled, tried = np.empty(dim, dtype=np.float32), np.empty(dim, dtype=np.uint8)
    for row in range(first, last):
        total = np.float32(0)
        for at in range(dim):
            scaled[at] = left[row, at] / unit[at]
            total += scaled[at] * scaled[at]
        deviation, least = np.sqrt(total / np.float32(dim)), np.float32(np.inf)
        for factor in factors:
            ratio = max(deviation * factor, sizes[0]) / sizes[0]
            step = min(255, int(np.ceil(np.log2(ratio) * np.float32(16))))
            tried[:] = 0
            for level in range(15):
                border = np.float32(0.5) * sizes[step] * (levels[level] + levels[level + 1])
                for at in range(dim):
                    tried[at] += scaled[at] > border
            error = np.float32(0)
            for at in range(dim):
                part = (scaled[at] - sizes[step] * levels[tried[at]]) * unit[at]
                error += part * part
            if error < least:
                least = error
                steps[row, 0] = step
                picks[row] = tried


@_compiled
def settle_levels(
    left: Any,
    embeddings: Any,
    sizes: Any,
    steps: Any,
    unit: Any,
    metric: Any,
    along: Any,
    levels: Any,
    rounds: Any,
    picks: Any,
    first: Any,
    last: Any,
) -> None:
    """Chooses the levels of rows `first` to `last` one by one for the smallest cost of what they leave of `left`.

    An error e costs `e @ metric @ e + along * (e @ embedding)**2`.

    Args:
        left: (n, dim) float32, to be put into levels.
        embeddings: (n, dim) float32.
        sizes, steps, unit: as in `nearest_levels`.
        metric: (dim, dim) float32, symmetric.
        along: float32.
        levels: (16,) float32, ascending.
        rounds: of all coordinates, at most.
        picks: (n, dim) uint8: the levels that are begun with; written.
        first, last: rows.
    """
    dim = left.shape[1]
    error, slope = np.empty(dim, dtype=np.float32), np.empty(dim, dtype=np.float32)
    for row in range(first, last):
        size, shared = sizes[steps[row, 0]], np.float32(0)
        for at in range(dim):
            error[at] = left[row, at] - size * unit[at] * levels[picks[row, at]]
            shared += error[at] * embeddings[row, at]
        slope[:] = 0
        for at in range(dim):
            part = error[at]
            for other in range(dim):
                slope[other] += part * metric[at, other]
        for _ in range(rounds):
            moved = False
            for at in range(dim):
                mine, step, pick = embeddings[row, at], size * unit[at], picks[row, at]
                best = (slope[at] + along * shared * mine) / (metric[at, at] + along * mine * mine)
                wanted = levels[pick] + best / step
                new = pick
                while new < 15 and wanted > np.float32(0.5) * (levels[new] + levels[new + 1]):
                    new += 1
                while new > 0 and wanted < np.float32(0.5) * (levels[new] + levels[new - 1]):
                    new -= 1
                if new != pick:
                    change = (levels[pick] - levels[new]) * step
                    picks[row, at] = new
                    shared += change * mine
                    for other in range(dim):
                        slope[other] += change * metric[at, other]
                    moved = True
            if not moved:
                break
