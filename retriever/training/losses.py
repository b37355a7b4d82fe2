"""Contrastive losses over late-interaction scores.

As the published models were trained, a batch holds `1 + n_negatives` passages a query, ordered "positive, its
negatives, next positive, ..."; the stages of PreFLMR-mini say which passage is right, and which count.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from retriever.late_interaction import maxsim_matrix

__all__ = ["contrast", "hard_negative_loss", "in_batch_loss", "own_scores", "paired_scores", "unevenness"]


def paired_scores(queries: Tensor, passages: Tensor, passage_mask: Tensor) -> Tensor:
    """Scores of each query with its own passages only.

    Args:
        queries: (batch, n_query_tokens, dim).
        passages: (batch * (1 + n_negatives), n_passage_tokens, dim).
        passage_mask: (batch * (1 + n_negatives), n_passage_tokens) bool.
    Returns:
        (batch, 1 + n_negatives) float32.
    Raises:
        ValueError: the passages are no multiple of the queries, or one has no real token.
    """
    n_own = _passages_a_query(queries.shape[0], passages.shape[0])
    rows = [
        maxsim_matrix(query[None], own, mask)
        for query, own, mask in zip(
            queries, torch.split(passages, n_own), torch.split(passage_mask, n_own), strict=True
        )
    ]
    return torch.cat(rows)


def own_scores(scores: Tensor) -> Tensor:
    """The entries of a (batch, batch * (1 + n_negatives)) score matrix that pair queries with their own passages."""
    batch = scores.shape[0]
    return scores.view(batch, batch, -1)[torch.arange(batch), torch.arange(batch)]


def hard_negative_loss(scores: Tensor) -> Tensor:
    """Cross entropy of the positive against its own negatives.

    Args:
        scores: (batch, 1 + n_negatives), the positive first.
    Returns:
        scalar.
    """
    return functional.cross_entropy(scores, scores.new_zeros(scores.shape[0], dtype=torch.long))


def in_batch_loss(scores: Tensor) -> Tensor:
    """Cross entropy of the positive against every passage of the batch.

    Args:
        scores: (batch, batch * (1 + n_negatives)), as `maxsim_matrix` gives them.
    Returns:
        scalar.
    """
    n_own = _passages_a_query(*scores.shape)
    return functional.cross_entropy(scores, torch.arange(scores.shape[0], device=scores.device) * n_own)


def contrast(scores: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy of the right passage against those that count.

    Args:
        scores: (n_queries, n_passages).
        target: (n_queries,) the right passage.
        counted: (n_queries, n_passages) bool, False at passages that must not push.
    Returns:
        scalar.
    """
    return functional.cross_entropy(scores.masked_fill(~counted, -torch.inf), target)


def unevenness(scores: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy of an even distribution over the passages that count, less its own entropy: 0 if scores are equal.

    Args:
        scores: (n_queries, n_passages).
        counted: (n_queries, n_passages) bool, True at one passage or more of each query.
    Returns:
        scalar.
    """
    total = torch.logsumexp(scores.masked_fill(~counted, -torch.inf), dim=1)
    mean = scores.masked_fill(~counted, 0.0).sum(dim=1) / counted.sum(dim=1)
    return (total - mean - counted.sum(dim=1).log()).mean()


def _passages_a_query(n_queries: int, n_passages: int) -> int:
    if n_queries < 1 or n_passages % n_queries or n_passages < n_queries:
        raise ValueError(f"{n_passages} passages cannot be shared out evenly among {n_queries} queries")
    return n_passages // n_queries
