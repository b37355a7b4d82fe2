"""What the compressed index's kernels cost: processor time of one thread, which hardly depends on what else runs.

    python -m benchmarks.index_kernels [--centroids 8192] [--tokens 10000]

Random codes and rows of 128 dimensions, 100 tokens a passage; the least of some repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from retriever.index import kernels

__all__ = ["least", "main"]

DIM, LENGTH = 128, 100


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_kernels")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--centroids", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=10_000, help="a multiple of 100")
    options = parser.parse_args(arguments)
    n_tokens = options.tokens
    random = np.random.default_rng(0)
    rows = random.integers(0, 256, (n_tokens, DIM)).astype(np.uint8)
    steps = random.integers(100, 250, (n_tokens, 1)).astype(np.uint8)
    codes = random.integers(0, options.centroids, (n_tokens, 1)).astype(np.uint16)
    fine = random.integers(0, 256, (n_tokens, 2)).astype(np.uint8)
    starts = np.arange(0, n_tokens + 1, LENGTH)
    passages = np.arange(n_tokens // LENGTH)
    sizes = np.full(256, 0.01, dtype=np.float32)
    centroids, codebooks = (random.integers(-800, 800, (n, DIM)).astype(np.int16) for n in (options.centroids, 512))
    parts = sizes, centroids.astype(np.float32) / kernels.GRID, codebooks.astype(np.float32) / kernels.GRID
    deviations = {8: np.zeros((2, 0), dtype=np.float32), 4: np.full((2, DIM // 2), 0.05, dtype=np.float32)}
    scores = np.zeros(len(passages), dtype=np.float32)

    def show(name: str, work: Callable[..., Any], per: int, unit: str) -> None:
        print(f"| {name} | {least(work, options.repeats) / per:.3g} {unit} |", flush=True)

    def stored(n_bits: int) -> tuple[Any, ...]:
        packed = np.ascontiguousarray(rows[:, : DIM * n_bits // 8])
        return packed, steps, codes, fine, (*parts, deviations[n_bits]), starts, passages, scores

    print("| step | processor time, one thread |\n|---|---|")
    for n_rows in (16, 64):
        width = kernels.width_for(n_rows)
        query = random.integers(-2000, 2000, (n_rows // 16, DIM // 2, 16, 2)).astype(np.int16)
        table = np.zeros((n_rows // width, options.centroids, width), dtype=np.uint8)
        fine_table = random.integers(0, 80, (n_rows // width, 512, width)).astype(np.uint8)
        bounds = np.zeros(len(passages), dtype=np.int32)
        fill = partial(kernels.fill_table, centroids, query, np.float32(1e-6), np.float32(9), table, 0, len(query))
        show(f"table, {n_rows} rows, {options.centroids:,} centroids", fill, 1_000_000, "ms")
        table[:] = random.integers(0, 90, table.shape)
        weights = np.ones(n_rows, dtype=np.int32)
        scan = partial(kernels.scan, table, fine_table, weights, codes, fine, starts, bounds, 0, len(passages))
        show(f"scan, {n_rows} rows", scan, n_tokens, "ns a token")
    for n_rows in (16, 64, 320):
        query = random.integers(-2000, 2000, (n_rows // 16, DIM // 2, 16, 2)).astype(np.int16)
        for n_bits in (8, 4):
            rescore = partial(kernels.rescore, query, *stored(n_bits), 0, len(passages))
            show(f"rescoring, {n_rows} rows, {n_bits} bits", rescore, n_tokens, "ns a token")
    return 0


def least(work: Callable[..., Any], repeats: int) -> int:
    """Nanoseconds of processor time, after a warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - start)
    return min(times)


if __name__ == "__main__":
    raise SystemExit(main())
