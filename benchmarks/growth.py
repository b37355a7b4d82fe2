"""How the compressed index grows: build, opening, disk, memory, latency and recall at several sizes.

    python -m benchmarks.growth --passages P.jsonl.gz --questions Q.jsonl [--sizes 5000,20000,100000,300000]

Embeddings and queries are those of `benchmarks/corpus.py`; where the passages end, noisy copies of them follow, a block
at a time, so that no size has to fit into memory. Every size is built in this process, with `--samples` of questions
that are not asked, and searched in a fresh one. R@100 is the share of what exact search of the same embeddings finds,
for the first few queries. Prints one table; `--output` gets it as JSON and as plots of time, memory and recall, which
`--plots` puts into another folder, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.corpus import Corpus, load_corpus, noisy_copy
from benchmarks.machine import BUSY, machine
from benchmarks.plot import scatter
from benchmarks.search import Worker, recall
from benchmarks.search_engines import own_megabytes
from retriever.index.exact import ExactIndex
from retriever.index.opening import compress

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"short": 0.95, "long": 0.98}  # and the recall that is asked for
BLOCK = 5000  # passages added at a time


def blocks(corpus: Corpus, n: int) -> Iterator[tuple[list[str], list[Tensor]]]:
    """Ids and rows of `n` passages: the corpus, then copies of it."""
    originals, starts = corpus.passages(), np.concatenate([[0], np.cumsum(corpus.lengths)])
    first = 0
    while first < n:
        copy, place = divmod(first, len(originals))
        last = min(place + BLOCK, len(originals), place + n - first)
        rows = corpus.embeddings[starts[place] : starts[last]]
        if copy:
            rows = noisy_copy(rows, corpus.embeddings, torch.Generator().manual_seed(first))
        ids = [str(first + number) for number in range(last - place)]
        yield ids, list(torch.split(rows, corpus.lengths[place:last].tolist()))
        first += len(ids)


class Watched:
    """Watches, from a thread, how much memory of its own this process has."""

    def __init__(self) -> None:
        self.most = 0.0
        self._ended = Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        ended = False
        while not ended:
            self.most = max(self.most, own_megabytes())
            ended = self._ended.wait(0.05)


def measured(corpus: Corpus, n: int, options: argparse.Namespace) -> dict[str, Any]:
    """Builds and searches one size."""
    folder: Path = options.output / "engine"
    shutil.rmtree(folder, ignore_errors=True)
    exact = ExactIndex.create(folder / "index", dim=corpus.embeddings.shape[1], fingerprint="benchmark")
    for ids, rows in blocks(corpus, n):
        exact.add(ids, rows)
    queries = {"short": corpus.short[: options.queries], "long": corpus.long[: options.queries]}
    samples = corpus.short[options.queries :] + corpus.long[options.queries :]
    truth = {
        kind: [[int(name) for name, _ in exact.search(query, k=100)] for query in some[: options.exact]]
        for kind, some in queries.items()
    }
    start, busy = time.perf_counter(), time.process_time()
    with Watched() as memory:
        compress(exact, queries=samples)
    built: dict[str, Any] = {
        "passages": n,
        "tokens": exact.n_tokens,
        "build_seconds": time.perf_counter() - start,
        "build_processor_seconds": time.process_time() - busy,
        "build_own_mb": memory.most,
        "disk_bytes": sum(file.stat().st_size for file in (folder / "index").iterdir()),
    }
    path = options.output / "corpus.npz"
    stacked = {kind: torch.stack(some).numpy() for kind, some in queries.items()}
    np.savez(path.with_suffix(".queries.npz"), **stacked)  # type: ignore[arg-type]
    worker = Worker("ours 8 bit", Path(sys.executable), path, folder, options.threads)
    built["open_seconds"] = worker.ask(do="open")["seconds"]
    for kind, target in KINDS.items():
        request = {"do": "search", "queries": kind, "setting": {"target_recall": target}, "batch": 1}
        numbers = list(range(len(queries[kind])))
        worker.ask(**request, numbers=numbers[:3])
        answer = worker.ask(**request, numbers=numbers)
        built[f"{kind}_ms"] = statistics.median(answer["ms"])
        built[f"{kind}_processor_ms"] = statistics.median(answer["processor_ms"])
        built[f"{kind}_r100"] = recall(answer["found"][: len(truth[kind])], truth[kind], 100)
        built["search_own_mb"] = answer["own_mb"]
    worker.close()
    shutil.rmtree(folder)
    return built


def plots(sizes: list[dict[str, Any]], title: str) -> dict[str, str]:
    """Name -> SVG of what grows, over the number of passages."""

    def lines(key: str) -> list[tuple[float, float]]:
        return [(size["passages"], size[key]) for size in sizes]

    units = (("ms", "ms"), ("processor ms", "processor_ms"))
    times = {f"{kind}, {unit}": lines(f"{kind}_{key}") for kind in KINDS for unit, key in units}
    memory = {"search": lines("search_own_mb"), "build": lines("build_own_mb")}
    recalls = {f"{kind}, asked for {target}": lines(f"{kind}_r100") for kind, target in KINDS.items()}
    return {
        "growth-time.svg": scatter(times, title=title, x="passages", y="ms a query", log_x=True),
        "growth-memory.svg": scatter(memory, title=title, x="passages", y="own memory, MB", log_x=True),
        "growth-recall.svg": scatter(recalls, title=title, x="passages", y="R@100", log_x=True, share=True),
    }


def main(arguments: list[str] | None = None) -> int:
    """Prints the table as it grows."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    before = os.getloadavg()[0]
    corpus = load_corpus(
        options.passages,
        options.questions,
        n_passages=options.n,
        n_questions=options.queries + options.samples,
        cache_folder=options.cache / options.passages.parent.name,
    )
    print(
        "| passages | tokens | build s | own MB | bytes a token | open s | search, own MB | short ms | R@100 | "
        "long ms | R@100 |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    sizes = []
    for n in map(int, options.sizes.split(",")):
        size = measured(corpus, n, options)
        sizes.append(size)
        print(
            f"| {n:,} | {size['tokens']:,} | {size['build_seconds']:.0f} | {size['build_own_mb']:,.0f} | "
            f"{size['disk_bytes'] / size['tokens']:.1f} | {size['open_seconds']:.3f} | {size['search_own_mb']:.0f} | "
            f"{size['short_ms']:.1f} | {size['short_r100']:.3f} | {size['long_ms']:.1f} | {size['long_r100']:.3f} |",
            flush=True,
        )
    report = {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "machine": machine(),
        "threads": options.threads,
        "load": [before, os.getloadavg()[0]],
        "busy": before > BUSY,
        "sizes": sizes,
    }
    (options.output / "growth.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    title = f"Growth, {options.threads} threads" + (", busy machine" if report["busy"] else "")
    for name, drawn in plots(sizes, title).items():
        for folder in {options.output, options.plots}:
            (folder / name).write_text(drawn, encoding="utf-8")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=Path, required=True, help="JSON Lines: passage_id, article or title, text")
    parser.add_argument("--questions", type=Path, help="JSON Lines: question, pos_passage_ids")
    parser.add_argument("--n", type=int, default=20_000, help="passages to take from the file, at most")
    parser.add_argument("--sizes", default="5000,20000,100000,300000")
    parser.add_argument("--queries", type=int, default=20, help="of each kind")
    parser.add_argument(
        "--samples", type=int, default=40, help="other queries of each kind, that indexes are built with"
    )
    parser.add_argument("--exact", type=int, default=5, help="queries of each kind that are searched exactly, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmarks")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "benchmarks" / "growth")
    parser.add_argument("--plots", type=Path, help="folder that gets the plots too, such as docs")
    options = parser.parse_args(arguments)
    options.plots = options.plots or options.output
    return options


if __name__ == "__main__":
    raise SystemExit(main())
