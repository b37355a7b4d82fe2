"""Runs a golden case folder: `python -m tests.golden CASE_FOLDER`.

A case folder holds case.json, which lists tensors and says what made them, beside a checkpoint and safetensors files of
inputs and expected outputs (or, for tokenizers, the recorded strings themselves; or, for the engine, documents and
exact scores). Every tensor is compared under eager
and sdpa attention; the largest difference of each is printed. Exit status 1: something is over tolerance or was not
compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from retriever.checkpoints import load_model, load_processor
from retriever.layers import Attention
from retriever.modeling import FLMRModelForRetrieval
from retriever.processing import FLMRProcessor
from tests import golden_index, golden_tokenizers
from tests.golden_calls import Runner, encoder_values, forward_values, intermediate_values
from tests.golden_gradients import compare_gradients

ATTENTIONS: tuple[Attention, ...] = ("eager", "sdpa")
EMBEDDING_TOLERANCE = 1e-5
SCORE_TOLERANCE = 1e-4  # scores and losses
INTERMEDIATE_TOLERANCE = 1e-4  # hidden states are not normalised


@dataclass(frozen=True)
class Result:
    """One comparison. `difference` is None where nothing could be compared."""

    name: str
    difference: float | None
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was compared and is within tolerance."""
        return self.difference is not None and self.difference <= self.tolerance


def run_case(folder: Path) -> Iterator[Result]:
    """Compares everything that a case folder records."""
    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    if "tokenizers" in case:
        for name, equal in golden_tokenizers.compare(folder, case):
            yield Result(name, 0.0 if equal else float("inf"), 0.0)
    if "documents" in case:
        for name, off in golden_index.compare(folder, case):
            yield Result(name, off, SCORE_TOLERANCE if name == "exact_maxsim" else EMBEDDING_TOLERANCE)
    if "tensors" not in case:
        return
    checkpoint = folder if (folder / "config.json").is_file() else folder / str(case.get("checkpoint", "."))
    tensors: dict[str, Tensor] = {}
    for file in sorted({entry["file"] for entry in case["tensors"].values()}):
        tensors.update(load_file(folder / file))
    processor = load_processor(checkpoint)
    inputs = {name: tensor for name, tensor in tensors.items() if _is_input(name, case)}
    yield from _compare_inputs(case, processor, inputs)
    for attention in ATTENTIONS:
        model = load_model(checkpoint, processor, device=torch.device("cpu"), dtype=torch.float32, attention=attention)
        with torch.no_grad():
            yield from _compare_outputs(case, model, inputs, tensors, attention)
        if "gradients" in case:
            runner = Runner(model, inputs, case)
            for name, difference, tolerance in compare_gradients(folder, case, runner):
                yield Result(f"{name} [{attention}]", difference, tolerance)


def _is_input(name: str, case: Mapping[str, Any]) -> bool:
    return name in case["tensors"] and "." not in name


def _compare_inputs(
    case: Mapping[str, Any], processor: FLMRProcessor, inputs: Mapping[str, Tensor]
) -> Iterator[Result]:
    """Token ids and masks against our tokenizers, where the texts are recorded; other inputs are only used."""
    for side, tokenizer in (("query", processor.query_tokenizer), ("context", processor.context_tokenizer)):
        texts, ids = case.get(f"{side}_texts"), inputs.get(f"{side}_input_ids")
        if texts is None or ids is None:
            continue
        encoded = tokenizer(texts)
        if encoded["input_ids"].shape != ids.shape:
            encoded = tokenizer(texts, max_length=ids.shape[1])
        for name in ("input_ids", "attention_mask"):
            difference = _difference(encoded[name], inputs[f"{side}_{name}"])
            yield Result(f"{side}_{name}", difference, 0.0, "against the tokenizer")


def _compare_outputs(
    case: Mapping[str, Any],
    model: FLMRModelForRetrieval,
    inputs: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    attention: str,
) -> Iterator[Result]:
    runner = Runner(model, inputs, case)
    shapes = {name: list(entry["shape"]) for name, entry in case["tensors"].items()}
    for name in case["tensors"]:
        if name in inputs:
            continue
        expected = tensors.get(name)
        if expected is None:
            yield Result(f"{name} [{attention}]", None, 0.0, "listed in case.json and not in its file")
            continue
        kind = name.split(".")[0]
        tolerance = INTERMEDIATE_TOLERANCE if kind == "intermediate" else EMBEDDING_TOLERANCE
        if kind == "forward":
            tolerance = SCORE_TOLERANCE
            candidates = forward_values(runner, name, expected, shapes)
        elif kind == "intermediate":
            candidates = intermediate_values(runner, name)
        elif kind in ("query", "doc"):
            candidates = encoder_values(runner, name, expected)
        else:
            candidates = iter(())
        yield _closest(f"{name} [{attention}]", expected, candidates, tolerance)


def _closest(name: str, expected: Tensor, candidates: Iterator[tuple[str, Tensor]], tolerance: float) -> Result:
    """The closest candidate; the first one within tolerance ends the search."""
    best = Result(name, None, tolerance, "no call of the model gives such a tensor: not compared")
    for note, value in candidates:
        if value.shape != expected.shape:
            continue
        difference = _difference(value, expected)
        if best.difference is None or difference < best.difference:
            best = Result(name, difference, tolerance, note)
        if best.passed:
            break
    return best


def _difference(value: Tensor, expected: Tensor) -> float:
    if value.shape != expected.shape:
        return float("inf")
    if not value.numel():
        return 0.0
    return float((value.double() - expected.double()).abs().nan_to_num(nan=float("inf")).max())


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description="Runs a golden case folder.")
    parser.add_argument("folder", type=Path, help="folder with a case.json")
    folder = parser.parse_args(arguments).folder
    if not (folder / "case.json").is_file():
        print(f"{folder} holds no case.json", file=sys.stderr)
        return 2
    results = list(run_case(folder))
    for result in results:
        state = "ok  " if result.passed else "FAIL"
        difference = "not compared" if result.difference is None else f"{result.difference:.2e}"
        print(f"{state} {difference:>12} (at most {result.tolerance:.0e})  {result.name}  {result.note}".rstrip())
    failed = sum(not result.passed for result in results)
    print(f"{len(results) - failed} of {len(results)} comparisons passed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    raise SystemExit(main())
