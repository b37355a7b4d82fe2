"""One search engine in a process of its own, driven line by line.

So peak memory is its own, engines can take turns, and a peer can live in an environment with another torch. Runs by
path, under any Python that has numpy and torch.

    python benchmarks/search_engines.py ENGINE CORPUS.npz FOLDER

Reads one JSON object a line: {"do": "build"}, {"do": "open"}, {"do": "search", "queries": "short", "numbers": [...],
"setting": {...}, "batch": 1}. Answers each with one.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

TOP_K = 100


class Engine(Protocol):
    """What is measured."""

    def build(self, passages: list[torch.Tensor], folder: Path, samples: Sequence[torch.Tensor]) -> None:
        """Makes the index; the samples are queries that will not be asked."""

    def open(self, folder: Path) -> None:
        """Opens it."""

    def search(self, queries: Sequence[torch.Tensor], setting: dict[str, Any]) -> list[list[int]]:
        """The positions of the best passages of each query."""


class Ours:
    """The project's indexes: compressed with 8 or 4 bits, or exact, on disk or in the memory of a device."""

    def __init__(self, n_bits: int, device: str = "cpu") -> None:
        if n_bits:
            import retriever.index.compressed  # noqa: F401 (so that opening is timed without it)
        self.n_bits = n_bits
        self.device = torch.device(device)
        self.index: Any = None

    def build(self, passages: list[torch.Tensor], folder: Path, samples: Sequence[torch.Tensor]) -> None:
        """`n_bits` 0 leaves the index exact; samples of queries tell the compressed one what will be asked."""
        from retriever.index.codec import CodecSettings
        from retriever.index.exact import ExactIndex
        from retriever.index.opening import compress

        index = ExactIndex.create(folder / "index", dim=passages[0].shape[1], fingerprint="benchmark")
        index.add([str(place) for place in range(len(passages))], passages)
        if self.n_bits:
            compress(index, CodecSettings(n_bits=self.n_bits), queries=samples)

    def open(self, folder: Path) -> None:
        """Opens the index; on a device, sends it there in bfloat16, or in 8 bits where that does not fit."""
        from retriever.index.opening import open_index, searched_on

        self.index = searched_on(open_index(folder / "index"), device=self.device, dtype=torch.bfloat16)

    def search(self, queries: Sequence[torch.Tensor], setting: dict[str, Any]) -> list[list[int]]:
        """Settings are those of `LateInteractionIndex.search`."""
        found = self.index.search_batch(queries, k=TOP_K, **setting)
        return [[int(item) for item, _ in hits] for hits in found]


class FastPlaid:
    """fast-plaid (LightOn), a Rust engine over libtorch, through its Python interface."""

    def __init__(self) -> None:
        self.index: Any = None

    def build(self, passages: list[torch.Tensor], folder: Path, samples: Sequence[torch.Tensor]) -> None:
        """4-bit residuals, its default."""
        self.open(folder)
        self.index.create(documents_embeddings=[rows.float() for rows in passages])

    def open(self, folder: Path) -> None:
        """Opens the index, or prepares to build it."""
        from fast_plaid import search  # type: ignore[import-not-found]

        self.index = search.FastPlaid(index=str(folder / "index"), device="cpu")

    def search(self, queries: Sequence[torch.Tensor], setting: dict[str, Any]) -> list[list[int]]:
        """Settings are those of `FastPlaid.search`."""
        found = self.index.search(
            queries_embeddings=torch.stack(list(queries)), top_k=TOP_K, show_progress=False, **setting
        )
        return [[int(place) for place, _ in hits] for hits in found]


