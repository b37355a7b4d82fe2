"""The inner loops of the compressed index, compiled by numba at first use and kept on disk.

`vector_code.py` has what is written in vectors; `reference.py` says in numpy what each function computes. Functions
take a range of passages and release the GIL, so that threads share the work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from retriever.index.codec import LEVEL_POLYNOMIAL
from retriever.index.vector_code import TILE_ROWS, TILE_TOKENS, best_tokens, bound, fill_block, sum_of_best

__all__ = ["GRID", "TILE_ROWS", "TILE_TOKENS", "fill_table", "rescore", "scan", "score_likely"]

C1, C3, C5, C7, C9, C11, C13, C15 = (np.float32(number) for number in LEVEL_POLYNOMIAL)
GRID = 8192  # centroids and decoded 4-bit rows are rounded to this part of 1


def _compiled(function: Callable[..., None], **options: Any) -> Callable[..., None]:
    """Compiles at first use; where no folder for the machine code can be written, in every process anew."""
    made: Callable[..., None]
    try:
        made = njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:
        made = njit(nogil=True, **options)(function)
    return made


_compiled_in_any_order = partial(_compiled, fastmath={"reassoc", "contract"})  # of sums


def _part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of compiled functions, put in where it is called."""
    made: Callable[..., Any] = njit(inline="always")(function)
    return made


@_part
def _decode(
    rows: Any,
    steps: Any,
    codes: Any,
    fine: Any,
    sizes: Any,
    centroids: Any,
    codebooks: Any,
    deviations: Any,
    token: Any,
    decoded: Any,
    place: Any,
) -> None:
    """The embedding of a token, as `Codec.decode` has it, into a line of an array."""
    dim, half = centroids.shape[1], rows.shape[1]
    size = sizes[steps[token, 0]]
    if half == dim:
        for column in range(dim):
            decoded[place, column] = size * np.float32(np.int8(rows[token, column]))
    else:
        # The first fine codebook is zero in the second half of the dimensions, and the second in the first.
        centroid, low, high = np.int64(codes[token, 0]), np.int64(fine[token, 0]), 256 + np.int64(fine[token, 1])
        for column in range(half):
            level = size * deviations[column] * _level(rows[token, column] & 15)
            decoded[place, column] = centroids[centroid, column] + codebooks[low, column] + level
        for column in range(half, dim):
            level = size * deviations[column] * _level(rows[token, column - half] >> 4)
            decoded[place, column] = centroids[centroid, column] + codebooks[high, column] + level


@_part
def _level(number: Any) -> Any:
    """One of 16 levels, by the polynomial, which vectors compute faster than they look up."""
    at = (np.float32(np.int32(number)) - np.float32(7.5)) * np.float32(1 / 7.5)
    x = at * at
    return at * (C1 + x * (C3 + x * (C5 + x * (C7 + x * (C9 + x * (C11 + x * (C13 + x * C15)))))))


@_part
def _dot(query: Any, row: Any, decoded: Any, place: Any) -> Any:
    total = np.float32(0)
    for column in range(query.shape[1]):
        total += query[row, column] * decoded[place, column]
    return total


