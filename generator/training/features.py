"""Examples -> tensors to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generator.encoding import encode_pairs
from generator.training.examples import ReadingExample

__all__ = ["Batch", "make_batch"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of windows with their right spans.

    Attributes:
        inputs: the model's inputs, each (batch, n_tokens).
        starts: (batch, n_tokens) bool, where an answer may start.
        ends: (batch, n_tokens) bool, where an answer may end.
        gold: (batch, n_tokens, width) bool, True at [i, j] if the span of j + 1 tokens from i is right.
        answerable: (batch,) bool.
    """

    inputs: dict[str, Tensor]
    starts: Tensor
    ends: Tensor
    gold: Tensor
    answerable: Tensor


def make_batch(
    tokenizer: Any,  # noqa: ANN401
    examples: Sequence[ReadingExample],
    *,
    max_tokens: int,
    width: int,
) -> Batch:
    """Encode examples; one whose passage is cut before its answer, or whose answer is too long, is unanswerable.

    Args:
        tokenizer: a fast tokenizer.
        examples: what to encode, in order.
        max_tokens: the most tokens of a pair; the passage's end is cut.
        width: the most tokens of an answer.
    """
    pairs = encode_pairs(
        tokenizer, [e.question for e in examples], [e.context for e in examples], max_tokens=max_tokens, stride=0
    )
    first = [pairs.owner.index(number) for number in range(len(examples))]  # the first window of each pair
    starts, ends = pairs.starts[first], pairs.ends[first]
    gold = torch.zeros((*starts.shape, width), dtype=torch.bool)
    for row, (window, example) in enumerate(zip(first, examples, strict=True)):
        start_tokens, end_tokens = starts[row].nonzero()[:, 0].numpy(), ends[row].nonzero()[:, 0].numpy()
        opens, closes = pairs.offsets[window][start_tokens, 0], pairs.offsets[window][end_tokens, 1]
        for start, end in example.spans:
            at, to = np.searchsorted(opens, start), np.searchsorted(closes, end)
            if at == len(opens) or to == len(closes) or opens[at] != start or closes[to] != end:
                continue
            length = int(end_tokens[to] - start_tokens[at])
            if length < width:
                gold[row, start_tokens[at], length] = True
    return Batch(
        inputs={name: value[first] for name, value in pairs.inputs.items()},
        starts=starts,
        ends=ends,
        gold=gold,
        answerable=gold.flatten(1).any(dim=1),
    )