class Plaid:
    """PLAID (colbert-ai), the engine that FLMR searches with, given embeddings instead of texts."""

    def __init__(self) -> None:
        self.scorer: Any = None

    def build(self, passages: list[torch.Tensor], folder: Path, samples: Sequence[torch.Tensor]) -> None:
        """8-bit residuals, as FLMR has it; 4 iterations of k-means instead of 20."""
        from colbert.data import Collection  # type: ignore[import-not-found]
        from colbert.indexing.collection_indexer import CollectionIndexer  # type: ignore[import-not-found]
        from colbert.indexing.index_saver import IndexSaver  # type: ignore[import-not-found]
        from colbert.infra import ColBERTConfig  # type: ignore[import-not-found]

        path = folder / "index"
        path.mkdir()
        config = ColBERTConfig(index_path=str(path), dim=passages[0].shape[1], nbits=8, kmeans_niters=4, rank=0)

        class Given:
            """Takes positions for texts."""

            def encode_passages(self, places: list[int]) -> tuple[torch.Tensor, list[int]]:
                few = [passages[place].float() for place in places]
                return torch.cat(few), [len(rows) for rows in few]

        indexer: Any = object.__new__(CollectionIndexer)  # its __init__ loads a checkpoint
        indexer.config, indexer.verbose, indexer.rank, indexer.nranks, indexer.use_gpu = config, 0, 0, 1, False
        indexer.collection, indexer.encoder = Collection(data=list(range(len(passages)))), Given()
        indexer.saver = IndexSaver(config)
        indexer.run([[]])

    def open(self, folder: Path) -> None:
        """Opens the index; compiles its extensions the first time, into its own environment.

        A run that was killed meanwhile leaves a lock for which torch would wait without end.
        """
        extensions = Path(sys.prefix) / "extensions"
        os.environ["TORCH_EXTENSIONS_DIR"] = str(extensions)
        for lock in extensions.glob("*/lock"):
            lock.unlink()
        from colbert.modeling.colbert import ColBERT  # type: ignore[import-not-found]
        from colbert.search.index_storage import IndexScorer  # type: ignore[import-not-found]

        ColBERT.try_load_torch_extensions(False)
        self.scorer = IndexScorer(str(folder / "index"), use_gpu=False)

    def search(self, queries: Sequence[torch.Tensor], setting: dict[str, Any]) -> list[list[int]]:
        """One query at a time: it has no batches. Settings are those of `ColBERTConfig`; the defaults those of
        `Searcher` for the best 100."""
        from colbert.infra import ColBERTConfig

        config = ColBERTConfig(**{"ncells": 2, "centroid_score_threshold": 0.45, "ndocs": 1024, **setting})
        return [self.scorer.rank(config, query[None])[0][:TOP_K] for query in queries]


ENGINES: dict[str, Callable[[], Engine]] = {
    "exact": lambda: Ours(0),
    "ours 8 bit": lambda: Ours(8),
    "ours 4 bit": lambda: Ours(4),
    "ours on cuda": lambda: Ours(0, "cuda:0"),
    "fast-plaid": FastPlaid,
    "plaid": Plaid,
}


def serve(engine: Engine, corpus: Path, folder: Path) -> None:
    """Answers requests until the input ends."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    # Libraries may print; the answers must stay alone on the output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    queries = {kind: torch.from_numpy(rows) for kind, rows in np.load(corpus.with_suffix(".queries.npz")).items()}
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        answer: dict[str, Any] = {}
        if request["do"] == "build":
            arrays = np.load(corpus)
            rows = torch.from_numpy(arrays["embeddings"])
            passages = [part.clone() for part in torch.split(rows, arrays["lengths"].tolist())]
            samples = [query for kind, rows in queries.items() if kind.startswith("sample") for query in rows]
            start = time.perf_counter()
            engine.build(passages, folder, samples)
        elif request["do"] == "open":
            engine.open(folder)
        else:
            answer = _searched(engine, [queries[request["queries"]][number] for number in request["numbers"]], request)
        answer["seconds"] = time.perf_counter() - start
        answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer["own_mb"] = own_megabytes()
        answer["device_mb"] = torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_initialized() else 0.0  # type: ignore[no-untyped-call]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def own_megabytes() -> float:
    """Memory of this process without files that are mapped into it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _searched(engine: Engine, queries: list[torch.Tensor], request: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds a query, also of processor time, and what was found; `batch` queries go in at once."""
    size, setting = request["batch"], request["setting"]
    milliseconds, busy, found = [], [], []
    for first in range(0, len(queries), size):
        part = queries[first : first + size]
        start, processor = time.perf_counter(), time.process_time()
        found += engine.search(part, setting)
        milliseconds.append((time.perf_counter() - start) * 1e3 / len(part))
        busy.append((time.process_time() - processor) * 1e3 / len(part))
    return {"ms": milliseconds, "processor_ms": busy, "found": found}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    serve(ENGINES[sys.argv[1]](), Path(sys.argv[2]), Path(sys.argv[3]))
