"""Lloyd's k-means in torch, on the device and in the dtype of the points' products; on a CUDA device in faiss, where a
faiss that knows GPUs is installed."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

__all__ = ["Nearness", "kmeans", "nearest"]

BLOCK = 4096  # points compared with all centroids at a time


class Nearness:
    """Compares points with centroids: the larger a value, the smaller the Euclidean distance.

    Args:
        centroids: (k, dim) float32.
        dtype: to multiply in; bfloat16 where the processor has it costs little and changes ties only.
    """

    def __init__(self, centroids: Tensor, dtype: torch.dtype) -> None:
        self._weights = centroids.to(dtype).T.contiguous()
        self._offsets = -((centroids * centroids).sum(dim=1) / 2).to(dtype)

    def of(self, points: Tensor, out: Tensor | None = None) -> Tensor:
        """(n, k) of (n, dim) points in the dtype; `out` is memory to write it to."""
        return torch.addmm(self._offsets, points, self._weights, out=out)


def nearest(points: Tensor, centroids: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(n,) index of the centroid with the smallest Euclidean distance to each point.

    Args:
        points: (n, dim) float32.
        centroids: (k, dim) float32, on the same device.
        dtype: to multiply in; see `Nearness`.
    """
    nearness = Nearness(centroids, dtype)
    found = torch.zeros(len(points), dtype=torch.long, device=points.device)
    # One piece of memory for all blocks: fresh pages would cost as much as what is written to them.
    similar = torch.empty(min(BLOCK, len(points)), len(centroids), dtype=dtype, device=points.device)
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK].to(dtype)
        found[start : start + BLOCK] = nearness.of(block, similar[: len(block)]).argmax(dim=1)
    return found


def kmeans(
    points: Tensor, k: int, *, generator: torch.Generator, iterations: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(k, dim) centroids of (n, dim) points; fewer than k when there are fewer points.

    Starts from points drawn at random; a centroid that loses all its points starts again from one.
    """
    faiss = _faiss_with_gpus() if points.device.type == "cuda" and iterations > 0 else None
    if faiss is not None:
        config = faiss.GpuIndexFlatConfig()
        config.device = points.device.index or 0
        index = faiss.GpuIndexFlatL2(_gpu_resources(), points.shape[1], config)
        return _kmeans_in_faiss(faiss, index, points, min(k, len(points)), generator.initial_seed(), iterations)
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


def _faiss_with_gpus() -> Any:  # noqa: ANN401
    """The package, or None where it is missing or made for processors alone."""
    if find_spec("faiss") is None:
        return None
    import faiss

    return faiss if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0 else None


@cache
def _gpu_resources() -> Any:  # noqa: ANN401
    """Memory of faiss on a GPU, which takes long to get and is used again."""
    import faiss

    return faiss.StandardGpuResources()


def _kmeans_in_faiss(
    faiss: Any,  # noqa: ANN401
    index: Any,  # noqa: ANN401
    points: Tensor,
    k: int,
    seed: int,
    iterations: int,
) -> Tensor:
    """(k, dim) centroids of at least k points; the index, an empty one, finds the nearest."""
    clustering = faiss.Clustering(points.shape[1], k)
    clustering.niter, clustering.seed = iterations, seed % (1 << 31)
    clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, len(points)  # all of the sample
    clustering.train(points.cpu().numpy(), index)
    return torch.from_numpy(faiss.vector_to_array(clustering.centroids)).view(k, -1).to(points)
