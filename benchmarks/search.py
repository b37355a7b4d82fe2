"""Late-interaction search: our indexes and others, over the same embeddings, in the same run.

    python -m benchmarks.search --quick
    python -m benchmarks.search --passages P.jsonl.gz --questions Q.jsonl --n 20000 --peers fast-plaid,plaid

Embeddings and queries are those of `benchmarks/corpus.py`. Every engine has a process of its own; they take turns in
rounds, after warm-ups, with the same number of threads. R@10 and R@100 are shares of what exact MaxSim over the float16
embeddings finds; success@5 counts questions whose passage is among the first five. Our compressed indexes are built
with `--samples` of other questions than those asked; `--keep` takes indexes that an earlier run left in `--output`,
with what building them took. Prints one table; `--output` gets it as JSON and as a plot. A machine that is busy with
other things is told in all of them: compare ratios then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.corpus import Corpus, load_corpus, noisy_copies
from benchmarks.machine import BUSY, machine
from benchmarks.peers import environment
from benchmarks.plot import scatter

__all__ = ["Worker", "main", "recall"]

ROOT = Path(__file__).resolve().parent.parent
OURS = ("exact", "ours 8 bit", "ours 4 bit")
ON_CUDA = "ours on cuda"  # measured where there is a CUDA device
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "exact": [{}],
    ON_CUDA: [{}],
    "ours": [{"n_candidates": n} for n in (500, 1000, 2000, 4000)]
    + [{"target_recall": recall} for recall in (0.95, 0.98, 0.99)],
    "fast-plaid": [{}, {"n_ivf_probe": 32, "n_full_scores": 8192}],
    # Only as many rows as `query_maxlen` pick candidates: FLMR leaves it at 32.
    "plaid": [{}, {"ncells": 4, "centroid_score_threshold": 0.4, "ndocs": 4096, "query_maxlen": 320}],
}
IN_BATCHES: tuple[dict[str, float], ...] = ({}, {"target_recall": 0.95}, {"target_recall": 0.98})
BATCH = 64
TARGETS = (0.8, 0.9, 0.95, 0.98)


@dataclass
class Result:
    """One engine with one setting on one kind of query."""

    engine: str
    setting: dict[str, Any]
    queries: str
    batch: int
    ms: list[float] = field(default_factory=list)  # of every query in every round
    ms_of_round: list[float] = field(default_factory=list)  # medians
    processor_ms: list[float] = field(default_factory=list)  # of all threads
    r10: float = 0.0
    r100: float = 0.0
    success5: float = 0.0


class Worker:
    """An engine in its own process."""

    def __init__(self, engine: str, python: Path, corpus: Path, folder: Path, threads: int) -> None:
        self.engine = engine
        numbers = {name: str(threads) for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS")}
        self._process = subprocess.Popen(
            [str(python), str(ROOT / "benchmarks" / "search_engines.py"), engine, str(corpus), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **numbers, "OMP_WAIT_POLICY": "PASSIVE"},
        )

    def ask(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """One request, one answer.

        Raises:
            RuntimeError: the engine ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{self.engine} ended with status {self._process.wait()}; its messages are above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the process, or finds that it has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; exit status 1 if an engine that was asked for could not be measured."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    corpus = load_corpus(
        options.passages,
        options.questions,
        n_passages=options.n,
        n_questions=max(options.short, options.long) + options.samples,
        cache_folder=options.cache / options.passages.parent.name,
    )
    if options.copies:
        corpus = noisy_copies(corpus, options.copies)
    path = _saved(corpus, options)
    before = os.getloadavg()[0]
    failed, builds, workers = [], {}, {}
    ours = [*OURS, ON_CUDA] if torch.cuda.is_available() else [*OURS]
    for engine in [*ours, *options.peers]:
        try:
            python = Path(sys.executable) if engine in ours else environment(engine, options.cache / "peers")
            builds[engine], workers[engine] = _built(engine, python, path, options)
        except RuntimeError as error:
            failed.append(str(error))
            print(error, file=sys.stderr)
    results, failures = _measured(workers, builds, corpus, options)
    failed += failures
    report = {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "command": " ".join(["python -m benchmarks.search", *(arguments or sys.argv[1:])]),
        "machine": machine(),
        "threads": options.threads,
        "load": [before, os.getloadavg()[0]],
        "busy": before > BUSY,
        "passages": len(corpus.ids),
        "tokens": len(corpus.embeddings),
        "builds": builds,
        "results": [asdict(result) for result in results],
        "failed": failed,
        "skipped": [] if ON_CUDA in ours else [f"{ON_CUDA}: no CUDA device is here"],
    }
    (options.output / "search.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    points = {
        f"{result.engine}, {result.queries}": [
            (other.r100, statistics.median(other.ms))
            for other in results
            if (other.engine, other.queries, other.batch) == (result.engine, result.queries, 1)
        ]
        for result in results
    }
    title = f"{len(corpus.ids):,} passages, {options.threads} threads" + (", busy machine" if report["busy"] else "")
    plot = scatter(points, title=title, x="R@100", y="ms a query")
    (options.output / "search.svg").write_text(plot, encoding="utf-8")
    print(_table(report, results))
    return 1 if failed else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__.splitlines()[0])
    flags = ROOT / "knowledge_bases" / "world_flags" / "passages.jsonl"
    parser.add_argument("--passages", type=Path, default=flags, help="JSON Lines: passage_id, article or title, text")
    parser.add_argument(
        "--questions", type=Path, help="JSON Lines: question, pos_passage_ids; else beginnings of texts"
    )
    parser.add_argument("--n", type=int, default=20_000, help="passages to take from the file")
    parser.add_argument("--copies", type=int, default=0, help="noisy copies to add to them")
    parser.add_argument("--peers", default="", help="fast-plaid, plaid: installed into environments of their own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", type=int, default=100, help="32-row queries")
    parser.add_argument("--long", type=int, default=60, help="320-row queries")
    parser.add_argument(
        "--samples", type=int, default=40, help="other queries of each kind, that our compressed indexes are built with"
    )
    parser.add_argument("--keep", action="store_true", help="search indexes of an earlier run, build what is missing")
    parser.add_argument("--quick", action="store_true", help="three minutes: 500 passages with copies, few queries")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmarks", help="embeddings, environments")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "benchmarks" / "search")
    options = parser.parse_args(arguments)
    options.peers = [peer for peer in options.peers.split(",") if peer]
    if options.quick:
        options.n, options.copies, options.rounds = min(options.n, 500), options.copies or 9, 1
        options.short, options.long = min(options.short, 20), min(options.long, 10)
    return options


