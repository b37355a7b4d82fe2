"""Fine codes: product quantisation (Jegou et al., 2011) of what centroids leave, one code a half of the dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from retriever.index.kmeans import BLOCK, kmeans

__all__ = ["N_FINE", "fine_codebooks", "fine_codes", "without_fine"]

N_FINE = 256


def fine_codebooks(left: Tensor, iterations: int, generator: torch.Generator) -> Tensor:
    """(512, dim) fine codes of what the centroids leave, each half of the dimensions by itself."""
    half = left.shape[1] // 2
    codebooks = torch.zeros(2 * N_FINE, left.shape[1], device=left.device)
    for part, dimensions in enumerate((slice(0, half), slice(half, None))):
        found = kmeans(left[:, dimensions].contiguous(), N_FINE, generator=generator, iterations=iterations)
        codebooks[part * N_FINE : part * N_FINE + len(found), dimensions] = found.half().float()
    return codebooks


def fine_codes(left: Tensor, codebooks: Tensor, metric: Tensor) -> Tensor:
    """(n, 2) fine codes that leave little of (n, dim) by the metric: the first, the second given it, the first anew."""
    half = left.shape[1] // 2
    costs = codebooks @ metric
    own = (costs * codebooks).sum(dim=1) / -2
    together = costs[:N_FINE] @ codebooks[N_FINE:].T
    low, high = codebooks[:N_FINE, :half].T.contiguous(), codebooks[N_FINE:, half:].T.contiguous()
    found = torch.empty(len(left), 2, dtype=torch.long, device=left.device)
    for start in range(0, len(left), BLOCK):
        wanted = left[start : start + BLOCK] @ metric
        first = torch.addmm(own[:N_FINE], wanted[:, :half], low)
        second = torch.addmm(own[N_FINE:], wanted[:, half:], high)
        highs = (second - together[first.argmax(dim=1)]).argmax(dim=1)
        found[start : start + BLOCK, 0] = (first - together.T[highs]).argmax(dim=1)
        found[start : start + BLOCK, 1] = highs
    return found


def without_fine(left: Tensor, codebooks: Tensor, metric: Tensor) -> Tensor:
    """(n, dim) what fine codes leave of what centroids left."""
    fine = fine_codes(left, codebooks, metric)
    return left - codebooks[fine[:, 0]] - codebooks[N_FINE + fine[:, 1]]
