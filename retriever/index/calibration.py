"""How many candidates must be rescored to find a share of the best passages: measured, and looked up.

Queries for measuring are made up from noisy rows of one passage, of those beside it and of any, for two lengths. Short
ones, like ColBERT's, consist of a few rows repeated, since padding rows resemble each other and their errors do not
cancel out. The noise was chosen so that they take as many candidates as real questions: docs/performance.md. Real
queries can be given instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.codec import Codec
from retriever.index.manifest import Calibration
from retriever.index.search import Searcher
from retriever.index.stored import StoredPassages

__all__ = ["RECALLS", "calibrated", "candidates_for"]

RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99)
BEST = 100  # passages that recall is measured on
N_QUERIES = 8  # of each length
NOISE = {32: 2.0, 320: 0.7}  # norm of what is added to the rows of made-up queries
REPEATED = {32: 8, 320: 1}  # times that each row of a made-up query comes
SHARES = 0.3, 0.3, 0.4  # of its rows from one passage, from those stored beside it, and from any
LEAST = 500  # candidates without a calibration


def candidates_for(
    calibration: Sequence[Calibration], n_rows: int, n_passages: int, target_recall: float, k: int
) -> int:
    """Candidates that reach a recall, for a query of some length in an index of some size.

    Raises:
        ValueError: the recall is not above 0 and at most 1.
    """
    if not 0 < target_recall <= 1:
        raise ValueError(f"target_recall is {target_recall}; give a share above 0 and at most 1")
    if target_recall > RECALLS[-1]:
        return n_passages
    usable = [entry for entry in calibration if entry.recall >= target_recall]
    if not usable:
        return max(LEAST, 20 * k, n_passages // 20)
    nearest = min(abs(np.log(entry.n_rows / max(1, n_rows))) for entry in usable)
    alike = [entry for entry in usable if abs(np.log(entry.n_rows / max(1, n_rows))) == nearest]
    entry = min(alike, key=lambda item: item.recall)
    grown = max(1.0, n_passages / max(1, entry.n_passages))
    return int(np.ceil(entry.n_candidates * grown))


def calibrated(
    stored: StoredPassages, codec: Codec, searcher: Searcher, queries: Sequence[Tensor] | None, *, seed: int
) -> tuple[Calibration, ...]:
    """Measures an index: candidates for each of `RECALLS`, for each length of query."""
    if stored.n_passages == 0:
        return ()
    by_length: dict[int, list[NDArray[np.float32]]] = {}
    if queries is None:
        for length in NOISE:
            by_length[length] = [_made_up(stored, codec, length, seed + number) for number in range(N_QUERIES)]
    else:
        for query in queries:
            by_length.setdefault(len(query), []).append(query.detach().cpu().float().numpy())
    return tuple(
        entry for length, rows in sorted(by_length.items()) for entry in _measured(stored, searcher, length, rows)
    )


def _measured(
    stored: StoredPassages, searcher: Searcher, n_rows: int, queries: list[NDArray[np.float32]]
) -> list[Calibration]:
    """Ranks that the scan gives to the best passages, pooled over the queries."""
    living = np.flatnonzero(stored.alive)
    best = min(BEST, max(1, len(living) // 2))
    ranks = []
    for query in queries:
        scores = searcher.rescore(query, living)
        rank = np.empty(len(living), dtype=np.int64)
        rank[np.argsort(-searcher.approximate(query)[living], kind="stable")] = np.arange(len(living))
        ranks.append(rank[np.argsort(-scores, kind="stable")[:best]])
    pooled = np.sort(np.concatenate(ranks))
    return [
        Calibration(n_rows, recall, int(pooled[int(np.ceil(recall * len(pooled))) - 1]) + 1, len(living))
        for recall in RECALLS
    ]


def _made_up(stored: StoredPassages, codec: Codec, n_rows: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    segment = stored.segments[random.integers(len(stored.segments))]
    position = int(random.integers(len(segment.lengths)))
    first, last = max(0, position - 10), min(len(segment.lengths), position + 10)
    pools = (
        np.arange(segment.starts[position], segment.starts[position + 1]),
        np.arange(segment.starts[first], segment.starts[last]),
        np.arange(segment.entry.n_tokens),
    )
    counts = random.multinomial(n_rows // REPEATED[n_rows], SHARES)
    tokens = np.concatenate([random.choice(pool, count) for pool, count in zip(pools, counts, strict=True)])
    rows = codec.decode({name: field[tokens] for name, field in segment.rows.items()})
    noise = random.standard_normal(rows.shape) * NOISE[n_rows] * codec.longest / codec.dim**0.5
    noisy = rows + noise.astype(np.float32)
    lengths = np.linalg.norm(noisy, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (noisy / np.maximum(lengths, 1e-6)).astype(np.float32)
    return np.repeat(unit, REPEATED[n_rows], axis=0)