def _saved(corpus: Corpus, options: argparse.Namespace) -> Path:
    path: Path = options.output / "corpus.npz"
    np.savez(path, embeddings=corpus.embeddings.numpy(), lengths=corpus.lengths)
    kinds = {"short": corpus.short[: options.short], "long": corpus.long[: options.long]}
    asked = max(options.short, options.long)
    for kind, queries in (("short", corpus.short), ("long", corpus.long)):
        if queries[asked : asked + options.samples]:
            kinds[f"sample {kind}"] = queries[asked : asked + options.samples]
    arrays = {kind: torch.stack(queries).numpy() for kind, queries in kinds.items()}
    np.savez(path.with_suffix(".queries.npz"), **arrays)  # type: ignore[arg-type]
    return path


def _built(engine: str, python: Path, corpus: Path, options: argparse.Namespace) -> tuple[dict[str, float], Worker]:
    """Builds in one process, and opens in a fresh one."""
    folder: Path = options.output / engine.replace(" ", "-")
    kept = folder / "build.json"
    if not (options.keep and kept.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        builder = Worker(engine, python, corpus, folder, options.threads)
        made = builder.ask(do="build")
        builder.close()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        built = {"build_seconds": made["seconds"], "build_peak_mb": made["peak_mb"], "disk_bytes": size}
        kept.write_text(json.dumps(built) + "\n", encoding="utf-8")
    worker = Worker(engine, python, corpus, folder, options.threads)
    opened = worker.ask(do="open")
    return {**json.loads(kept.read_text(encoding="utf-8")), "open_seconds": opened["seconds"]}, worker


def _measured(
    workers: dict[str, Worker], builds: dict[str, dict[str, float]], corpus: Corpus, options: argparse.Namespace
) -> tuple[list[Result], list[str]]:
    plans = [
        Result(engine, setting, queries, batch)
        for queries, batch in (("short", 1), ("long", 1), ("short", BATCH), ("long", BATCH))
        for engine in workers
        for setting in SETTINGS.get(engine, SETTINGS[engine.split()[0]])
        if batch == 1 or setting in IN_BATCHES
    ]
    numbers = {"short": list(range(min(options.short, len(corpus.short))))}
    numbers["long"] = list(range(min(options.long, len(corpus.long))))
    truth: dict[str, list[list[int]]] = {}
    failures: dict[str, str] = {}
    for round_number in range(options.rounds):
        for plan in plans:
            if plan.engine in failures:
                continue
            request = {"queries": plan.queries, "setting": plan.setting, "batch": plan.batch}
            asked = numbers[plan.queries]
            if plan.batch > 1:  # a whole batch, with queries repeated where there are too few
                asked = (asked * plan.batch)[: plan.batch]
            try:
                if round_number == 0:
                    workers[plan.engine].ask(do="search", **request, numbers=asked[:3])
                answer = workers[plan.engine].ask(do="search", **request, numbers=asked)
            except RuntimeError as error:
                failures[plan.engine] = str(error)
                continue
            plan.ms += answer["ms"]
            plan.processor_ms += answer["processor_ms"]
            for place in ("own_mb", "device_mb"):
                most = max(answer[place], builds[plan.engine].get(f"search_{place}", 0))
                builds[plan.engine][f"search_{place}"] = most
            plan.ms_of_round.append(statistics.median(answer["ms"]))
            if plan.engine == "exact" and plan.batch == 1:
                truth[plan.queries] = answer["found"]
            found = answer["found"][: len(numbers[plan.queries])]
            exact = truth[plan.queries][: len(found)]
            plan.r10, plan.r100 = recall(found, exact, 10), recall(found, exact, 100)
            plan.success5 = statistics.mean(gold in hits[:5] for gold, hits in zip(corpus.gold, found, strict=False))
    for worker in workers.values():
        worker.close()
    return [plan for plan in plans if plan.ms], list(failures.values())


def recall(found: list[list[int]], exact: list[list[int]], k: int) -> float:
    """Share of the first k that are found, on average."""
    shares = [len({*a[:k]} & {*b[:k]}) / len(b[:k]) for a, b in zip(found, exact, strict=True)]
    return statistics.mean(shares)


def _table(report: dict[str, Any], results: list[Result]) -> str:
    machine = report["machine"]
    gpu = f"{machine['gpu']}, " if machine["gpu"] else ""
    lines = [
        f"{report['date']}  {machine['processor']}, {machine['cores']} cores, {gpu}{report['threads']} threads, "
        f"torch {machine['torch']}, numba {machine['numba']}",
        f"{report['passages']:,} passages, {report['tokens']:,} embeddings; load {report['load'][0]:.1f} before, "
        f"{report['load'][1]:.1f} after" + (" (BUSY: compare ratios, not times)" if report["busy"] else ""),
        "",
        "| engine | build s | build peak MB | open s | bytes a token | own memory searching, MB | on the device, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for engine, built in report["builds"].items():
        lines.append(
            f"| {engine} | {built['build_seconds']:.1f} | {built['build_peak_mb']:.0f} | {built['open_seconds']:.3f} | "
            f"{built['disk_bytes'] / report['tokens']:.1f} | {built.get('search_own_mb', 0):.0f} | "
            f"{built.get('search_device_mb', 0):.0f} |"
        )
    lines += [
        "",
        "| queries | engine | setting | median ms | p95 ms | processor ms | exact / this, by round | R@10 | R@100 | "
        "success@5 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    exact = {(result.queries, result.batch): result for result in results if result.engine == "exact"}
    for result in results:
        base = exact[result.queries, result.batch].ms_of_round
        ratios = ", ".join(f"{a / b:.1f}" for a, b in zip(base, result.ms_of_round, strict=False))
        setting = ", ".join(f"{name} {value}" for name, value in result.setting.items()) or "default"
        kind = result.queries + (f", batch of {result.batch}" if result.batch > 1 else "")
        lines.append(
            f"| {kind} | {result.engine} | {setting} | {statistics.median(result.ms):.1f} | "
            f"{np.percentile(result.ms, 95):.1f} | {statistics.median(result.processor_ms):.1f} | {ratios} | "
            f"{result.r10:.3f} | {result.r100:.3f} | {result.success5:.3f} |"
        )
    lines += ["", "| queries | engine | " + " | ".join(f"ms at R@100 {target}" for target in TARGETS) + " |"]
    lines.append("|" + "---|" * (len(TARGETS) + 2))
    for queries, engine in dict.fromkeys((result.queries, result.engine) for result in results):
        same = [item for item in results if (item.queries, item.engine, item.batch) == (queries, engine, 1)]
        cells = []
        for target in TARGETS:
            times = [statistics.median(item.ms) for item in same if item.r100 >= target]
            cells.append(f"{min(times):.1f}" if times else "not reached")
        lines.append(f"| {queries} | {engine} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(f"not measured: {reason}" for reason in [*report["failed"], *report["skipped"]])])


if __name__ == "__main__":
    raise SystemExit(main())
