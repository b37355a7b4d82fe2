"""Which token rows take part in late interaction, as tensor operations on token ids."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BERT_UNCASED", "TokenIds", "passage_mask", "query_mask"]


@dataclass(frozen=True, kw_only=True)
class TokenIds:
    """The few token ids that the masks depend on; a checkpoint's tokenizers say them.

    Attributes:
        instruction_end: id of the token that ends an instruction, or None where instructions are not masked.
        punctuation: ids that are masked in passages; empty where punctuation is not masked.
    """

    instruction_end: int | None
    punctuation: tuple[int, ...]


# "!" to "/", ":" to "@", "[" to "`" and "{" to "~" in the vocabulary of bert-base-uncased, which has them in the order
# of ASCII with the capital letters left out.
BERT_UNCASED = TokenIds(
    instruction_end=1024,
    punctuation=(*range(999, 1014), *range(1024, 1037), *range(1063, 1067)),
)


def query_mask(input_ids: Tensor, *, pad_id: int, skip_ids: Tensor, instruction_end: int | None) -> Tensor:
    """Rows of a query that count: the first two positions and what follows the instruction.

    `[MASK]` padding counts (it is the query augmentation of ColBERT). Only the first instruction end counts; a query
    without one, or with one that was cut off, is not masked. Padding and `skip_ids` never count.

    Args:
        input_ids: (batch, n_tokens) token ids.
        skip_ids: (n_skipped,) token ids.
    Returns:
        (batch, n_tokens) bool.
    """
    keep = (input_ids != pad_id) & ~torch.isin(input_ids, skip_ids)
    if instruction_end is None:
        return keep
    positions = torch.arange(input_ids.shape[1], device=input_ids.device)
    first_end = (input_ids == instruction_end).int().argmax(dim=1).clamp(min=1)
    return keep & ((positions > first_end[:, None]) | (positions < 2))


def passage_mask(input_ids: Tensor, *, pad_id: int, punctuation_ids: Tensor) -> Tensor:
    """Rows of a passage that count: all but padding and punctuation.

    Args:
        input_ids: (batch, n_tokens) token ids.
        punctuation_ids: (n_punctuation,) token ids.
    Returns:
        (batch, n_tokens) bool.
    """
    return (input_ids != pad_id) & ~torch.isin(input_ids, punctuation_ids)
