"""How many passages the steps of a search must leave to find a share of the best: measured, and looked up.

Queries for measuring are made up from noisy rows of one passage, of those beside it and of any, for two lengths. Short
ones, like ColBERT's, consist of a few rows repeated, since padding rows resemble each other and their errors do not
cancel out. In long ones, like PreFLMR's, rows come in fours that are alike, as patches of a picture do. The noise was
chosen so that they take as many candidates as real questions: docs/performance.md. Queries of a length that are given
take the place of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.codec import Codec
from retriever.index.exact import ExactIndex
from retriever.index.manifest import Calibration
from retriever.index.pooling import pooled
from retriever.index.search import Searcher
from retriever.index.stored import StoredPassages

__all__ = ["RECALLS", "Counts", "calibrated", "candidates_for"]

RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99)
BEST = 100  # passages that recall is measured on
N_QUERIES = 8  # of each length
MEASURED = 10  # passages that pooled rows find best among which each of the best is looked for
CAREFUL = 0.7  # share of the loss that a recall allows: other queries will be asked
LEAST = 500  # candidates without a calibration
SPARE = 4  # passages rescored for each that is asked for, without a calibration
LEAST_RESCORED = 32
LEAST_SPARE = 0.5  # for each passage that is asked for: real rows that are pooled are less alike than made-up ones


@dataclass(frozen=True)
class _MadeUp:
    """How queries of one length are made up.

    Attributes:
        noise: norm of what is added to a row.
        together: copies of a row before noise is added.
        repeated: copies of it afterwards.
    """

    noise: float
    together: int = 1
    repeated: int = 1


MADE_UP = {32: _MadeUp(3.0, repeated=8), 320: _MadeUp(0.6, together=4)}
SHARES = 0.3, 0.3, 0.4  # of their rows from one passage, from those stored beside it, and from any


class Counts(NamedTuple):
    """Passages that the steps of a search leave for the next."""

    n_candidates: int
    n_rescored: int


def candidates_for(
    calibration: Sequence[Calibration], n_rows: int, n_passages: int, target_recall: float, k: int
) -> Counts:
    """What reaches a recall, for a query of some length in an index of some size.

    Raises:
        ValueError: the recall is not above 0 and at most 1.
    """
    if not 0 < target_recall <= 1:
        raise ValueError(f"target_recall is {target_recall}; give a share above 0 and at most 1")
    if target_recall > RECALLS[-1]:
        return Counts(n_passages, n_passages)
    usable = [entry for entry in calibration if entry.recall >= target_recall]
    if not usable:
        n_candidates = max(LEAST, 20 * k, n_passages // 20)
        return Counts(n_candidates, max(LEAST_RESCORED, SPARE * k))
    nearest = min(abs(np.log(entry.n_rows / max(1, n_rows))) for entry in usable)
    alike = [entry for entry in usable if abs(np.log(entry.n_rows / max(1, n_rows))) == nearest]
    entry = min(alike, key=lambda item: item.recall)
    grown = max(1.0, n_passages / max(1, entry.n_passages))
    # What stands behind the best few is as dense as behind the best hundred, at most.
    spare = max(1.0, k / BEST) * (entry.n_rescored - min(BEST, entry.n_rescored))
    rescored = max(LEAST_RESCORED, k + int(np.ceil(max(spare, LEAST_SPARE * k))))
    return Counts(int(np.ceil(entry.n_candidates * grown)), rescored)


def calibrated(
    stored: StoredPassages,
    codec: Codec,
    searcher: Searcher,
    queries: Sequence[Tensor],
    *,
    seed: int,
    exact: ExactIndex | None = None,
) -> tuple[Calibration, ...]:
    """Measures an index: candidates for each of `RECALLS`, for each length of query.

    Args:
        stored: the passages.
        codec: that encoded them.
        searcher: of them.
        queries: to measure with; for a length of `MADE_UP` that none comes near, some are made up.
        seed: of what is made up.
        exact: of the same passages, to measure what encoding them lost; it is asked `N_QUERIES` of each length.
    """
    if stored.n_passages == 0:
        return ()
    by_length: dict[int, list[NDArray[np.float32]]] = {}
    for query in queries:
        by_length.setdefault(len(query), []).append(query.detach().cpu().float().numpy())
    for length in MADE_UP.keys() - {_nearest(given) for given in by_length}:
        by_length[length] = [_made_up(stored, codec, length, seed + number) for number in range(N_QUERIES)]
    return tuple(
        entry
        for length, rows in sorted(by_length.items())
        for entry in _measured(stored, searcher, length, rows, exact)
    )


def _nearest(n_rows: int) -> int:
    """The length of `MADE_UP` that is nearest to a query's."""
    return min(MADE_UP, key=lambda length: abs(np.log(length / max(1, n_rows))))


