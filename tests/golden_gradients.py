"""Golden gradients: every recorded norm and every recorded full gradient of one loss."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from retriever.modeling import FLMRModelForRetrieval, compare
from tests.golden_calls import Call, Runner

CLOSE = 1e-4  # the recorded loss
RELATIVE = 1e-4
SMALLEST = 1e-5  # gradients that are zero but for rounding

Comparison = tuple[str, float | None, float]


def compare_gradients(folder: Path, case: Mapping[str, Any], runner: Runner) -> Iterator[Comparison]:
    """Yields (name, difference or None if not compared, tolerance)."""
    recorded = case["gradients"]
    model = runner.model
    expected_loss = float(recorded["loss"]["float32"])
    loss = _backward(runner, expected_loss)
    if loss is None:
        yield "gradients", None, 0.0
        return
    yield "gradients.loss", abs(loss - expected_loss), CLOSE
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    norms = recorded.get("parameter_norms", {})
    yield from _compare_norms(model, gradients, norms)
    yield from _compare_groups(model, gradients, recorded.get("group_norms", {}))
    if "full_gradients_file" in recorded:
        full = load_file(folder / recorded["full_gradients_file"])
        for name, value in full.items():
            ours = gradients.get(_ours(model, name))
            if ours is None or ours.shape != value.shape:
                yield f"gradients.{name}", None, 0.0
            else:
                limit = max(SMALLEST, RELATIVE * float(value.abs().max()))
                yield f"gradients.{name}", float((ours - value).abs().max()), limit


def _backward(runner: Runner, expected: float) -> float | None:
    """Finds the batch whose loss was recorded and computes its gradients; returns our loss."""
    n_queries = runner.inputs["query_input_ids"].shape[0]
    n_passages = runner.inputs["context_input_ids"].shape[0]
    for query_call, doc_call in itertools.product(runner.calls("query"), runner.calls("doc")):
        for batch, own in itertools.product(range(n_queries, 0, -1), range(1, n_passages + 1)):
            if batch * own > n_passages:
                continue
            with torch.no_grad():
                value = _loss(
                    Runner(runner.model, runner.inputs, runner.case), query_call, doc_call, batch, own, expected
                )
            if value is None:
                continue
            runner.model.zero_grad()
            fresh = Runner(runner.model, runner.inputs, runner.case)
            loss = _loss(fresh, query_call, doc_call, batch, own, expected)
            assert loss is not None
            loss.backward()  # type: ignore[no-untyped-call]
            return float(loss.detach())
    return None


def _loss(runner: Runner, query_call: Call, doc_call: Call, batch: int, own: int, expected: float) -> Tensor | None:
    """The loss of one batch, if it is the recorded one."""
    query, doc = runner.rows(query_call, batch), runner.rows(doc_call, batch * own)
    if query is None or doc is None:
        return None
    for in_batch in (True, False):
        try:
            loss = compare(query, doc, use_in_batch_negatives=in_batch).loss
        except ValueError:
            continue
        if abs(float(loss.detach()) - expected) < CLOSE:
            return loss
    return None


def _compare_norms(
    model: FLMRModelForRetrieval, gradients: Mapping[str, Tensor | None], norms: Mapping[str, Any]
) -> Iterator[Comparison]:
    for name, norm in norms.items():
        ours = _ours(model, name)
        if ours not in gradients:
            yield f"gradients.norm.{name}", None, 0.0
            continue
        gradient = gradients[ours]
        size = 0.0 if gradient is None else float(gradient.norm())
        expected = 0.0 if norm is None else float(norm["float32"])
        yield f"gradients.norm.{name}", abs(size - expected), max(SMALLEST, RELATIVE * expected)


def _compare_groups(
    model: FLMRModelForRetrieval, gradients: Mapping[str, Tensor | None], groups: Mapping[str, Any]
) -> Iterator[Comparison]:
    for group, norm in groups.items():
        ours = _ours_prefix(model, group)
        members = [value for name, value in gradients.items() if name.startswith(f"{ours}.") and value is not None]
        if not members:
            yield f"gradients.group.{group}", None, 0.0
            continue
        size = float(torch.stack([value.norm() for value in members]).norm())
        expected = float(norm["float32"])
        yield f"gradients.group.{group}", abs(size - expected), max(SMALLEST, RELATIVE * expected)


def _ours(model: FLMRModelForRetrieval, name: str) -> str:
    """Our name of a recorded parameter: shared modules are recorded under either side."""
    names = {key for key, _ in model.named_parameters()}
    group, _, rest = name.partition(".")
    return name if name in names else f"{_ours_prefix(model, group)}.{rest}"


def _ours_prefix(model: FLMRModelForRetrieval, group: str) -> str:
    return group if hasattr(model, group) else group.replace("context_", "query_", 1)
