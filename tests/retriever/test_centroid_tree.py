from __future__ import annotations

import pytest
import torch
from torch import Tensor

from retriever.index.centroid_tree import CentroidTree, comparisons, fit_tree
from retriever.index.kmeans import kmeans, nearest


def points(n: int, seed: int = 0) -> Tensor:
    """Rows on a sphere around 40 centres, some of which have many more rows than others."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(40, 16, generator=torch.Generator().manual_seed(9))
    picks = centres[torch.randint(40, (n,), generator=generator).float().div(40).square().mul(40).long()]
    return torch.nn.functional.normalize(picks + 0.6 * torch.randn(n, 16, generator=generator), dim=1)


def fitted(n: int, some: Tensor) -> CentroidTree:
    return fit_tree(some, n, generator=torch.Generator().manual_seed(1), iterations=4)


def error(some: Tensor, centroids: Tensor, chosen: Tensor) -> float:
    return float((some - centroids[chosen]).pow(2).sum(dim=1).mean())


def test_a_tree_tells_nearly_as_much_as_centroids_that_are_all_compared() -> None:
    some, new = points(30_000), points(2_000, seed=2)
    tree = fitted(2048, some)
    flat = kmeans(some, 2048, generator=torch.Generator().manual_seed(1), iterations=4)
    assert len(flat) == 2048
    assert 1900 < len(tree.leaves) <= 2048
    assert comparisons(2048) < 2048 / 4
    assert error(new, tree.leaves, tree.nearest(new)) < 1.03 * error(new, flat, nearest(new, flat))


def test_most_points_get_the_centroid_that_is_nearest_of_all() -> None:
    some = points(20_000)
    tree = fitted(1024, some)
    assert (tree.nearest(some) == nearest(some, tree.leaves)).float().mean() > 0.95
    in_16_bits = tree.nearest(some, dtype=torch.bfloat16)
    assert error(some, tree.leaves, in_16_bits) < 1.03 * error(some, tree.leaves, tree.nearest(some))


def test_a_point_gets_its_centroid_whatever_it_is_encoded_with() -> None:
    some = points(20_000)
    tree = fitted(1024, some)
    alone = torch.cat([tree.nearest(block) for block in torch.split(some[:400], 7)])
    assert torch.equal(alone, tree.nearest(some)[:400])


def test_groups_cover_all_centroids_and_none_is_empty() -> None:
    tree = fitted(1024, points(3_000))
    assert tree.firsts[0] == 0
    assert tree.firsts[-1] == len(tree.leaves)
    assert len(tree.firsts) == len(tree.roots) + 1
    assert int(tree.firsts.diff().min()) >= 1


@pytest.mark.parametrize("n", [1, 16, 1000])
def test_few_centroids_are_all_compared(n: int) -> None:
    some = points(3_000)
    tree = fitted(n, some)
    assert torch.equal(tree.nearest(some), nearest(some, tree.leaves))


def test_fewer_points_than_centroids_and_points_that_are_all_alike() -> None:
    some = points(600)
    tree = fitted(4096, some)
    assert len(tree.leaves) <= 600
    alike = torch.ones(5_000, 16)
    assert error(alike, fitted(1024, alike).leaves, fitted(1024, alike).nearest(alike)) < 1e-9
    assert len(tree.nearest(some[:0])) == 0