def _measured(
    stored: StoredPassages,
    searcher: Searcher,
    n_rows: int,
    queries: list[NDArray[np.float32]],
    exact: ExactIndex | None,
) -> list[Calibration]:
    """The cheapest numbers of passages that lose no more of the best, of all queries together, than a recall allows.

    What encoding lost is part of that; of it half counts at most.
    """
    living = np.flatnonzero(stored.alive)
    best = min(BEST, max(1, len(living) // 2))
    scanned, thinned, lost = [], [], []
    truths = [] if exact is None else _best_of(exact, queries[:N_QUERIES], best)
    for number, query in enumerate(queries):
        ranks = _ranks(searcher.rescore_pooled(query, living))
        promising = living[ranks < MEASURED * best]
        first = np.argsort(-searcher.rescore(query, promising), kind="stable")[:best]
        if number < len(truths):
            found = {stored.names[place] for place in promising[first]}
            lost.append(1 - len(found & truths[number]) / best)
        first = np.searchsorted(living, promising[first])
        scanned.append(_ranks(searcher.approximate(query)[living])[first])
        thinned.append(ranks[first])
    gone = float(np.mean(lost)) if lost else 0.0
    dearer = n_rows / float(np.mean([len(pooled(query)[0]) for query in queries]))
    entries, counts = [], Counts(1, 1)
    for recall in RECALLS:
        kept = 1 - CAREFUL * max(1 - recall - gone, (1 - recall) / 2)
        counts = _cheapest(np.concatenate(scanned), np.concatenate(thinned), kept, dearer, at_least=counts)
        entries.append(Calibration(n_rows, recall, counts.n_candidates, len(living), counts.n_rescored))
    return entries


def _cheapest(
    scanned: NDArray[np.int64], thinned: NDArray[np.int64], kept: float, dearer: float, *, at_least: Counts
) -> Counts:
    """The counts that keep a share of the best passages at the least cost.

    Args:
        scanned: rank of each of the best passages after the scan.
        thinned: its rank by pooled rows.
        kept: the share that neither step may lose.
        dearer: cost of rescoring a passage, as a multiple of that of scoring a candidate.
        at_least: what a smaller share takes.
    """
    n_kept = int(np.ceil(kept * len(scanned)))
    choices = []
    for n_rescored in np.unique(np.sort(thinned)[n_kept - 1 :]) + 1:
        n_candidates = np.sort(scanned[thinned < n_rescored])[n_kept - 1] + 1
        choices.append(Counts(*map(max, zip((int(n_candidates), int(n_rescored)), at_least, strict=True))))
    return min(choices, key=lambda counts: counts.n_candidates + dearer * counts.n_rescored)


def _best_of(exact: ExactIndex, queries: list[NDArray[np.float32]], k: int) -> list[set[str]]:
    found = exact.search_batch([torch.from_numpy(query) for query in queries], k=k)
    return [{name for name, _ in hits} for hits in found]


def _ranks(scores: NDArray[Any]) -> NDArray[np.int64]:
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return ranks


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
    made = MADE_UP[n_rows]
    counts = random.multinomial(n_rows // (made.together * made.repeated), SHARES)
    tokens = np.concatenate([random.choice(pool, count) for pool, count in zip(pools, counts, strict=True)])
    rows = np.repeat(codec.decode({name: field[tokens] for name, field in segment.rows.items()}), made.together, axis=0)
    noise = random.standard_normal(rows.shape) * made.noise * codec.longest / codec.dim**0.5
    noisy = rows + noise.astype(np.float32)
    lengths = np.linalg.norm(noisy, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (noisy / np.maximum(lengths, 1e-6)).astype(np.float32)
    return np.repeat(unit, made.repeated, axis=0)
