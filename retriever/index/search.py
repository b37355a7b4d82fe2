"""One query through a compressed index: a table of cosines, a scan of all codes, and the best rescored.

1. Rows that are alike take part in steps 1 to 3 as their sum. Their means times centroids and fine codes, in integers,
   give a table of one byte a cosine.
2. The scan sums, passage by passage, the best table entry of each mean: an approximate score of every passage.
3. The passages with the best of these are scored from all decoded rows, in integers, with the sums. The best of these
   stay.
4. What is left is rescored in the same way, with every query row.
5. Scores that are closer together than the rounding of step 4 are made again in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.index import kernels
from retriever.index.codec import STEPS, Codec
from retriever.index.manifest import IndexDamagedError
from retriever.index.pooling import pooled
from retriever.index.query import Query, padded
from retriever.index.ranking import best_places
from retriever.index.segments import Rows, Segment
from retriever.index.stored import StoredPassages

__all__ = ["Searcher"]

BELOW = 0.1, 0.2  # the table reaches down to these negative cosines, with centroids and with fine codes
PARTS_A_THREAD = 4
CACHE_LINE = 64  # bytes
TOKENS_AT_ONCE = 1 << 12  # decoded and scored in float32 together

Scores = NDArray[np.float32]
Share = Callable[[Callable[[int, int], Any], NDArray[np.int64]], None]


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
        self._parts = _decoding(codec)
        self._longest = max(127 * codec.dim**0.5, 1.2 * codec.longest * kernels.GRID)  # integer vectors

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
        self,
        queries: Sequence[NDArray[np.float32]],
        k: int,
        n_candidates: Sequence[int],
        n_rescored: Sequence[int],
    ) -> list[list[tuple[str, float]]]:
        """The k best passages of each query, best first, equal scores in the order of insertion.

        Args:
            queries: (n_rows, dim) each.
            k: passages a query, at most all living ones.
            n_candidates: passages that the scan leaves for each query, at least k; with all of them, the result is
                exactly MaxSim over the decoded rows.
            n_rescored: of the candidates, those that every query row is compared with; at least k.
        """
        _ = self._segments
        if len(queries) >= 2 * self._n_threads > 2:
            search = partial(self._search, k=k, share=_alone)
            return list(self._pool.map(search, queries, n_candidates, n_rescored))
        counts = zip(queries, n_candidates, n_rescored, strict=True)
        return [self._search(query, few, fewer, k, self._share) for query, few, fewer in counts]

    def approximate(self, query: NDArray[np.float32]) -> NDArray[np.int32]:
        """(n_passages,) approximate scores, segment by segment; -1 at deleted passages."""
        return self._approximate(*pooled(query), self._share)

    def rescore_pooled(self, query: NDArray[np.float32], chosen: NDArray[np.int64]) -> Scores:
        """Scores of chosen passages (positions as in `rescore`) with the query's pooled rows, at most MaxSim."""
        return self.rescore(pooled(query)[0], chosen)

    def rescore(self, query: NDArray[np.float32], chosen: NDArray[np.int64]) -> Scores:
        """MaxSim of chosen passages (positions counted through all segments, ascending), up to rounding."""
        return self._rescore(Query.of(query, self._longest), chosen, self._share)

    def _search(
        self, rows: NDArray[np.float32], n_candidates: int, n_rescored: int, k: int, share: Share
    ) -> list[tuple[str, float]]:
        stored = self._stored
        if n_candidates >= stored.n_passages:
            chosen = np.flatnonzero(stored.alive)
        else:
            sums, counts = pooled(rows)
            chosen = np.sort(best_places(self._approximate(sums, counts, share), stored.places, n_candidates))
            if n_rescored < len(chosen):
                scores = self._rescore(Query.of(sums, self._longest), chosen, share)
                chosen = chosen[np.sort(best_places(scores, stored.places[chosen], n_rescored))]
        query = Query.of(rows, self._longest)
        chosen, scores = self._settled(query, chosen, self._rescore(query, chosen, share), k, share)
        best = best_places(scores, stored.places[chosen], k)
        return [(stored.names[chosen[place]], float(scores[place])) for place in best]

    def _approximate(self, sums: NDArray[np.float32], counts: NDArray[np.int64], share: Share) -> NDArray[np.int32]:
        coarse, fine = self._tables((sums / counts[:, None]).astype(np.float32), share)
        weights = padded(counts.astype(np.int32)[:, None], coarse.shape[2], 1).reshape(-1)
        bounds = np.empty(len(self._stored.places), dtype=np.int32)
        for segment, offset in self._offsets():
            part = bounds[offset : offset + len(segment.lengths)]
            arrays = coarse, fine, weights, segment.rows["codes"], segment.rows["fine"]
            share(partial(kernels.scan, *arrays, segment.starts, part), segment.starts)
        bounds[~self._stored.alive] = -1
        return bounds

    def _tables(self, rows: NDArray[np.float32], share: Share) -> list[NDArray[np.uint8]]:
        """What centroids, then fine codes, are worth to query rows: (n_blocks, n, width) bytes."""
        width = kernels.width_for(len(rows))
        query = Query.of(rows, self._longest, width=width)
        longest = max(1.0, float(np.linalg.norm(rows, axis=1).max())) * self._codec.longest
        gain = 255 / ((1 + BELOW[0] + 2 * BELOW[1]) * longest)
        tables = []
        for vectors, below in zip((self._centroids, self._codebooks), BELOW, strict=True):
            table = _in_lines(len(query.packed) * kernels.TILE_ROWS // width, len(vectors), width)
            scale, lift = np.float32(gain / (query.grid * kernels.GRID)), np.float32(gain * below * longest + 0.5)
            fill = partial(kernels.fill_table, vectors, query.packed, scale, lift, table)
            share(fill, np.arange(len(query.packed) + 1))
            tables.append(table)
        return tables

    def _settled(
        self, query: Query, chosen: NDArray[np.int64], scores: Scores, k: int, share: Share
    ) -> tuple[NDArray[np.int64], Scores]:
        """Passages that can be among the k best; float32 scores for those whose order the rounding leaves open."""
        margin = 2 * self._rounding(query)
        kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k] - margin
        chosen, scores = chosen[kept], scores[kept]
        order = np.argsort(-scores, kind="stable")
        close = -np.diff(scores[order]) <= margin
        unsettled = np.sort(order[np.append(close, False) | np.append(False, close)])
        if len(unsettled):
            scores[unsettled] = self._score(query.rows, chosen[unsettled], share)
        return chosen, scores

    def _rescore(self, query: Query, chosen: NDArray[np.int64], share: Share) -> Scores:
        scores = np.empty(len(chosen), dtype=np.float32)
        for segment, here, part in self._chosen(chosen, scores):
            work = partial(kernels.rescore, query.packed, *self._arrays(segment), here, part)
            share(work, np.concatenate([[0], np.cumsum(segment.lengths[here])]))
        return scores / np.float32(query.grid)

    def _score(self, query: NDArray[np.float32], chosen: NDArray[np.int64], share: Share) -> Scores:
        """MaxSim of chosen passages over their decoded rows, in float32."""
        columns = np.ascontiguousarray(query.T)
        scores = np.empty(len(chosen), dtype=np.float32)
        for segment, here, part in self._chosen(chosen, scores):
            work = partial(self._score_some, segment, columns, here, part)
            share(work, np.concatenate([[0], np.cumsum(segment.lengths[here])]))
        return scores

    def _score_some(
        self,
        segment: Segment,
        columns: NDArray[np.float32],
        here: NDArray[np.int64],
        scores: Scores,
        first: int,
        last: int,
    ) -> None:
        """Scores of the passages `first` to `last` of those chosen in a segment."""
        for group in _groups(here[first:last], segment.lengths[here[first:last]]):
            lengths = segment.lengths[group]
            starts = np.concatenate([[0], np.cumsum(lengths)])
            tokens = np.repeat(segment.starts[group] - starts[:-1], lengths) + np.arange(starts[-1])
            decoded = self._codec.decode(_taken(segment.rows, tokens))
            kernels.maxsim(columns, decoded, starts, scores[first : first + len(group)], 0, len(group))
            first += len(group)

    def _rounding(self, query: Query) -> float:
        """How far a score of `_rescore` is from the exact one, at six standard deviations: rounding errors add up as
        independent ones, but for those of a decoded token (4 bits), which count for every query row that finds it best:
        rows that are alike may all find the same."""
        longest = 1.1 * self._codec.longest
        variance = len(query.rows) * (longest / query.grid) ** 2
        if self._codec.n_bits == 4:
            variance += float(np.maximum(query.rows @ query.rows.T, 0).sum()) / kernels.GRID**2
        return 6 * math.sqrt(variance / 12) + 1e-6 * len(query.rows) * longest

    def _arrays(self, segment: Segment) -> tuple[Any, ...]:
        rows = segment.rows
        return rows["rows"].view(np.uint8), rows["steps"], rows["codes"], rows["fine"], self._parts, segment.starts

    def _chosen(self, chosen: NDArray[np.int64], scores: Scores) -> Iterator[tuple[Segment, NDArray[np.int64], Scores]]:
        """Each segment, the chosen passages in it, and where their scores go."""
        for segment, offset in self._offsets():
            start, stop = np.searchsorted(chosen, (offset, offset + len(segment.lengths)))
            yield segment, chosen[start:stop] - offset, scores[start:stop]

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
    whole = np.clip(np.rint(vectors * kernels.GRID), -32767, 32767).astype(np.int16)
    return padded(whole, 8, kernels.LANES)


