"""What the compressed index's kernels cost: processor time of one thread, which hardly depends on what else runs.

    python -m benchmarks.index_kernels

Random codes and rows of 128 dimensions, 100 tokens a passage, 4,096 centroids; the least of some repeats.
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

DIM, LENGTH, CENTROIDS, TOKENS = 128, 100, 4096, 20_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_kernels")
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args(arguments)
    random = np.random.default_rng(0)
    rows = random.integers(0, 256, (TOKENS, DIM)).astype(np.uint8)
    steps = random.integers(100, 250, (TOKENS, 1)).astype(np.uint8)
    codes = random.integers(0, CENTROIDS, (TOKENS, 1)).astype(np.uint16)
    fine = random.integers(0, 256, (TOKENS, 2)).astype(np.uint8)
    starts = np.arange(0, TOKENS + 1, LENGTH)
    passages = np.arange(TOKENS // LENGTH)
    parts = tuple(random.standard_normal((n, DIM)).astype(np.float32) * 0.05 for n in (CENTROIDS, 512, 16))
    sizes = np.full(256, 0.01, dtype=np.float32)
    vectors = random.integers(-2000, 2000, (CENTROIDS, DIM)).astype(np.int16)

    def show(name: str, work: Callable[..., Any], per: int, unit: str) -> None:
        print(f"| {name} | {least(work, options.repeats) / per:.3g} {unit} |", flush=True)

    print("| step | processor time, one thread |\n|---|---|")
    for n_rows, width in ((32, 32), (128, 64)):
        query = random.integers(-2000, 2000, (n_rows // 16, DIM // 2, 16, 2)).astype(np.int16)
        table = np.zeros((n_rows // width, CENTROIDS, width), dtype=np.uint8)
        fine_table = random.integers(0, 80, (n_rows // width, 512, width)).astype(np.uint8)
        bounds = np.zeros(len(passages), dtype=np.int32)
        fill = partial(kernels.fill_table, vectors, query, np.float32(1e-6), np.float32(9), table, 0, len(query))
        show(f"table, {n_rows} rows, {CENTROIDS:,} centroids", fill, 1_000_000, "ms")
        table[:] = random.integers(0, 90, table.shape)
        scan = partial(kernels.scan, table, fine_table, codes, fine, starts, bounds, 0, len(passages))
        show(f"scan, {n_rows} rows", scan, TOKENS, "ns a token")
    for n_rows in (32, 320):
        query = random.integers(-2000, 2000, (n_rows // 16, DIM // 2, 16, 2)).astype(np.int16)
        scores = np.zeros(len(passages), dtype=np.float32)
        for n_bits in (8, 4):
            stored = np.ascontiguousarray(rows[:, : DIM * n_bits // 8])
            arrays = stored, steps, codes, fine, (sizes, *parts), starts, passages, scores
            rescore = partial(kernels.rescore, query, *arrays, 0, len(passages))
            show(f"rescoring, {n_rows} rows, {n_bits} bits", rescore, TOKENS, "ns a token")
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
