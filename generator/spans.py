"""Exact probabilities of answer spans.

A reader gives every token a start logit and an end logit. A span's unnormalised log-probability is the start logit of
its first token plus the end logit of its last; "the passage does not hold the answer" is the same sum at the [CLS]
token (SQuAD 2.0, arXiv:1806.03822). Unlike the usual pair of independent softmaxes, the normaliser here runs over the
spans that can be answers (inside the passage, whole words, at most `width` tokens) and no-answer, so that what comes
out is a distribution over answers. Training maximises the same quantity.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["span_log_probabilities", "span_nll"]


def span_log_probabilities(
    start_logits: Tensor, end_logits: Tensor, starts: Tensor, ends: Tensor, *, width: int
) -> tuple[Tensor, Tensor]:
    """Log-probability of every span and of no answer.

    Args:
        start_logits: (batch, n_tokens), position 0 is [CLS].
        end_logits: (batch, n_tokens).
        starts: (batch, n_tokens) bool, True where an answer may start; False at position 0.
        ends: (batch, n_tokens) bool, True where an answer may end.
        width: the most tokens an answer may have.

    Returns:
        (batch, n_tokens, width) float32: log p of the span of j + 1 tokens that starts at i, at [i, j]; -inf where
        that is no answer. (batch,) float32: log p of no answer. Together the probabilities of a row sum to 1.
    """
    start_logits, end_logits = start_logits.float(), end_logits.float()
    n_tokens = start_logits.shape[1]
    first = start_logits.masked_fill(~starts, -torch.inf)  # (batch, n_tokens)
    last = end_logits.masked_fill(~ends, -torch.inf)
    last = torch.nn.functional.pad(last, (0, width - 1), value=-torch.inf)
    windows = last.unfold(1, width, 1)[:, :n_tokens]  # (batch, n_tokens, width): end logit of token i + j
    spans = first[:, :, None] + windows
    no_answer = start_logits[:, 0] + end_logits[:, 0]  # (batch,)
    normaliser = torch.logsumexp(torch.cat([spans.flatten(1), no_answer[:, None]], dim=1), dim=1)
    return spans - normaliser[:, None, None], no_answer - normaliser


def span_nll(log_spans: Tensor, log_no_answer: Tensor, gold: Tensor, answerable: Tensor) -> Tensor:
    """Negative log-likelihood of the right answers, summed over the places where an answer stands.

    Args:
        log_spans: (batch, n_tokens, width) from `span_log_probabilities`.
        log_no_answer: (batch,).
        gold: (batch, n_tokens, width) bool, True at every right span.
        answerable: (batch,) bool; False where no-answer is right.

    Returns:
        (batch,) float32.
    """
    right = torch.logsumexp(log_spans.masked_fill(~gold, -torch.inf).flatten(1), dim=1)
    return -torch.where(answerable, right, log_no_answer)
