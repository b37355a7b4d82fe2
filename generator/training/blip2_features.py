"""Examples -> prompts with their answers, to teach a BLIP-2 to copy."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from generator.fitting import shorten
from generator.passage_spans import PassageSpans
from generator.prompts import knowledge_prompt
from generator.training.examples import ReadingExample

__all__ = ["CopyingBatch", "copying_batch", "lengthening"]

_BREAK = re.compile(r"(?<=[.!?;]) +")


@dataclass(frozen=True, kw_only=True)
class CopyingBatch:
    """Prompts followed by their answers, padded on the right.

    Attributes:
        input_ids, attention_mask: (batch, n_tokens).
        rows, columns: (n_steps,) the positions that predict a token of an answer.
        targets: (n_steps,) that token.
        allowed: (n_steps, vocabulary) bool, the tokens with which some piece of the passage, or no answer, goes on.
        entities: of each prompt, the country whose flag may be shown; empty for none.
    """

    input_ids: Tensor
    attention_mask: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    allowed: Tensor
    entities: tuple[str, ...]


def copying_batch(
    tokenizer: Any,  # noqa: ANN401
    examples: Sequence[ReadingExample],
    *,
    max_tokens: int,
    width: int,
    no_answer: int,
) -> CopyingBatch:
    """Encode examples; one whose passage is cut before its answer, or whose answer is too long, is unanswerable.

    Args:
        tokenizer: of `blip2_model.new_tokenizer`.
        examples: what to encode, in order.
        max_tokens: the most tokens of a passage; its end is cut.
        width: the most tokens of an answer, without the one that ends it.
        no_answer: the token that says that there is none.
    """
    passages = [shorten(tokenizer, example.context, max_tokens) for example in examples]
    prompts = [knowledge_prompt(e.question, passage) for e, passage in zip(examples, passages, strict=True)]
    encoded = tokenizer(prompts, verbose=False)["input_ids"]
    sequences: list[list[int]] = []
    rows, columns, targets, choices = [], [], [], []
    spans_of = PassageSpans.of(tokenizer, passages, width=width)
    for row, (prompt, spans, example) in enumerate(zip(encoded, spans_of, examples, strict=True)):
        found = (spans.tokens(*span) for span in example.spans)
        answer = next((tokens for tokens in found if tokens is not None), None)
        steps = [no_answer] if answer is None else [*answer, spans.end]
        for number, target in enumerate(steps):
            rows.append(row)
            columns.append(len(prompt) - 1 + number)
            targets.append(target)
            choices.append([*spans.allowed(steps[:number]), *([] if number else [no_answer])])
        sequences.append([*prompt, *steps[:-1]])
    longest = max(map(len, sequences))
    allowed = torch.zeros(len(targets), len(tokenizer), dtype=torch.bool)
    for place, tokens in enumerate(choices):
        allowed[place, tokens] = True
    return CopyingBatch(
        input_ids=torch.tensor([[*s, *[tokenizer.pad_token_id] * (longest - len(s))] for s in sequences]),
        attention_mask=torch.tensor([[*[1] * len(s), *[0] * (longest - len(s))] for s in sequences]),
        rows=torch.tensor(rows),
        columns=torch.tensor(columns),
        targets=torch.tensor(targets),
        allowed=allowed,
        entities=tuple(example.entity for example in examples),
    )


def _shortened(example: ReadingExample, rng: random.Random) -> ReadingExample:
    """The sentence with the answer and one or two others beside it; of a passage without it, any two or three."""
    starts = [0, *(match.end() for match in _BREAK.finditer(example.context))]
    ends = [*starts[1:], len(example.context)]
    asked = rng.choice(example.spans) if example.spans else None
    place = rng.randrange(len(starts))
    if asked is not None:
        place = next(number for number, end in enumerate(ends) if asked[0] < end)
    first, last = max(0, place - rng.choice((0, 0, 1, 1, 2))), min(len(starts) - 1, place + rng.choice((0, 1, 1, 2)))
    start, end = starts[first], ends[last]
    context = example.context[start:end].rstrip()
    spans = tuple((a - start, b - start) for a, b in example.spans if start <= a and b <= start + len(context))
    if asked is not None and not spans:  # a full stop within the answer
        return example
    return replace(example, context=context, spans=spans)


def lengthening(
    examples: Iterator[ReadingExample], rng: random.Random, *, done: int, short: int, share: float
) -> Iterator[ReadingExample]:
    """The examples with short passages: all of the first, later a share of them.

    Args:
        examples: endless.
        rng: what is drawn.
        done: how many were seen before, by an earlier run.
        short: how many are short at first.
        share: part of the later ones that are.
    """
    for number, example in enumerate(examples, start=done):
        yield _shortened(example, rng) if number < short or rng.random() < share else example
