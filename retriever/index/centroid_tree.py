"""Centroids found through a tree of two levels: a few roots, and the centroids around each.

A point is compared with all roots, and with the centroids around the few that are nearest to it. So 16,384 centroids
cost some 640 products a point, fitting them some 256, and hardly any of what they tell is lost: docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from retriever.index.kmeans import Nearness, kmeans, nearest

__all__ = ["CentroidTree", "comparisons", "fit_tree"]

FLAT_BELOW = 1024  # centroids that are all compared
POINTS_A_ROOT = 256
BEAM = 4  # roots whose centroids a point is compared with
BLOCK = 1 << 15  # points that are sorted by root at a time


@dataclass(frozen=True)
class CentroidTree:
    """Centroids in groups.

    Attributes:
        roots: (n_roots, dim) float32.
        leaves: (n, dim) float32 centroids, group after group.
        firsts: (n_roots + 1,) int64: centroids `firsts[i]` to `firsts[i + 1]` are around root i, at least one.
    """

    roots: Tensor
    leaves: Tensor
    firsts: Tensor

    def nearest(self, points: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """(n,) index of the nearest centroid, among those around the nearest roots, to each point.

        Args:
            points: (n, dim) float32, on the centroids' device.
            dtype: to multiply in; see `kmeans.nearest`.
        """
        if len(self.roots) == 1:
            return nearest(points, self.leaves, dtype=dtype)
        firsts = self.firsts.tolist()
        to_roots = Nearness(self.roots, dtype)
        to_leaves = [Nearness(self.leaves[first:last], dtype) for first, last in pairwise(firsts)]
        blocks = torch.split(points, BLOCK)
        return torch.cat([self._nearest(block.to(dtype), to_roots, to_leaves, firsts) for block in blocks])

    def _nearest(
        self, points: Tensor, to_roots: Nearness, to_leaves: Sequence[Nearness], firsts: Sequence[int]
    ) -> Tensor:
        beam = min(BEAM, len(self.roots))
        roots = to_roots.of(points).topk(beam, dim=1).indices.flatten()
        order = roots.argsort(stable=True)
        ends = torch.bincount(roots, minlength=len(self.roots)).cumsum(0).tolist()
        sorted_points = points[order // beam]
        found = torch.empty_like(roots)
        nearness = torch.empty(len(roots), dtype=points.dtype, device=points.device)
        for root, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if start < end:
                best = to_leaves[root].of(sorted_points[start:end]).max(dim=1)
                nearness[order[start:end]], found[order[start:end]] = best.values, best.indices + firsts[root]
        chosen = nearness.view(-1, beam).argmax(dim=1, keepdim=True)
        return found.view(-1, beam).gather(1, chosen)[:, 0]


def comparisons(n_centroids: int) -> int:
    """Products that finding a point's nearest centroid takes, where all groups are alike."""
    n_roots = _roots_for(n_centroids)
    return n_centroids if n_roots == 1 else n_roots + BEAM * n_centroids // n_roots


def fit_tree(
    points: Tensor, n_centroids: int, *, generator: torch.Generator, iterations: int, dtype: torch.dtype = torch.float32
) -> CentroidTree:
    """Fits at most `n_centroids` to (n, dim) points; each root's share of them is its share of the points."""
    n_roots = _roots_for(n_centroids)
    if n_roots == 1:
        leaves = kmeans(points, n_centroids, generator=generator, iterations=iterations, dtype=dtype)
        return CentroidTree(leaves.mean(dim=0, keepdim=True), leaves, torch.tensor([0, len(leaves)]))
    few = points[torch.randperm(len(points), generator=generator)[: n_roots * POINTS_A_ROOT].to(points.device)]
    roots = kmeans(few, n_roots, generator=generator, iterations=iterations, dtype=dtype)
    root_of = nearest(points, roots, dtype=dtype)
    n_members = torch.bincount(root_of, minlength=len(roots))
    roots, counts = roots[n_members > 0], n_members[n_members > 0].tolist()
    members = torch.split(points[root_of.argsort(stable=True)], counts)
    groups = [
        kmeans(group, size, generator=generator, iterations=iterations, dtype=dtype)
        for group, size in zip(members, _shares(counts, n_centroids), strict=True)
    ]
    firsts = torch.tensor([0, *(len(group) for group in groups)]).cumsum(0)
    return CentroidTree(roots, torch.cat(groups), firsts)


def _roots_for(n_centroids: int) -> int:
    return 1 if n_centroids < FLAT_BELOW else 1 << (n_centroids.bit_length() - 1) // 2


def _shares(counts: list[int], n: int) -> list[int]:
    """n in parts about proportional to the counts, each at least 1: at most n, or one each."""
    spare, whole = max(0, n - len(counts)), sum(counts)
    return [1 + spare * count // whole for count in counts]
