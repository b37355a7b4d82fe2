"""Passages encoded a second: `Encoder` beside the published way, with random weights of BERT-base size, in one run.

    python -m benchmarks.encode [--passages P.jsonl] [--n 32] [--threads 2] [--rounds 3]

The published way pads every passage to 512 tokens, computes in float32 and makes masks as Python lists, token by token.
The variants take turns, so that a busy machine slows all of them; medians are compared, and the rows must agree. Prints
one table; `--output` gets it as JSON and as a plot. Processor time, which other work hardly changes, stands beside.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.corpus import read_jsonl
from benchmarks.machine import BUSY, machine
from benchmarks.plot import bars
from retriever.checkpoints import load_processor
from retriever.configuration import FLMRConfig, FLMRTextConfig
from retriever.encoder import Encoder
from retriever.int8 import use_int8
from retriever.modeling import FLMRModelForRetrieval
from retriever.precision import has_native_bfloat16
from retriever.processing import FLMRProcessor

__all__ = ["main", "published_way"]

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINT = ROOT / "retriever" / "checkpoints" / "preflmr-mini"  # its tokenizer is that of BERT-base
PUBLISHED = "published way, float32"
LENGTH = 512
BATCH = 16

Encode = Callable[[list[str]], list[Tensor]]


def published_way(model: FLMRModelForRetrieval, processor: FLMRProcessor, texts: list[str]) -> list[Tensor]:
    """Rows of each text, padded to `LENGTH` tokens, masked by lists."""
    tokenizer = processor.context_tokenizer
    skipped = {0, *model.punctuation_ids.tolist()}
    parts: Any = model
    rows: list[Tensor] = []
    for start in range(0, len(texts), BATCH):
        batch = [processor.passage_text(text) for text in texts[start : start + BATCH]]
        inputs = tokenizer(batch, padding="max_length")
        width = LENGTH - inputs["input_ids"].shape[1]
        ids, attended = (functional.pad(inputs[name], (0, width)) for name in ("input_ids", "attention_mask"))
        keep = [[token not in skipped for token in line] for line in ids.tolist()]
        hidden = parts.query_text_encoder.bert_model(input_ids=ids, attention_mask=attended).last_hidden_state
        output = functional.normalize(parts.query_text_encoder_linear(hidden), dim=-1)
        rows += [item[torch.tensor(mask)] for item, mask in zip(output, keep, strict=True)]
    return rows


def variants(model: FLMRModelForRetrieval, processor: FLMRProcessor) -> dict[str, Encode]:
    """Name -> what encodes texts."""
    half, integer = copy.deepcopy(model).to(torch.bfloat16), copy.deepcopy(model)
    use_int8(integer)

    def ours(weights: FLMRModelForRetrieval) -> Encode:
        return Encoder(weights, processor, identify=lambda: "random").encode_passages

    return {
        PUBLISHED: lambda texts: published_way(model, processor, texts),
        "Encoder, float32": ours(model),
        **({"Encoder, bfloat16": ours(half)} if has_native_bfloat16() else {}),
        "Encoder, int8": ours(integer),
    }


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; exit status 1 if float32 rows differ from those of the published way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode", description=__doc__.splitlines()[0])
    flags = ROOT / "knowledge_bases" / "world_flags" / "passages.jsonl"
    parser.add_argument("--passages", type=Path, default=flags, help="JSON Lines with a text a row")
    parser.add_argument("--n", type=int, default=32, help="passages, drawn at random")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "benchmarks" / "encode")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    before = os.getloadavg()[0]
    torch.manual_seed(0)
    every = read_jsonl(options.passages)
    texts = [every[place]["text"] for place in torch.randperm(len(every))[: options.n].tolist()]
    processor = load_processor(CHECKPOINT)
    config = FLMRConfig(use_vision_encoder=False, text_config=FLMRTextConfig(num_hidden_layers=options.layers))
    model = FLMRModelForRetrieval(config, token_ids=processor.token_ids()).eval()
    with torch.inference_mode():
        encoders = variants(model, processor)
        rows = {name: encode(texts) for name, encode in encoders.items()}  # also warms up
        measured = measure(encoders, texts, options.rounds)
    base = torch.cat(rows[PUBLISHED])
    for name, numbers in measured.items():
        numbers["passages_a_second"] = len(texts) / numbers["seconds"]
        numbers["lowest_cosine"] = float((torch.cat(rows[name]) * base).sum(dim=1).min())
    report = {
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "machine": machine(),
        "threads": options.threads,
        "load": [before, os.getloadavg()[0]],
        "busy": before > BUSY,
        "passages": len(texts),
        "rows_a_passage": len(base) / len(texts),
        "variants": measured,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "encode.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    rates = {name: numbers["passages_a_second"] for name, numbers in measured.items()}
    how = f"{options.threads} threads" + (", busy machine" if report["busy"] else "")
    (options.output / "encode.svg").write_text(
        bars(rates, title=f"Passages encoded a second, BERT-base, {how}"), encoding="utf-8"
    )
    print(_table(report))
    return 0 if measured["Encoder, float32"]["lowest_cosine"] > 0.9999 else 1


def measure(encoders: dict[str, Encode], texts: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds and processor seconds of each variant for all texts; they take turns."""
    wall: dict[str, list[float]] = {name: [] for name in encoders}
    processor: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, encode in encoders.items():
            start, busy = time.perf_counter(), time.process_time()
            encode(texts)
            wall[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - busy)
    return {
        name: {"seconds": statistics.median(wall[name]), "processor_seconds": statistics.median(processor[name])}
        for name in encoders
    }


def _table(report: dict[str, Any]) -> str:
    about = report["machine"]
    lines = [
        f"{report['date']}  {about['processor']}, {about['cores']} cores, {report['threads']} threads, "
        f"torch {about['torch']}",
        f"{report['passages']} passages of {report['rows_a_passage']:.0f} rows; load {report['load'][0]:.1f} before, "
        f"{report['load'][1]:.1f} after" + (" (BUSY: compare ratios, not times)" if report["busy"] else ""),
        "",
        "| variant | passages a second | times the published way | the same in processor time | lowest cosine |",
        "|---|---|---|---|---|",
    ]
    base = report["variants"][PUBLISHED]
    for name, numbers in report["variants"].items():
        lines.append(
            f"| {name} | {numbers['passages_a_second']:.2f} | {base['seconds'] / numbers['seconds']:.1f} | "
            f"{base['processor_seconds'] / numbers['processor_seconds']:.1f} | {numbers['lowest_cosine']:.5f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
