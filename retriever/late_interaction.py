"""Late interaction (MaxSim): the definition that everything is tested against, and its fast, trainable batch form."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

__all__ = ["maxsim", "maxsim_matrix"]

CHUNK_ELEMENTS = 1 << 24  # cosines held at a time (64 MiB of float32)


def maxsim(query: Tensor, passages: Tensor, passage_mask: Tensor) -> Tensor:
    """Late-interaction score of one query against each passage (ColBERT, arXiv:2004.12832).

    Args:
        query: (n_query_tokens, dim), L2-normalised rows.
        passages: (n_passages, n_passage_tokens, dim), L2-normalised, padded.
        passage_mask: (n_passages, n_passage_tokens) bool, True at real tokens.
    Returns:
        (n_passages,) float32: sum over query tokens of the best cosine.
    Raises:
        ValueError: a passage has no real token.
    """
    _check_passages(passage_mask)
    cosine = passages.float() @ query.float().T  # (n_passages, n_passage_tokens, n_query_tokens)
    return cosine.masked_fill(~passage_mask[..., None], -torch.inf).amax(dim=1).sum(dim=-1)


def maxsim_matrix(
    queries: Tensor,
    passages: Tensor,
    passage_mask: Tensor,
    *,
    chunk_elements: int = CHUNK_ELEMENTS,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Score of every query of a batch against every passage, differentiable.

    Equal to `maxsim` query by query. Memory stays near `chunk_elements` floats (or one query's cosines with one
    passage, if that is more): only the position of each best cosine is kept for the backward pass. Query rows that
    are zero add nothing, so padded queries need no mask.

    Args:
        queries: (n_queries, n_query_tokens, dim), L2-normalised rows or zero rows.
        passages: (n_passages, n_passage_tokens, dim), L2-normalised, padded.
        passage_mask: (n_passages, n_passage_tokens) bool, True at real tokens.
        chunk_elements: cosines held at a time.
        dtype: that cosines are computed in; scores are their sums in float32.
    Returns:
        (n_queries, n_passages) float32.
    Raises:
        ValueError: a passage has no real token.
    """
    _check_passages(passage_mask)
    with torch.autocast(device_type=queries.device.type, enabled=False):
        scores: Tensor = _MaxSimMatrix.apply(  # type: ignore[no-untyped-call]
            queries.float(), passages.float(), passage_mask, chunk_elements, dtype
        )
    return scores


class _MaxSimMatrix(torch.autograd.Function):
    """Sum of best cosines; the gradient flows only through the best passage row of each query row."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        queries: Tensor,
        passages: Tensor,
        passage_mask: Tensor,
        chunk_elements: int,
        dtype: torch.dtype,
    ) -> Tensor:
        n_queries, n_query_tokens, dim = queries.shape
        n_passages, n_passage_tokens, _ = passages.shape
        flat = queries.reshape(-1, dim).T.to(dtype)
        scores = queries.new_empty(n_queries, n_passages)
        best = torch.empty(n_queries * n_query_tokens, n_passages, dtype=torch.int32, device=queries.device)
        step = max(1, chunk_elements // max(1, n_passage_tokens * n_queries * n_query_tokens))
        for start in range(0, n_passages, step):
            part = slice(start, start + step)
            cosine = passages[part].to(dtype) @ flat  # (step, n_passage_tokens, n_queries * n_query_tokens)
            cosine.masked_fill_(~passage_mask[part, :, None], -torch.inf)
            highest, position = cosine.max(dim=1)
            best[:, part] = position.int().T
            scores[:, part] = highest.float().view(-1, n_queries, n_query_tokens).sum(dim=2).T
        ctx.save_for_backward(queries, passages, best)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        """A query row's gradient is a weighted sum of its best passage rows: a bag of embeddings, which torch sums
        without holding them all."""
        queries, passages, best = ctx.saved_tensors  # type: ignore[attr-defined]
        n_query_tokens, n_passage_tokens = queries.shape[1], passages.shape[1]
        first = torch.arange(0, passages.shape[0] * n_passage_tokens, n_passage_tokens, device=best.device)
        needs_passages = ctx.needs_input_grad[1]  # type: ignore[attr-defined]
        with torch.set_grad_enabled(needs_passages):
            rows = passages.detach().flatten(0, 1).requires_grad_(needs_passages)
            matched = functional.embedding_bag(
                best + first, rows, per_sample_weights=grad.repeat_interleave(n_query_tokens, dim=0), mode="sum"
            )
        grad_passages = None
        if needs_passages:  # of the sum over query rows of what each matched, weighted
            grad_passages = torch.autograd.grad(matched, rows, queries.flatten(0, 1))[0].view_as(passages)
        return matched.detach().view_as(queries), grad_passages, None, None, None


def _check_passages(passage_mask: Tensor) -> None:
    if not passage_mask.any(dim=1).all():
        raise ValueError("a passage has no real token; drop empty passages before scoring")
