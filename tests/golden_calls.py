"""Which call of the model made a recorded tensor, and what our model gives for it.

A case names its tensors `<call>.<field>`; the name, the recorded description and the shapes say which inputs and parts
the call had. Where they leave several, all are tried and the closest is reported: values agree to 1e-5 only for the
right call.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from retriever.late_interaction import maxsim_matrix
from retriever.layers import VisionEncoder
from retriever.modeling import FLMRModelForRetrieval, Rows, compare
from retriever.parts import Parts

SIDES = {"query": "query", "doc": "context"}


@dataclass(frozen=True)
class Call:
    """Inputs (argument -> name of the recorded input) and parts of one call of `query` or `doc`."""

    kind: str
    inputs: tuple[tuple[str, str], ...]
    parts: Parts | tuple[Parts, ...] | None

    def __str__(self) -> str:
        parts = self.parts
        named = "default" if parts is None else parts.value if isinstance(parts, Parts) else "of each item"
        return f"{self.kind}({', '.join(name for _, name in self.inputs)}; parts {named})"


@dataclass
class Runner:
    """Runs calls of one model on the recorded inputs, each at most once."""

    model: FLMRModelForRetrieval
    inputs: Mapping[str, Tensor]
    case: Mapping[str, Any]
    _cache: dict[tuple[Call, int | None], Rows | None] = field(default_factory=dict)

    def rows(self, call: Call, batch: int | None = None) -> Rows | None:
        """What a call gives for the first `batch` items; None if the model refuses it."""
        key = (call, batch)
        if key not in self._cache:
            arguments = {name: self.inputs[stored][:batch] for name, stored in call.inputs}
            method = self.model.query if call.kind == "query" else self.model.doc
            try:
                self._cache[key] = method(**arguments, parts=call.parts)
            except ValueError:
                self._cache[key] = None
        return self._cache[key]

    def calls(self, kind: str) -> list[Call]:
        """Every call that the recorded inputs allow, text and picture together first."""
        side = SIDES[kind]
        texts: list[tuple[tuple[str, str], ...]] = [()]
        if f"{side}_input_ids" in self.inputs:
            texts.insert(0, (("input_ids", f"{side}_input_ids"), ("attention_mask", f"{side}_attention_mask")))
        pictures: list[tuple[tuple[str, str], ...]] = []
        for argument in ("pixel_values", "image_features"):
            names = sorted(name for name in self.inputs if name.startswith(f"{side}_{argument}"))
            pictures += [((argument, name),) for name in names]
        pictures.append(())
        options: list[Parts | tuple[Parts, ...] | None] = [None, *Parts, *self._mixed(side)]
        return [
            Call(kind, (*text, *picture), parts)
            for text, picture, parts in itertools.product(texts, pictures, options)
            if text or picture
        ]

    def _mixed(self, side: str) -> list[tuple[Parts, ...]]:
        """Parts of each item, from every pair of recorded flag lists."""
        lists = list(dict.fromkeys(_flag_lists(self.case)))
        found = []
        for text, image in itertools.product(lists, lists):
            if len(text) == len(image) and all(a or b for a, b in zip(text, image, strict=True)):
                found.append(tuple(Parts.of(text=a, image=b) for a, b in zip(text, image, strict=True)))
        return found

    def mixed_from(self, kind: str, expected: Tensor) -> list[Call]:
        """Calls whose flag lists are read off the recorded rows: a part that is all zero did not count."""
        side = SIDES[kind]
        length = self.inputs[f"{side}_input_ids"].shape[1] if f"{side}_input_ids" in self.inputs else 0
        if not 0 < length < expected.shape[1]:
            return []
        prefix = expected.shape[1] - length
        alive = expected.abs().flatten(2).sum(dim=2) > 0 if expected.dim() > 2 else expected != 0
        text, image = (
            (alive[:, :length], alive[:, length:]) if kind == "query" else (alive[:, prefix:], alive[:, :prefix])
        )
        flags = list(zip(text.any(dim=1).tolist(), image.any(dim=1).tolist(), strict=True))
        if all(a and b for a, b in flags) or not all(a or b for a, b in flags):
            return []
        parts = tuple(Parts.of(text=a, image=b) for a, b in flags)
        return [
            Call(call.kind, call.inputs, parts)
            for call in self.calls(kind)
            if call.parts is None and len(call.inputs) > 2
        ]


def rows_field(rows: Rows, name: str) -> Tensor | None:
    """The recorded field of the rows, in the recorded layout."""
    fields = {
        "late_interaction_output": rows.late_interaction_output,
        "pooler_output": rows.pooler_output,
        "context_mask": rows.mask[..., None],
        "query_mask": rows.mask[..., None],
        "mask": rows.mask[..., None],
    }
    return fields.get(name)


def encoder_values(runner: Runner, name: str, expected: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Candidates for a tensor `query....<field>` or `doc....<field>`."""
    kind, wanted = name.split(".")[0], name.split(".")[-1]
    extra = runner.mixed_from(kind, expected) if wanted == "late_interaction_output" else []
    for call in [*runner.calls(kind), *extra]:
        rows = runner.rows(call)
        value = None if rows is None else rows_field(rows, wanted)
        if value is None:
            continue
        if value.shape != expected.shape and value.squeeze(-1).shape == expected.shape:
            value = value.squeeze(-1)
        if value.shape == expected.shape:
            yield str(call), value


