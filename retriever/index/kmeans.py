"""Lloyd's k-means in torch, on the device and in the dtype of the points' products."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["kmeans", "nearest"]

BLOCK = 4096  # points compared with all centroids at a time


def nearest(points: Tensor, centroids: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(n,) index of the centroid with the smallest Euclidean distance to each point.

    Args:
        points: (n, dim) float32.
        centroids: (k, dim) float32, on the same device.
        dtype: to multiply in; bfloat16 where the processor has it costs little and changes ties only.
    """
    weights = centroids.to(dtype).T.contiguous()
    half_squares = (centroids * centroids).sum(dim=1) / 2
    offsets = -half_squares.to(dtype)
    found = [torch.addmm(offsets, block.to(dtype), weights).argmax(dim=1) for block in torch.split(points, BLOCK)]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.long, device=points.device)


def kmeans(
    points: Tensor, k: int, *, generator: torch.Generator, iterations: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(k, dim) centroids of (n, dim) points; fewer than k when there are fewer points.

    Starts from points drawn at random; a centroid that loses all its points starts again from one.
    """
    order = torch.randperm(len(points), generator=generator).to(points.device)
    centroids = points[order[:k]].clone()
    for _ in range(iterations):
        member_of = nearest(points, centroids, dtype=dtype)
        counts = torch.bincount(member_of, minlength=len(centroids))
        sums = torch.zeros_like(centroids).index_add_(0, member_of, points)
        centroids = sums / counts.clamp(min=1)[:, None]
        empty = counts == 0
        fresh = torch.randint(len(points), (int(empty.sum()),), generator=generator).to(points.device)
        centroids[empty] = points[fresh]
    return centroids
