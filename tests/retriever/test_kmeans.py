from __future__ import annotations

import faiss
import torch
from torch import Tensor

from retriever.index.kmeans import _kmeans_in_faiss, kmeans, nearest


def points(n: int, generator: torch.Generator) -> Tensor:
    """Around twelve centres."""
    centres = torch.randn(12, 8, generator=generator)
    return centres[torch.randint(12, (n,), generator=generator)] + 0.05 * torch.randn(n, 8, generator=generator)


def error(some: Tensor, centroids: Tensor) -> float:
    return float((some - centroids[nearest(some, centroids)]).pow(2).sum(dim=1).mean())


def test_kmeans_in_torch_and_in_faiss_fit_equally_well() -> None:
    generator = torch.Generator().manual_seed(1)
    some = points(3000, generator)
    ours = kmeans(some, 64, generator=generator, iterations=8)
    theirs = _kmeans_in_faiss(faiss, faiss.IndexFlatL2(8), some, 64, seed=1, iterations=8)
    again = _kmeans_in_faiss(faiss, faiss.IndexFlatL2(8), some, 64, seed=1, iterations=8)
    assert ours.shape == theirs.shape == (64, 8)
    assert theirs.dtype == torch.float32
    assert torch.equal(theirs, again)
    drawn = error(some, some[:64])
    assert error(some, ours) < 0.8 * drawn
    assert error(some, theirs) < 0.8 * drawn


def test_as_many_centroids_as_points_are_the_points() -> None:
    some = points(20, torch.Generator().manual_seed(2))
    theirs = _kmeans_in_faiss(faiss, faiss.IndexFlatL2(8), some, 20, seed=1, iterations=2)
    assert error(some, theirs) < 1e-9
    assert len(kmeans(some, 50, generator=torch.Generator().manual_seed(2), iterations=2)) == 20