def forward_values(
    runner: Runner, name: str, expected: Tensor, shapes: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, Tensor]]:
    """Candidates for a tensor `forward....<field>`: scores or a loss of some query call and some passage call."""
    wanted = name.split(".")[-1]
    scores_shape = shapes.get(name.rsplit(".", 1)[0] + ".scores")
    for query_call, doc_call in itertools.product(runner.calls("query"), runner.calls("doc")):
        batch, own = _batch_sizes(runner, name, scores_shape)
        if batch is None:
            continue
        query, doc = runner.rows(query_call, batch), runner.rows(doc_call, None if own is None else batch * own)
        if query is None or doc is None:
            continue
        for in_batch in (False,) if "noib" in name else (True, False):
            try:
                output = compare(query, doc, use_in_batch_negatives=in_batch)
            except ValueError:  # not a batch that can be scored
                continue
            value = getattr(output, wanted, None)
            if wanted == "scores" and in_batch and expected.shape == (query.mask.shape[0], doc.mask.shape[0]):
                value = maxsim_matrix(query.late_interaction_output, doc.late_interaction_output, doc.mask)
            if isinstance(value, Tensor) and value.numel() == expected.numel():
                note = f"forward of {query_call} and {doc_call}, in-batch negatives {in_batch}"
                yield note, value.reshape(expected.shape)


def _batch_sizes(runner: Runner, name: str, scores_shape: Sequence[int] | None) -> tuple[int | None, int | None]:
    """How many queries, and how many passages of each, a forward call had."""
    negatives = re.search(r"neg(\d+)", name)
    if scores_shape is not None:
        return int(scores_shape[0]), int(scores_shape[1])
    queries = next((value.shape[0] for key, value in runner.inputs.items() if key.startswith("query_")), None)
    return queries, None if negatives is None else int(negatives.group(1)) + 1


def intermediate_values(runner: Runner, name: str) -> Iterator[tuple[str, Tensor]]:
    """Candidates for a tensor `intermediate.<what>`, caught inside the model or from its plain paths."""
    model, what = runner.model, name.split(".")[-1]
    caught: dict[str, Tensor] = {}
    watched = {
        "query_text_hidden": "query_text_encoder",
        "context_text_hidden": "context_text_encoder",
        "mlp_output": "query_vision_projection",
        "mapping_network_output": "transformer_mapping_network",
    }
    if what in watched:
        kind = "doc" if what.startswith("context") else "query"
        part = getattr(model, watched[what], None) or getattr(model, "query_text_encoder", None)
        if part is None:
            return

        def keep(_module: torch.nn.Module, _inputs: object, output: Any) -> None:  # noqa: ANN401
            caught["value"] = getattr(output, "last_hidden_state", output)

        handle = part.register_forward_hook(keep)
        for call in runner.calls(kind):
            caught.clear()
            Runner(model, runner.inputs, runner.case).rows(call)
            if "value" in caught:
                value = caught["value"]
                yield str(call), value.flatten(1) if what == "mlp_output" else value
        handle.remove()
    elif "vision" in what and what.endswith("hidden"):
        side = "context" if what.startswith("context") else "query"
        encoder = getattr(model, f"{side}_vision_encoder", None) or getattr(model, "query_vision_encoder", None)
        for stored in (key for key in runner.inputs if key.startswith(f"{side}_pixel_values")):
            if isinstance(encoder, VisionEncoder):
                pixels = runner.inputs[stored]
                penultimate, last = encoder.hidden_states(pixels.flatten(0, 1) if pixels.dim() == 5 else pixels)
                yield f"vision encoder on {stored}", penultimate if "penultimate" in what else last


def _flag_lists(value: Any) -> Iterator[tuple[bool, ...]]:  # noqa: ANN401 (JSON)
    """Every list of booleans anywhere in a case, written as JSON or inside a description."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _flag_lists(item)
    elif isinstance(value, list):
        if value and all(isinstance(item, bool) for item in value):
            yield tuple(value)
        for item in value:
            if isinstance(item, (list, Mapping)):
                yield from _flag_lists(item)
    elif isinstance(value, str):
        for found in re.findall(r"\[((?:(?:True|False|true|false)[,\s]*)+)\]", value):
            yield tuple(word.lower() == "true" for word in re.findall(r"\w+", found))
