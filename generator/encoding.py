"""Question and passage -> tensors for an extractive reader, with where in the passage each token stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generator.fitting import shorten

__all__ = ["EncodedPairs", "encode_pairs"]


@dataclass(frozen=True, kw_only=True)
class EncodedPairs:
    """A batch of windows, each a question with (a part of) a passage.

    Attributes:
        inputs: what the model takes: `input_ids`, `attention_mask` and, if its tokenizer makes them,
            `token_type_ids`; each (n_windows, n_tokens).
        starts: (n_windows, n_tokens) bool, True at passage tokens that begin a word.
        ends: (n_windows, n_tokens) bool, True at passage tokens that end a word.
        offsets: (n_windows, n_tokens, 2) character offsets in the passage (meaningless outside of it).
        owner: for each window, the number of the pair it was cut from.
    """

    inputs: dict[str, Tensor]
    starts: Tensor
    ends: Tensor
    offsets: np.ndarray[Any, np.dtype[np.int64]]
    owner: tuple[int, ...]


def encode_pairs(
    tokenizer: Any,  # noqa: ANN401
    questions: Sequence[str],
    contexts: Sequence[str],
    *,
    max_tokens: int,
    max_question_tokens: int = 64,
    stride: int = 64,
) -> EncodedPairs:
    """Encode "[CLS] question [SEP] passage [SEP]" pairs; a long passage becomes several overlapping windows.

    Args:
        tokenizer: a fast tokenizer of transformers.
        questions: one a pair; longer ones are cut to `max_question_tokens`.
        contexts: one a pair.
        max_tokens: the most tokens of a window.
        max_question_tokens: the most tokens of a question.
        stride: tokens that neighbouring windows share.
    """
    shortened = {question: shorten(tokenizer, question, max_question_tokens) for question in set(questions)}
    encoded = tokenizer(
        [shortened[question] for question in questions],
        list(contexts),
        truncation="only_second",
        max_length=max_tokens,
        stride=stride,
        padding="longest",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    shape = np.asarray(encoded["input_ids"]).shape
    starts = np.zeros(shape, dtype=bool)
    ends = np.zeros(shape, dtype=bool)
    for row, encoding in enumerate(encoded.encodings):
        inside = np.fromiter((part == 1 for part in encoding.sequence_ids), dtype=bool, count=shape[1])
        words = np.fromiter((-1 if w is None else w for w in encoding.word_ids), dtype=np.int64, count=shape[1])
        words = np.where(inside, words, -1)
        starts[row] = inside & (words != np.concatenate([[-2], words[:-1]]))
        ends[row] = inside & (words != np.concatenate([words[1:], [-2]]))
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoded]
    return EncodedPairs(
        inputs={name: torch.tensor(encoded[name]) for name in names},
        starts=torch.from_numpy(starts),
        ends=torch.from_numpy(ends),
        offsets=np.asarray(encoded["offset_mapping"], dtype=np.int64),
        owner=tuple(encoded["overflow_to_sample_mapping"]),
    )
