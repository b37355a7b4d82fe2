"""How a token's embedding becomes bytes: a centroid, two fine codes, and its coordinates in 8 or 4 bits.

    codes  uint16        nearest of the centroids (k-means, in a tree)
    fine   uint8 (2)     `fine_codes.py` of what is left: one code a half of the dimensions
    steps  uint8         size of one quantisation step, 16 to an octave
    rows   int8 (dim)    8 bits: the embedding itself in steps
           uint8 (dim/2) 4 bits: what centroid and fine codes leave over, in steps of each dimension's deviation, as
                         one of 16 levels that suit a normal distribution (Lloyd, Max); high halves of the bytes hold
                         the second half of the dimensions

Centroid and fine codes approximate an embedding well enough to choose candidates; the rows are for the final scores.
All but the rows of 8 bits are chosen for what their errors cost queries (`metric.py`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.centroid_tree import CentroidTree, fit_tree
from retriever.index.fine_codes import N_FINE, fine_codebooks, fine_codes, without_fine
from retriever.index.levels import LEVELS
from retriever.index.manifest import IndexDamagedError, sha256
from retriever.index.metric import even, roots_of
from retriever.index.quantising import STEPS, in_levels, in_steps
from retriever.index.segments import Field, Layout, Rows

__all__ = ["STEPS", "Codec", "CodecSettings", "centroids_for", "sample_size"]

POINTS_A_CENTROID = 16  # of the sample, at most
POINTS_A_FINE_CODE = 512
HELD_OUT = 1 << 14  # rows of the sample, at most, that the codec is not fitted to but measured on
TOKENS_AT_ONCE = 1 << 16  # encoded or decoded together


@dataclass(frozen=True, kw_only=True)
class CodecSettings:
    """How a codec is trained.

    Attributes:
        n_bits: a coordinate, 8 or 4.
        n_centroids: at most 65,536; 0 takes what suits the number of tokens.
        iterations: of k-means.
        seed: of the sample and of k-means.
    """

    n_bits: int = 8
    n_centroids: int = 0
    iterations: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_bits not in (4, 8):
            raise ValueError(f"n_bits is {self.n_bits}; choose 4 or 8")
        if not 0 <= self.n_centroids <= 1 << 16:
            raise ValueError(f"n_centroids is {self.n_centroids}; choose 1 to 65536, or 0")


def centroids_for(n_tokens: int, n_bits: int = 8) -> int:
    """Centroids that suit an index: the power of two below twice the bits times the square root of its tokens."""
    return int(min(1 << 16, max(16, 1 << int(np.log2(max(2 * n_bits * n_tokens**0.5, 1))))))


def sample_size(n_centroids: int) -> int:
    """Rows that are enough to fit a codec to."""
    return HELD_OUT + max(POINTS_A_CENTROID * n_centroids, POINTS_A_FINE_CODE * N_FINE)


@dataclass(frozen=True, kw_only=True)
class Codec:
    """What an index encodes with. Immutable; kept beside the segments that it made.

    Attributes:
        n_bits: a coordinate, 8 or 4.
        centroids: (n_centroids, dim) float32, multiples of `centroid_step` that fit into 8 bits.
        roots: (n_roots, dim) float32, through which the centroids are found: `CentroidTree`, after `roots_of(metric)`.
        firsts: (n_roots + 1,) int64 first centroid of each root, and how many there are.
        codebooks: (512, dim) float32, rounded to float16: 256 fine codes that are zero in the second half of the
            dimensions, then 256 that are zero in the first.
        deviations: (dim,) float32: how far what is left over is from zero in each dimension, in steps.
        metric: (dim, dim) float32, rounded to float16: what errors cost, `metric.py`.
        centroid_step: what the centroids are rounded to; what rounding leaves goes into the other codes.
        longest: norm of the longest row of the sample.
        spread: mean squared distance of rows from centroid plus fine codes, as measured on rows held out.
    """

    n_bits: int
    centroids: NDArray[np.float32]
    roots: NDArray[np.float32]
    firsts: NDArray[np.int64]
    codebooks: NDArray[np.float32]
    deviations: NDArray[np.float32]
    metric: NDArray[np.float32]
    centroid_step: float
    longest: float
    spread: float

    @classmethod
    def train(
        cls,
        sample: Tensor,
        settings: CodecSettings,
        *,
        metric: NDArray[np.float32] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Codec:
        """Fits a codec to (n, dim) rows, on their device.

        Args:
            sample: rows like those to be encoded; `sample_size` are enough.
            settings: its sizes; without `n_centroids`, the sample is taken for all that will be encoded.
            metric: of `metric_of` queries like those to come; None takes all directions for equally important.
            dtype: k-means multiplies in.

        Raises:
            ValueError: there is no row, or rows of an odd number of dimensions.
        """
        if len(sample) == 0 or sample.shape[1] % 2:
            raise ValueError(f"a codec cannot be fitted to rows of shape {tuple(sample.shape)}; give (1+, an even dim)")
        generator = torch.Generator().manual_seed(settings.seed)
        n_centroids = settings.n_centroids or centroids_for(len(sample), settings.n_bits)
        order = torch.randperm(len(sample), generator=generator).to(sample.device)
        n_held = min(HELD_OUT, len(sample) // 10)
        held = sample[order[:n_held]].float()
        points = sample[order[n_held : n_held + POINTS_A_CENTROID * n_centroids]].float()
        metric = even(sample.shape[1]) if metric is None else metric
        form = torch.from_numpy(metric).to(sample.device)
        with torch.inference_mode():
            forth, back = roots_of(metric, sample.device)
            found = fit_tree(
                points @ forth, n_centroids, generator=generator, iterations=settings.iterations, dtype=dtype
            )
            leaves = found.leaves @ back
            centroid_step = float(leaves.abs().max().clamp(min=1e-6)) / 127
            centroids = torch.round(leaves / centroid_step) * centroid_step
            tree = CentroidTree(found.roots, centroids @ forth, found.firsts)
            few = points[: POINTS_A_FINE_CODE * N_FINE]
            coarse = few - centroids[tree.nearest(few @ forth, dtype=dtype)]
            codebooks = fine_codebooks(coarse, settings.iterations, generator)
            left = spread = without_fine(coarse, codebooks, form)
            if n_held:
                spread = without_fine(held - centroids[tree.nearest(held @ forth, dtype=dtype)], codebooks, form)
        deviation = left.pow(2).mean(dim=0).sqrt().clamp(min=1e-6)
        return cls(
            n_bits=settings.n_bits,
            centroids=centroids.cpu().numpy(),
            roots=found.roots.cpu().numpy(),
            firsts=found.firsts.numpy(),
            codebooks=codebooks.cpu().numpy(),
            deviations=(deviation / deviation.mean()).half().float().cpu().numpy(),
            metric=metric,
            centroid_step=centroid_step,
            longest=float(sample.float().norm(dim=1).max().clamp(min=1e-6)),
            spread=float(spread.pow(2).sum(dim=1).mean()),
        )

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return int(self.centroids.shape[1])

    @cached_property
    def layout(self) -> Layout:
        """What a segment stores a token."""
        row = Field("rows", "int8", self.dim) if self.n_bits == 8 else Field("rows", "uint8", self.dim // 2)
        return Layout("q8" if self.n_bits == 8 else "q4", (Field("codes", "uint16", 1), row, *_CODES))

    def encode(self, embeddings: Tensor, *, dtype: torch.dtype = torch.float32) -> Rows:
        """Encodes (n, dim) rows; each row by itself, so that it does not matter what it is encoded with."""
        parts = [self._encode(block.float(), dtype) for block in torch.split(embeddings, TOKENS_AT_ONCE)]
        return {field.name: np.concatenate([part[field.name] for part in parts]) for field in self.layout.fields}

    def decode(self, rows: Rows) -> NDArray[np.float32]:
        """(n, dim) embeddings as the final scores see them."""
        sizes = STEPS[rows["steps"]]  # (n, 1)
        if self.n_bits == 8:
            decoded: NDArray[np.float32] = rows["rows"] * sizes
            return decoded
        packed = rows["rows"]
        levels = np.concatenate([packed & 15, packed >> 4], axis=1)
        left: NDArray[np.float32] = sizes * self.deviations * LEVELS[levels]
        return self.approximate(rows) + left

    def approximate(self, rows: Rows) -> NDArray[np.float32]:
        """(n, dim) embeddings as the scan for candidates sees them: centroid plus fine codes."""
        fine = rows["fine"].astype(np.int64)
        approximation: NDArray[np.float32] = (
            self.centroids[rows["codes"][:, 0]] + self.codebooks[fine[:, 0]] + self.codebooks[N_FINE + fine[:, 1]]
        )
        return approximation

    def save(self) -> bytes:
        """The codec as the content of a file; `load` reads it."""
        stream = io.BytesIO()
        np.savez(
            stream,
            numbers=np.asarray([self.n_bits, self.centroid_step, self.longest, self.spread]),
            centroids=np.rint(self.centroids / self.centroid_step).astype(np.int8),
            roots=self.roots,
            firsts=self.firsts,
            codebooks=self.codebooks.astype(np.float16),
            deviations=self.deviations.astype(np.float16),
            metric=self.metric.astype(np.float16),
        )
        return stream.getvalue()

    @classmethod
    def load(cls, path: Path, *, checksum: str) -> Codec:
        """Reads a codec.

        Raises:
            IndexDamagedError: the file is missing, cut off or altered.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise IndexDamagedError(f"cannot read {path} ({error.strerror}); build the index again") from error
        if sha256(content) != checksum:
            raise IndexDamagedError(f"{path} was altered (wrong checksum); build the index again")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if "metric" not in arrays:
                raise IndexDamagedError(f"{path} is of an older version; build the index again")
            n_bits, centroid_step, longest, spread = arrays["numbers"].tolist()
            return cls(
                n_bits=int(n_bits),
                # The same product in the same precision as when the codec was fitted.
                centroids=arrays["centroids"].astype(np.float32) * np.float32(centroid_step),
                roots=arrays["roots"],
                firsts=arrays["firsts"],
                codebooks=arrays["codebooks"].astype(np.float32),
                deviations=arrays["deviations"].astype(np.float32),
                metric=arrays["metric"].astype(np.float32),
                centroid_step=centroid_step,
                longest=longest,
                spread=spread,
            )

    def _encode(self, embeddings: Tensor, dtype: torch.dtype) -> Rows:
        device = embeddings.device
        centroids, roots, codebooks, metric = (
            torch.from_numpy(array).to(device) for array in (self.centroids, self.roots, self.codebooks, self.metric)
        )
        forth, _ = roots_of(self.metric, device)
        tree = CentroidTree(roots, centroids @ forth, torch.from_numpy(self.firsts))
        with torch.inference_mode():
            codes = tree.nearest(embeddings @ forth, dtype=dtype)
            left = embeddings - centroids[codes]
            fine = fine_codes(left, codebooks, metric)
            if self.n_bits == 8:
                steps, rows = (part.cpu().numpy() for part in in_steps(embeddings))
            else:
                left = left - codebooks[fine[:, 0]] - codebooks[N_FINE + fine[:, 1]]
                steps, levels = in_levels(left, embeddings, self.deviations, self.metric)
                rows = levels[:, : self.dim // 2] | (levels[:, self.dim // 2 :] << 4)
        return {
            "codes": codes[:, None].cpu().numpy().astype(np.uint16),
            "rows": rows,
            "fine": fine.cpu().numpy().astype(np.uint8),
            "steps": steps.astype(np.uint8),
        }


_CODES = (Field("fine", "uint8", 2), Field("steps", "uint8", 1))
