"""Exhaustive MaxSim over passages kept on disk: the plain index, and the oracle of every faster one.

Embeddings are stored in float16 and scored in float32, so scores are exact MaxSim over the float16 rows. Where the
processor multiplies bfloat16 itself, which is several times as fast, every passage is first scored in that; those that
its rounding cannot rule out are then scored in float32. The result is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from retriever.index.manifest import IndexDamagedError, IndexMismatchError, Manifest
from retriever.index.ranking import best_places, check_new_rows, check_queries, in_groups
from retriever.index.segments import Coordinates, Field, Layout, Rows, Segment
from retriever.index.stored import StoredPassages
from retriever.precision import BFLOAT16_ERROR, multiply_dtype

__all__ = ["ExactIndex", "IndexDamagedError", "IndexMismatchError"]

CHUNK_TOKENS = 8192  # rows converted and multiplied at a time: they stay in the processor's cache
QUERY_ROWS_A_PASS = 1024  # query rows scored together
VECTOR_ROWS = 32  # in bfloat16, the best of a passage's tokens is found five times as fast for whole vectors
LEAST_BLOCK = 256  # rows that bfloat16 blocks are padded to, at least


def layout_of(dim: int) -> Layout:
    """What an exact index stores a token."""
    return Layout("f16", (Field("embeddings", "float16", dim),))


class ExactIndex:
    """Passages' embeddings on disk, searched exhaustively. One writer at a time; readers keep what they opened."""

    def __init__(self, stored: StoredPassages) -> None:
        """Takes opened passages; use `create` or `open`."""
        self.stored = stored
        self._norms: dict[str, float] = {}  # of the longest row of each segment

    @classmethod
    def create(cls, path: Path, *, dim: int, fingerprint: str) -> ExactIndex:
        """Starts an empty index.

        Args:
            path: folder that does not exist yet.
            dim: width of an embedding.
            fingerprint: of the checkpoint whose embeddings it will hold.

        Raises:
            FileExistsError: the path exists.
            IndexWriteError: the folder cannot be written.
        """
        return cls(StoredPassages.create(path, Manifest(dim=dim, fingerprint=fingerprint), layout_of(dim)))

    @classmethod
    def open(cls, path: Path, *, fingerprint: str | None = None) -> ExactIndex:
        """Opens an index.

        Args:
            path: its folder.
            fingerprint: of the checkpoint that is loaded; None takes any.

        Raises:
            IndexMismatchError: it was built with another checkpoint, or is a compressed index.
            IndexDamagedError: a file is missing, cut off or altered.
        """
        manifest = Manifest.read(path, fingerprint=fingerprint)
        if manifest.codec:
            raise IndexMismatchError(f"{path} holds a compressed index; open it with LateInteractionIndex")
        return cls(StoredPassages.open(path, manifest, layout_of(manifest.dim)))

    @property
    def path(self) -> Path:
        """Folder of the index."""
        return self.stored.path

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self.stored.manifest.dim

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the checkpoint that made the embeddings."""
        return self.stored.manifest.fingerprint

    @property
    def ids(self) -> list[str]:
        """Ids of the passages, in the order of insertion."""
        return self.stored.ids

    @property
    def n_tokens(self) -> int:
        """Embeddings held for passages that were not deleted."""
        return self.stored.n_tokens

    def __len__(self) -> int:
        return self.stored.n_passages

    def __contains__(self, passage_id: object) -> bool:
        return passage_id in self.stored.where

    def add(self, ids: Sequence[str], embeddings: Sequence[Tensor]) -> None:
        """Adds passages, all or none.

        Args:
            ids: new ids.
            embeddings: (n_tokens, dim) rows of each.

        Raises:
            ValueError: an id is there already or comes twice, or rows are missing, misshapen or not finite.
            IndexWriteError: the folder cannot be written.
        """
        self.stored.check_new(ids)
        check_new_rows(ids, embeddings, self.dim)
        halves = [{"embeddings": rows.detach().cpu().to(torch.float16).numpy()} for rows in embeddings]
        self.stored = self.stored.add(ids, halves)

    def delete(self, ids: Sequence[str]) -> None:
        """Deletes passages, all or none.

        Raises:
            ValueError: an id is not in the index.
            IndexWriteError: the folder cannot be written.
        """
        self.stored = self.stored.delete(ids)

    def compact(self) -> None:
        """Merges what many additions and deletions left into one segment.

        Raises:
            IndexWriteError: the folder cannot be written.
        """
        self.stored = self.stored.merge()

    def search(self, query: Tensor, *, k: int) -> list[tuple[str, float]]:
        """The k passages with the highest MaxSim, best first; equal scores in the order of insertion.

        Args:
            query: (n_rows, dim) unit rows.
            k: passages to return; fewer come if the index holds fewer.

        Raises:
            ValueError: the query does not fit the index, or k is below 1.
            IndexDamagedError: the embeddings on disk were altered.
        """
        return self.search_batch([query], k=k)[0]

    def search_batch(self, queries: Sequence[Tensor], *, k: int) -> list[list[tuple[str, float]]]:
        """`search` for several queries; the embeddings are read once for many of them."""
        check_queries(queries, self.dim, k)
        stored = self.stored
        if len(self) == 0:
            return [[] for _ in queries]
        results = []
        k, dtype = min(k, len(self)), multiply_dtype()
        for group in in_groups(queries, QUERY_ROWS_A_PASS):
            scores = _scores(stored, group, dtype)
            scores[:, ~stored.alive] = -np.inf
            for query, row in zip(group, scores, strict=True):
                final = row if dtype == torch.float32 else self._settled(query, row, k)
                best = best_places(final, stored.places, k)
                results.append([(stored.names[place], float(final[place])) for place in best])
        return results

    def _settled(self, query: Tensor, rough: NDArray[np.float32], k: int) -> NDArray[np.float32]:
        """Float32 scores of all passages that can be among the k best, given bfloat16 scores; -inf for the others."""
        error = BFLOAT16_ERROR * self._longest * float(query.float().norm(dim=1).sum())
        kept = rough >= np.partition(rough, len(rough) - k)[len(rough) - k] - 2 * error
        kept &= self.stored.alive
        if 2 * kept.sum() > len(kept):
            kept = self.stored.alive
        scores = np.full_like(rough, -np.inf)
        offset = 0
        rows = query.detach().cpu().float().T.contiguous()
        with torch.inference_mode():
            for segment in self.stored.segments:
                chosen = np.flatnonzero(kept[offset : offset + len(segment.lengths)])
                found = [best.sum(dim=1) for best in _best_cosines(segment, rows, chosen)]
                if found:
                    scores[offset + chosen] = torch.cat(found).numpy()
                offset += len(segment.lengths)
        return scores

    @property
    def _longest(self) -> float:
        """Norm of the longest row."""
        for segment in self.stored.segments:
            if segment.entry.name not in self._norms:
                parts = torch.split(torch.from_numpy(segment.rows["embeddings"]), CHUNK_TOKENS)
                self._norms[segment.entry.name] = max(float(part.float().norm(dim=1).max()) for part in parts)
        return max(self._norms[segment.entry.name] for segment in self.stored.segments)

    def contributions(self, query: Tensor, passage_id: str) -> Tensor:
        """What each row of a query adds to a passage's score.

        Args:
            query: (n_rows, dim) unit rows.
            passage_id: one of `ids`.

        Returns:
            (n_rows,) best cosines; their sum is the score.

        Raises:
            KeyError: there is no such passage.
        """
        rows = torch.from_numpy(self.stored.rows_of(passage_id)["embeddings"].astype(np.float32))
        return (rows @ query.detach().cpu().float().T).amax(dim=0)

    def coordinates(self, rows: Rows) -> Coordinates:
        """Stored rows as they are scored."""
        return Coordinates(rows["embeddings"], None)

    def verify(self) -> None:
        """Reads every file again and compares it with its checksum.

        Raises:
            IndexDamagedError: a file is missing, cut off or altered.
        """
        self.stored.verify()


def _scores(stored: StoredPassages, queries: Sequence[Tensor], dtype: torch.dtype) -> NDArray[np.float32]:
    """(n_queries, n_passages) MaxSim with cosines in some dtype, passages segment by segment."""
    rows = torch.cat([query.detach().cpu().float() for query in queries])
    sizes = [query.shape[0] for query in queries]
    spare = 0 if dtype == torch.float32 else -len(rows) % VECTOR_ROWS
    columns = []
    with torch.inference_mode():
        padded = functional.pad(rows, (0, 0, 0, spare)).to(dtype).T.contiguous()
        for segment in stored.segments:
            for best in _best_cosines(segment, padded, np.arange(len(segment.lengths))):
                shares = torch.split(best.float(), [*sizes, spare], dim=1)[: len(sizes)]
                columns.append(torch.stack([part.sum(dim=1) for part in shares]))
    scores: NDArray[np.float32] = torch.cat(columns, dim=1).numpy()
    return scores


def _best_cosines(segment: Segment, rows: Tensor, chosen: NDArray[np.int64]) -> Iterator[Tensor]:
    """(n_passages, n_rows) best cosine of each query row with each chosen passage, a run of passages at a time.

    Passages are stored by length, so a run of equal ones is a plain (n_passages, length, dim) block: one matrix
    product and no padding; without a gap, no gather either.

    Args:
        segment: its passages.
        rows: (dim, n_rows), in the dtype to multiply in.
        chosen: positions of passages, ascending.
    """
    segment.check()
    embeddings = torch.from_numpy(segment.rows["embeddings"])
    lengths, counts = np.unique(segment.lengths[chosen], return_counts=True)
    at = 0
    for length, count in zip(lengths.tolist(), counts.tolist(), strict=True):
        step = max(1, CHUNK_TOKENS // length)
        for first in range(at, at + count, step):
            few = chosen[first : min(first + step, at + count)]
            start, stop = int(segment.starts[few[0]]), int(segment.starts[few[-1] + 1])
            if stop - start == len(few) * length:
                block = embeddings[start:stop]
            else:
                block = embeddings[torch.from_numpy((segment.starts[few][:, None] + np.arange(length)).reshape(-1))]
            cosine = _product(block, rows)  # (n_passages * length, n_rows)
            yield cosine.view(len(few), length, rows.shape[1]).amax(dim=1)
        at += count


def _product(block: Tensor, rows: Tensor) -> Tensor:
    """(n, n_rows) products of (n, dim) float16 rows with (dim, n_rows), in the dtype of the latter.

    In bfloat16, blocks are padded to powers of two: oneDNN prepares a product for every shape and keeps a thousand of
    them, which was 0.7 GB of memory with blocks of every length of passage.
    """
    whole = block.float()  # in between also for bfloat16: torch has no fast way from one half precision to the other
    if rows.dtype == torch.float32:
        return whole @ rows
    size = max(LEAST_BLOCK, 1 << (len(block) - 1).bit_length())
    padded = torch.empty(size, block.shape[1], dtype=rows.dtype)
    padded[: len(block)] = whole
    padded[len(block) :] = 0
    return (padded @ rows)[: len(block)]
