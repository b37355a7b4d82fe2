"""Exhaustive search in a GPU's memory: time, memory and fidelity, over real passages and noisy copies of them.

    python -m benchmarks.gpu_search --passages P.jsonl.gz --questions Q.jsonl [--copies 0 4 14] [--device cuda]

Passages and questions are encoded by the embedded retriever. Long queries add 288 noisy copies of passages' rows to a
question's, as many as PreFLMR's largest model asks with. R@100 is the share of what MaxSim over the stored float16 rows
finds, multiplied in float32. Times are medians of single queries and of batches, results on the processor included.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.corpus import VISUAL_NOISE, VISUAL_ROWS, noisy_copy, read_jsonl
from benchmarks.search import recall
from knowledge_bases.records import VisualQuestion
from rag_app.devices import resolve_placement
from retriever.checkpoints import load_retriever
from retriever.index.exact import ExactIndex
from retriever.index.on_device import OnDeviceIndex
from retriever.index.opening import compress

CHECKPOINT = Path("retriever/checkpoints/preflmr-mini")
TOP_K, BATCH, REPEATS = 100, 64, 30
Hits = list[tuple[str, float]]
Search = Callable[[Sequence[Tensor]], list[Hits]]


def encoded(passages: Path, questions: Path, n: int, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Rows of the passages (float16) and of the questions (float32), on the processor."""
    encoder = load_retriever(CHECKPOINT, device=device, dtype=resolve_placement(str(device)).dtype)
    texts = [row["text"] for row in read_jsonl(passages)][:n]
    began = time.perf_counter()
    rows = [one.half().cpu() for one in encoder.encode_passages(texts)]
    print(f"{len(texts):,} passages encoded at {len(texts) / (time.perf_counter() - began):,.0f} a second", flush=True)
    asked = [VisualQuestion(text=row["question"]) for row in read_jsonl(questions)[:BATCH]]
    return rows, [one.float().cpu() for one in encoder.encode_queries(asked)]


def lengthened(queries: Sequence[Tensor], pool: Tensor) -> list[Tensor]:
    """The queries with simulated rows of a picture behind their own."""
    generator = torch.Generator().manual_seed(0)
    long = []
    for query in queries:
        picked = pool[torch.randint(len(pool), (VISUAL_ROWS,), generator=generator)]
        rows = noisy_copy(picked, pool, generator, swapped=0.0, noise=VISUAL_NOISE)
        long.append(torch.cat([query, rows.float()]))
    return long


def median_ms(search: Search, turns: Sequence[Sequence[Tensor]]) -> float:
    """Milliseconds of a search, after three to warm up."""
    times = []
    for queries in [*turns[:3], *turns]:
        began = time.perf_counter()
        search(queries)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[3:])


def places(found: Sequence[Hits]) -> list[list[int]]:
    """The passages of each query, as `recall` takes them."""
    return [[int(name) for name, _ in hits] for hits in found]


def measure(folder: Path, rows: list[Tensor], kinds: dict[str, list[Tensor]], device: torch.device) -> None:
    """Prints a line for each way to hold the passages and kind of query."""
    began = time.perf_counter()
    index = ExactIndex.create(folder / "index", dim=rows[0].shape[1], fingerprint="benchmark")
    index.add([str(place) for place in range(len(rows))], rows)
    seconds = time.perf_counter() - began
    print(f"{len(rows):,} passages, {index.n_tokens:,} rows, written in {seconds:.1f} s", flush=True)
    true = OnDeviceIndex(index, device=device, dtype=torch.float32)
    truth = {kind: places(true.search_batch(queries, k=TOP_K)) for kind, queries in kinds.items()}
    del true
    for limit in (None, index.n_tokens * (rows[0].shape[1] + 5)):  # in bfloat16, and where only int8 fits
        began = time.perf_counter()
        held = OnDeviceIndex(index, device=device, dtype=torch.bfloat16, max_bytes=limit)
        sent = time.perf_counter() - began
        search = partial(held.search_batch, k=TOP_K)
        for kind, queries in kinds.items():
            share = recall(places(search(queries)), truth[kind], TOP_K)
            alone = median_ms(search, [[query] for query in queries[:REPEATS]])
            together = median_ms(search, [queries] * 5) / len(queries)
            memory = torch.cuda.memory_allocated(device) / 1e6 if device.type == "cuda" else 0.0
            print(
                f"{len(rows):>9,} {held.row_dtype!s:14} {kind:5} {alone:8.2f} ms alone, {together:8.2f} ms each of "
                f"{len(queries)}, R@100 {share:.4f}, {memory:8,.0f} MB, sent in {sent:.1f} s",
                flush=True,
            )
        del search, held
    began = time.perf_counter()
    compress(index, device=device)
    print(f"{len(rows):>9,} compressed to 8 bits in {time.perf_counter() - began:.1f} s", flush=True)


def main() -> None:
    """Prints a table for each number of copies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--n", type=int, default=20_000, help="passages to take from the file")
    parser.add_argument("--copies", type=int, nargs="+", default=[0, 4], help="noisy copies of each, size by size")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_placement(options.device).device
    rows, short = encoded(options.passages, options.questions, options.n, device)
    pool = torch.cat(rows[:5000])
    kinds = {"short": short, "long": lengthened(short, pool)}
    generator = torch.Generator().manual_seed(0)
    for copies in options.copies:
        more = [noisy_copy(one, pool, generator) for _ in range(copies) for one in rows]
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), rows + more, kinds, device)


if __name__ == "__main__":
    main()
