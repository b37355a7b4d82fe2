"""Memory of `kb build --from m2kr:EVQA` over the number of passages: it must not grow with them.

    python -m benchmarks.kb_memory --output runs/kb_memory
    python -m benchmarks.kb_memory --sizes 1000 10000 --preset small.toml --output runs/kb_memory

Made-up passages in M2KR's columns are written to parquet files, and the command runs as its own process, once a size.
Two numbers are read from the system: the largest resident memory when all passages have been taken in, and when the
index is finished. Pages of memory-mapped files count as resident while they are in use, though the system may take them
back.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.plot import scatter

SIZES = (12_500, 50_000, 200_000)
ROWS_A_FILE = 50_000
_SYLLABLES = ("ka", "lo", "mi", "ne", "pu", "ra", "si", "to", "ve", "zu")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table and writes `kb_memory.json` and `kb_memory.svg`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="passages")
    parser.add_argument("--words", type=int, default=100, help="words a passage (default: %(default)s)")
    parser.add_argument("--preset", default="embedded", help="whose retriever encodes them")
    parser.add_argument("--no-index", action="store_true", help="stop when the passages have been taken in")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    args = parser.parse_args(arguments)
    args.output.mkdir(parents=True, exist_ok=True)
    results = []
    for size in args.sizes:
        with TemporaryDirectory() as scratch:
            write_passages(Path(scratch) / "EVQA_passages", size, words=args.words)
            results.append(measure(Path(scratch), size, args.preset, index=not args.no_index))
        print(json.dumps(results[-1]), flush=True)
    (args.output / "kb_memory.json").write_text(json.dumps({"words": args.words, "sizes": results}, indent=1) + "\n")
    (args.output / "kb_memory.svg").write_text(drawn(results), encoding="utf-8")


def write_passages(folder: Path, size: int, *, words: int) -> None:
    """Parquet files in the columns of `EVQA_passages`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    texts = _texts(size, words)
    n_files = -(-size // ROWS_A_FILE)
    for number in range(n_files):
        ids = range(number * ROWS_A_FILE, min(size, (number + 1) * ROWS_A_FILE))
        columns = {
            "passage_id": [f"EVQA_{one}" for one in ids],
            "passage_content": [next(texts) for _ in ids],
            "language": ["en"] * len(ids),
        }
        pq.write_table(pa.table(columns), folder / f"test_passages-{number:05}-of-{n_files:05}.parquet")


def _texts(size: int, words: int) -> Iterator[str]:
    drawn_at = random.Random(0)
    vocabulary = ["".join(drawn_at.choices(_SYLLABLES, k=3)) for _ in range(5_000)]
    return (" ".join(drawn_at.choices(vocabulary, k=words)) + "." for _ in range(size))


def measure(folder: Path, size: int, preset: str, *, index: bool = True) -> dict[str, Any]:
    """Runs the command on the folder; without `index`, only until the passages have been taken in.

    Raises:
        RuntimeError: it fails.
    """
    command = [sys.executable, "-u", "-m", "rag_app", "kb", "build", "--from", "m2kr:EVQA", "--preset", preset]
    command += ["--folder", str(folder), "--var", str(folder / "var")]
    began = time.monotonic()
    taken_in = finished = 0.0
    with (
        (folder / "errors").open("w+", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if ": took in" in line:
                taken_in = _peak_mb(process.pid)
                if not index:
                    process.terminate()
                    break
            elif "are indexed for" in line:
                finished = _peak_mb(process.pid)
    if not (finished if index else taken_in):
        said = (folder / "errors").read_text(encoding="utf-8")[-300:]
        raise RuntimeError(f"{' '.join(command)} failed with status {process.returncode}: {said}")
    files = sum(path.stat().st_size for path in (folder / "var").rglob("*") if path.is_file())
    return {
        "passages": size,
        "taken_in_mb": round(taken_in),
        **({"finished_mb": round(finished)} if index else {}),
        "on_disk_mb": round(files / 2**20),
        "seconds": round(time.monotonic() - began),
    }


def _peak_mb(pid: int) -> float:
    """The largest resident memory of a process so far, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def drawn(results: Sequence[dict[str, Any]]) -> str:
    """The plot, as SVG."""
    names = {"taken_in_mb": "passages taken in", "finished_mb": "index finished", "on_disk_mb": "(files on disk)"}
    series = {
        name: [(result["passages"] / 1000, max(1.0, float(result[key]))) for result in results]
        for key, name in names.items()
        if key in results[0]
    }
    title = "Largest resident memory of kb build, MiB"
    return scatter(series, title=title, x="thousand passages", y="MiB")


if __name__ == "__main__":
    main()