def _decoding(codec: Codec) -> tuple[NDArray[np.float32], ...]:
    """What turns stored rows into embeddings, as the kernels take it."""
    deviations = codec.deviations.reshape(2, -1) if codec.n_bits == 4 else np.zeros((2, 0), dtype=np.float32)
    centroids, codebooks = (padded(vectors, 1, kernels.LANES) for vectors in (codec.centroids, codec.codebooks))
    return STEPS, centroids, codebooks, padded(deviations, 1, kernels.TILE_ROWS)


def _in_lines(*shape: int) -> NDArray[np.uint8]:
    """Bytes that begin at a line of the processor's cache, so that a line of a table lies in as few as it can."""
    spare = np.empty(math.prod(shape) + CACHE_LINE, dtype=np.uint8)
    start = -spare.ctypes.data % CACHE_LINE
    return spare[start : start + math.prod(shape)].reshape(shape)


def _taken(rows: Rows, tokens: NDArray[np.int64]) -> Rows:
    return {name: field[tokens] for name, field in rows.items()}


def _groups(passages: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Consecutive passages of about `TOKENS_AT_ONCE` tokens."""
    if len(passages):
        parts = (np.cumsum(lengths) - 1) // TOKENS_AT_ONCE
        yield from np.split(passages, np.flatnonzero(np.diff(parts)) + 1)