@_compiled
def fill_table(vectors: Any, query: Any, gain: Any, lift: Any, table: Any, first: Any, last: Any) -> None:
    """Fills the columns of query blocks `first` to `last` of a table of cosines in bytes.

    Args:
        vectors: (n, dim) int16, n a multiple of 8, dim even.
        query: (n_blocks, dim / 2, 16, 2) int16.
        gain, lift: float32; a byte is `clip(dot * gain + lift, 0, 255)`, rounded down.
        table: (n_rows / width, n, width) uint8, width 32 or 64; written.
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
        table: (n_blocks, n_centroids, 32 or 64) uint8.
        fine_table: (n_blocks, 512, 32 or 64) uint8: both fine codebooks.
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
        if table.shape[2] == 32:
            for passage in range(first, last):
                start, stop = starts[passage], starts[passage + 1]
                bounds[passage] += bound(32, table, fine_table, codes, fine, weights, block, start, stop)
        else:
            for passage in range(first, last):
                start, stop = starts[passage], starts[passage + 1]
                bounds[passage] += bound(64, table, fine_table, codes, fine, weights, block, start, stop)


@_compiled_in_any_order
def score_likely(
    table: Any,
    fine_table: Any,
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
    """Scores of chosen passages: of each query row with the one token that the table finds best for it.

    Args:
        table: (n_blocks, n_centroids, 32 or 64) uint8, of all query rows.
        fine_table: (n_blocks, 512, 32 or 64) uint8.
        query: (n_rows, dim) float32, in the order of the table's columns.
        rows, steps, codes, fine, parts, starts: as in `rescore`.
        chosen: (n_chosen,) int64 passages.
        scores: (n_chosen,) float32; written.
        first, last: which of the chosen.
    """
    n_rows, dim, width = query.shape[0], query.shape[1], table.shape[2]
    sizes, centroids, codebooks, deviations = parts  # once: each time costs a count of references
    highest, which = np.zeros(width, dtype=np.uint8), np.zeros(width, dtype=np.uint8)
    over, token_of = np.zeros(width, dtype=np.uint8), np.zeros(width, dtype=np.int64)
    capacity = 0
    for number in range(first, last):
        capacity = max(capacity, starts[chosen[number] + 1] - starts[chosen[number]])
    decoded = np.zeros((capacity, dim), dtype=np.float32)
    decoded_for = np.full(capacity, -1, dtype=np.int64)
    for number in range(first, last):
        start, stop = starts[chosen[number]], starts[chosen[number] + 1]
        score = np.float32(0)
        for block in range(table.shape[0]):
            for part in range(start, stop, 256):
                end = min(part + 256, stop)
                if width == 32:
                    best_tokens(32, table, fine_table, codes, fine, block, part, end, highest, which)
                else:
                    best_tokens(64, table, fine_table, codes, fine, block, part, end, highest, which)
                for column in range(width):
                    if part == start or highest[column] > over[column]:
                        over[column] = highest[column]
                        token_of[column] = part + which[column]
            for column in range(min(width, n_rows - block * width)):
                place = token_of[column] - start
                if decoded_for[place] != number:
                    decoded_for[place] = number
                    token = token_of[column]
                    _decode(rows, steps, codes, fine, sizes, centroids, codebooks, deviations, token, decoded, place)
                score += _dot(query, block * width + column, decoded, place)
        scores[number] = score


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
    """MaxSim of chosen passages over their decoded rows, in units of the query's grid.

    Args:
        query: (n_blocks, dim / 2, 16, 2) int16.
        rows: (n_tokens, dim) int8, or (n_tokens, dim / 2) uint8 of two 4-bit levels each.
        steps: (n_tokens, 1) uint8.
        codes: (n_tokens, 1) uint16.
        fine: (n_tokens, 2) uint8.
        parts: of the codec, float32: step sizes (256,), centroids (n, dim), fine codebooks (512, dim), deviation of
            each dimension (dim,).
        starts: (n_passages + 1,) int64.
        chosen: (n_chosen,) int64 passages.
        scores: (n_chosen,) float32; written.
        first, last: which of the chosen.
    """
    sizes, centroids, codebooks, deviations = parts
    dim, half = centroids.shape[1], rows.shape[1]
    decoded = np.zeros((1, dim), dtype=np.float32)
    capacity = 0
    for number in range(first, last):
        capacity = max(capacity, starts[chosen[number] + 1] - starts[chosen[number]])
    capacity += TILE_TOKENS
    buffer = np.zeros((capacity, 2 * query.shape[1]), dtype=np.int16)
    factors = np.zeros(capacity, dtype=np.float32)
    for number in range(first, last):
        start, stop = starts[chosen[number]], starts[chosen[number] + 1]
        n_tiles = (stop - start + TILE_TOKENS - 1) // TILE_TOKENS
        for place in range(n_tiles * TILE_TOKENS):
            token = min(start + place, stop - 1)  # the last token again fills the last tile
            if half == dim:
                for column in range(dim):
                    buffer[place, column] = np.int8(rows[token, column])
                factors[place] = sizes[steps[token, 0]]
            else:
                _decode(rows, steps, codes, fine, sizes, centroids, codebooks, deviations, token, decoded, 0)
                for column in range(dim):  # to the nearest: what is cut off is always positive
                    buffer[place, column] = (
                        np.int32(decoded[0, column] * np.float32(GRID) + np.float32(32768.5)) - 32768
                    )
                factors[place] = np.float32(1 / GRID)
        scores[number] = sum_of_best(buffer, factors, n_tiles, query)
