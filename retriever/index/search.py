"""One query through a compressed index: a table of cosines, a scan of all codes, and the best rescored.

1. The query's rows times centroids and fine codes, in integers, give a table of one byte a cosine.
2. The scan sums, passage by passage, the best table entry of each row: an approximate score of every passage.
3. The passages with the best of these are rescored from their decoded rows, in integers, with every query row.
4. What can be among the k best within the rounding of step 3 is scored again in float32; that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retriever.index import kernels
from retriever.index.codec import STEPS, Codec
from retriever.index.manifest import IndexDamagedError
from retriever.index.ranking import best_places
from retriever.index.segments import Rows, Segment
from retriever.index.stored import StoredPassages

__all__ = ["Searcher"]

QUERY_GRID = 16384  # query rows are rounded to this part of the longest
ROWS_SCANNED = 128  # of a longer query, the scan takes the first half of these and as many spread over the others
BELOW = 0.1, 0.2  # the table reaches down to these negative cosines, with centroids and with fine codes
PARTS_A_THREAD = 4
TOKENS_AT_ONCE = 1 << 14  # scored in float32 together

Scores = NDArray[np.float32]
Share = Callable[[Callable[[int, int], Any], NDArray[np.int64]], None]


@dataclass(frozen=True)
class _Query:
    """A query in the forms that the steps need.

    Attributes:
        rows: (n, dim) float32.
        grid: what a row was multiplied by before it was rounded.
        packed: (n_blocks, dim / 2, 16, 2) int16: for each pair of dimensions 16 rows side by side.
        rounding: sum over rows of the distance between a row and its rounded self.
    """

    rows: NDArray[np.float32]
    grid: float
    packed: NDArray[np.int16]
    rounding: float

    @classmethod
    def of(cls, rows: NDArray[np.float32], *, width: int = kernels.TILE_ROWS) -> _Query:
        norms = np.linalg.norm(rows, axis=1)
        grid = QUERY_GRID / max(1.0, float(norms.max(initial=0.0)))
        rounded = np.rint(rows * grid)
        rounding = float(np.linalg.norm(rounded / grid - rows, axis=1).sum())
        padded = np.zeros((-(-len(rows) // width) * width, rows.shape[1]), dtype=np.int16)
        padded[: len(rows)] = rounded
        blocks = padded.reshape(-1, kernels.TILE_ROWS, rows.shape[1] // 2, 2)
        return cls(rows, grid, np.ascontiguousarray(blocks.transpose(0, 2, 1, 3)), rounding)


class Searcher:
    """Searches one snapshot of a compressed index; safe to use from several threads."""

    def __init__(self, stored: StoredPassages, codec: Codec, *, n_threads: int) -> None:
        """Takes opened passages and their codec.

        Args:
            stored: with the codec's layout.
            codec: that made the rows.
            n_threads: that share one query's work.
        """
        self._stored = stored
        self._codec = codec
        self._n_threads = n_threads
        self._centroids = _whole(codec.centroids)
        self._codebooks = _whole(codec.codebooks)
        self._parts = (STEPS, codec.centroids, codec.codebooks, codec.levels)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._n_threads, thread_name_prefix="index")

    @cached_property
    def _segments(self) -> Sequence[Segment]:
        """The segments; codes that would make the kernels read beyond a table are found here.

        Raises:
            IndexDamagedError: there is such a code.
        """
        for segment in self._stored.segments:
            if int(segment.rows["codes"].max()) >= len(self._codec.centroids):
                raise IndexDamagedError(f"codes in {self._stored.path} were altered; build the index again")
        return self._stored.segments

    def search_batch(
        self, queries: Sequence[NDArray[np.float32]], k: int, n_candidates: Sequence[int]
    ) -> list[list[tuple[str, float]]]:
        """The k best passages of each query, best first, equal scores in the order of insertion.

        Args:
            queries: (n_rows, dim) each.
            k: passages a query, at most all living ones.
            n_candidates: passages rescored for each query, at least k; with all of them, the result is exactly
                MaxSim over the decoded rows.
        """
        _ = self._segments
        if len(queries) >= 2 * self._n_threads > 2:
            return list(self._pool.map(lambda query, n: self._search(query, n, k, _alone), queries, n_candidates))
        return [self._search(query, n, k, self._share) for query, n in zip(queries, n_candidates, strict=True)]

    def approximate(self, query: NDArray[np.float32]) -> NDArray[np.int32]:
        """(n_passages,) approximate scores, segment by segment; -1 at deleted passages."""
        return self._approximate(query, self._share)

    def rescore(self, query: NDArray[np.float32], chosen: NDArray[np.int64]) -> Scores:
        """MaxSim of chosen passages (positions counted through all segments, ascending), up to rounding."""
        return self._rescore(_Query.of(query), chosen, self._share)

    def _search(self, rows: NDArray[np.float32], n_candidates: int, k: int, share: Share) -> list[tuple[str, float]]:
        stored = self._stored
        if n_candidates >= stored.n_passages:
            chosen = np.flatnonzero(stored.alive)
        else:
            bounds = self._approximate(rows, share)
            chosen = np.sort(best_places(bounds, stored.places, n_candidates))
        query = _Query.of(rows)
        scores = self._rescore(query, chosen, share)
        margin = 2 * self._rounding(query)
        least = np.partition(scores, len(scores) - k)[len(scores) - k] - margin
        chosen = chosen[scores >= least]
        final = self._score(query.rows, chosen)
        return [
            (stored.names[chosen[best]], float(final[best]))
            for best in best_places(final, stored.places[chosen], min(k, len(final)))
        ]

    def _approximate(self, rows: NDArray[np.float32], share: Share) -> NDArray[np.int32]:
        scanned = rows
        if len(rows) > ROWS_SCANNED:
            spread = np.linspace(ROWS_SCANNED // 2, len(rows) - 1, ROWS_SCANNED - ROWS_SCANNED // 2)
            scanned = rows[np.concatenate([np.arange(ROWS_SCANNED // 2), np.rint(spread).astype(int)])]
        width = 32 if len(scanned) <= 32 else 64
        query = _Query.of(scanned, width=width)
        longest = max(1.0, QUERY_GRID / query.grid) * self._codec.longest
        gain = 255 / ((1 + BELOW[0] + 2 * BELOW[1]) * longest)
        tables = []
        for vectors, below in zip((self._centroids, self._codebooks), BELOW, strict=True):
            table = np.empty((len(query.packed) * kernels.TILE_ROWS // width, len(vectors), width), dtype=np.uint8)
            scale, lift = np.float32(gain / (query.grid * kernels.GRID)), np.float32(gain * below * longest + 0.5)
            fill = partial(kernels.fill_table, vectors, query.packed, scale, lift, table)
            share(fill, np.arange(len(query.packed) + 1))
            tables.append(table)
        bounds = np.empty(len(self._stored.places), dtype=np.int32)
        for segment, offset in self._offsets():
            part = bounds[offset : offset + len(segment.lengths)]
            codes = segment.rows["codes"], segment.rows["fine"]
            share(partial(kernels.scan, *tables, *codes, segment.starts, part), segment.starts)
        bounds[~self._stored.alive] = -1
        return bounds

    def _rescore(self, query: _Query, chosen: NDArray[np.int64], share: Share) -> Scores:
        scores = np.empty(len(chosen), dtype=np.float32)
        for segment, offset in self._offsets():
            start, stop = np.searchsorted(chosen, (offset, offset + len(segment.lengths)))
            here = chosen[start:stop] - offset
            rows = segment.rows
            arrays = rows["rows"].view(np.uint8), rows["steps"], rows["codes"], rows["fine"], self._parts
            work = partial(kernels.rescore, query.packed, *arrays, segment.starts, here, scores[start:stop])
            share(work, np.concatenate([[0], np.cumsum(segment.lengths[here])]))
        return scores / np.float32(query.grid)

    def _score(self, query: NDArray[np.float32], chosen: NDArray[np.int64]) -> Scores:
        """MaxSim of chosen passages over their decoded rows, in float32."""
        columns = torch.from_numpy(query).T.contiguous()
        scores = []
        for segment, offset in self._offsets():
            here = chosen[(chosen >= offset) & (chosen < offset + len(segment.lengths))] - offset
            for group in _groups(here, segment.lengths[here]):
                lengths = segment.lengths[group]
                starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
                tokens = np.repeat(segment.starts[group] - starts, lengths) + np.arange(lengths.sum())
                decoded = self._codec.decode(_taken(segment.rows, tokens))
                with torch.inference_mode():
                    cosines = (torch.from_numpy(decoded) @ columns).numpy()
                scores.append(np.maximum.reduceat(cosines, starts).sum(axis=1))
        final: Scores = np.concatenate(scores)
        return final

    def _rounding(self, query: _Query) -> float:
        """How far a score of `_rescore` can be from the float32 score."""
        longest = 1.1 * self._codec.longest
        rounding = query.rounding * longest + 1e-6 * len(query.rows) * longest
        if self._codec.n_bits == 4:
            of_a_row = self._codec.dim**0.5 / 2 / kernels.GRID
            rounding += of_a_row * float(np.linalg.norm(query.rows, axis=1).sum())
        return rounding

    def _offsets(self) -> Iterator[tuple[Segment, int]]:
        offset = 0
        for segment in self._segments:
            yield segment, offset
            offset += len(segment.lengths)

    def _share(self, work: Callable[[int, int], Any], cumulative: NDArray[np.int64]) -> None:
        """Does the work on all items, in ranges of about equal cost, in the pool's threads.

        Args:
            work: on items first to last.
            cumulative: (n_items + 1,) cost of all items before each.
        """
        n_parts = min(len(cumulative) - 1, PARTS_A_THREAD * self._n_threads)
        if self._n_threads == 1 or n_parts < 2:
            work(0, len(cumulative) - 1)
            return
        shares = cumulative[-1] * np.arange(1, n_parts) // n_parts
        borders = [0, *np.searchsorted(cumulative, shares).tolist(), len(cumulative) - 1]
        list(self._pool.map(work, borders[:-1], borders[1:]))


def _alone(work: Callable[[int, int], Any], cumulative: NDArray[np.int64]) -> None:
    work(0, len(cumulative) - 1)


def _whole(vectors: NDArray[np.float32]) -> NDArray[np.int16]:
    """Vectors on the kernels' grid, padded to whole tiles."""
    padded = np.zeros((-(-len(vectors) // 8) * 8, vectors.shape[1]), dtype=np.int16)
    padded[: len(vectors)] = np.clip(np.rint(vectors * kernels.GRID), -32767, 32767)
    return padded


def _taken(rows: Rows, tokens: NDArray[np.int64]) -> Rows:
    return {name: field[tokens] for name, field in rows.items()}


def _groups(passages: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Consecutive passages of about `TOKENS_AT_ONCE` tokens."""
    if len(passages):
        parts = (np.cumsum(lengths) - 1) // TOKENS_AT_ONCE
        yield from np.split(passages, np.flatnonzero(np.diff(parts)) + 1)
