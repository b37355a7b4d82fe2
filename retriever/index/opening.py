"""Which index for how many passages, behind one protocol. The compiled parts are imported only where they are used."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from retriever.index.exact import ExactIndex
from retriever.index.manifest import Manifest
from retriever.index.protocol import PassageIndex, StoredIndex
from retriever.precision import CPU, multiply_dtype

if TYPE_CHECKING:
    from retriever.index.codec import CodecSettings

__all__ = [
    "COMPRESS_FROM",
    "BuildEstimate",
    "compress",
    "estimate",
    "open_index",
    "searched_on",
]

COMPRESS_FROM = 500_000  # embeddings: docs/performance.md says why


@dataclass(frozen=True, kw_only=True)
class BuildEstimate:
    """What compressing an index will take, roughly.

    Attributes:
        disk_bytes: of the compressed index; until it stands, the exact one is there too.
        memory_bytes: while it is built, above what the process has already.
        seconds: on this machine, as idle or busy as it is.
    """

    disk_bytes: int
    memory_bytes: int
    seconds: float


def open_index(path: Path, *, fingerprint: str | None = None) -> StoredIndex:
    """Opens whichever index lies at a path.

    Args:
        path: its folder.
        fingerprint: of the checkpoint that is loaded; None takes any.

    Raises:
        IndexMismatchError: it was built with another checkpoint.
        IndexDamagedError: a file is missing, cut off or altered.
    """
    if not Manifest.read(path, fingerprint=fingerprint).codec:
        return ExactIndex.open(path, fingerprint=fingerprint)
    from retriever.index.compressed import LateInteractionIndex

    return LateInteractionIndex.open(path, fingerprint=fingerprint)


def searched_on(
    index: StoredIndex, *, device: torch.device, dtype: torch.dtype, previous: Sequence[PassageIndex] = ()
) -> PassageIndex:
    """The index as it is searched on a device: in its memory if it is a CUDA device, else just the index.

    Args:
        index: on disk.
        device: that questions are encoded on.
        dtype: to multiply in.
        previous: what earlier calls gave; what is on the device already is shared with them.

    Raises:
        DeviceMemoryError: the rows do not fit into what is free there.
        IndexDamagedError: the embeddings on disk were altered.
    """
    if device.type != "cuda":
        return index
    from retriever.index.on_device import OnDeviceIndex

    return OnDeviceIndex(index, device=device, dtype=dtype, previous=previous)


def compress(
    exact: ExactIndex,
    settings: CodecSettings | None = None,
    *,
    queries: Sequence[Tensor] = (),
    device: torch.device = CPU,
) -> StoredIndex:
    """Compresses an exact index where it lies, in one commit.

    Args:
        exact: readers that have it open keep it.
        settings: of the codec.
        queries: like those to come, some of every length, for a smaller or faster index; it does without.
        device: to compute on.

    Raises:
        ValueError: another process has changed the index.
        IndexWriteError: the folder cannot be written.
    """
    from retriever.index.compressed import LateInteractionIndex

    return LateInteractionIndex.convert(exact, settings, queries=queries, device=device)


def estimate(
    n_passages: int,
    n_tokens: int,
    dim: int,
    settings: CodecSettings | None = None,
    *,
    device: torch.device = CPU,
) -> BuildEstimate:
    """What `compress` will take; a product of matrices is timed to know how fast the device is (some 50 ms)."""
    from retriever.index.centroid_tree import comparisons
    from retriever.index.codec import CodecSettings, centroids_for, sample_size

    settings = settings or CodecSettings()
    n_centroids = settings.n_centroids or centroids_for(n_tokens, settings.n_bits)
    sampled = min(n_tokens, sample_size(n_centroids))
    products = (settings.iterations + 2) * sampled + n_tokens
    rate = _multiplications_a_second(dim, multiply_dtype(device), device)
    a_token = dim * settings.n_bits // 8 + 5
    return BuildEstimate(
        disk_bytes=n_tokens * a_token + n_centroids * dim + n_passages * 32,
        memory_bytes=sampled * dim * 14 + (1 << 17) * dim * 20,
        seconds=products * comparisons(n_centroids) * dim / rate + n_tokens * 6e-6,
    )


def _multiplications_a_second(dim: int, dtype: torch.dtype, device: torch.device) -> float:
    """Of points times centroids, with finding the best."""
    points = torch.ones(4096, dim, dtype=dtype, device=device)
    centroids = torch.ones(dim, 1024, dtype=dtype, device=device)
    times = []
    with torch.inference_mode():
        for _ in range(3):
            start = time.perf_counter()
            (points @ centroids).argmax(dim=1).cpu()  # waits for the device
            times.append(time.perf_counter() - start)
    return float(points.numel() * centroids.shape[1] / min(times))
