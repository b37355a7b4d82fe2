"""From which size on the compressed index is faster than the exact one.

    python -m benchmarks.index_sizes [--sizes 25000,100000,400000]

Made-up embeddings around random centres, 100 a passage; queries of 32, 81 and 320 rows (ColBERT's, PreFLMR-mini's and
PreFLMR's length), the best 5 of 1,000 candidates. The centroids are not fitted, which changes what is found but not
what it costs. Processor time of one thread is measured, the least of some repeats, since that hardly depends on what
else runs.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional

from benchmarks.index_kernels import least
from retriever.index.codec import CodecSettings
from retriever.index.compressed import LateInteractionIndex
from retriever.index.exact import ExactIndex

__all__ = ["main"]

DIM = 128
LENGTH = 100
QUERY_ROWS = (32, 81, 320)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_sizes")
    parser.add_argument("--sizes", default="25000,100000,400000", help="embeddings in the index")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    centres = functional.normalize(torch.randn(2000, DIM, generator=generator), dim=1)

    def rows(n: int) -> torch.Tensor:
        noise = torch.randn(n, DIM, generator=generator) * 0.5 / DIM**0.5
        return functional.normalize(centres[torch.randint(len(centres), (n,), generator=generator)] + noise, dim=1)

    print("| embeddings | query rows | exact, ms | compressed, ms | exact / compressed |\n|---|---|---|---|---|")
    for size in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            exact = ExactIndex.create(Path(folder) / "index", dim=DIM, fingerprint="made up")
            exact.add([str(place) for place in range(size // LENGTH)], list(torch.split(rows(size), LENGTH)))
            queries = [rows(n) for n in QUERY_ROWS]
            plain = [least(partial(exact.search, query, k=5), options.repeats) for query in queries]
            index = LateInteractionIndex.convert(exact, CodecSettings(iterations=0))
            search = partial(index.search, k=5, n_candidates=1000)
            fast = [least(partial(search, query), options.repeats) for query in queries]
        for query, slow, quick in zip(queries, plain, fast, strict=True):
            line = f"| {size:,} | {len(query)} | {slow / 1e6:.1f} | {quick / 1e6:.1f} | {slow / quick:.1f} |"
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
