"""Exhaustive MaxSim over passages kept on disk: the plain index, and the oracle of every faster one.

Embeddings are stored in float16 and scored in float32, so scores are exact MaxSim over the float16 rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retriever.index.segments import (
    IndexDamagedError,
    IndexMismatchError,
    Manifest,
    Segment,
    SegmentEntry,
    write_segment,
)

__all__ = ["ExactIndex", "IndexDamagedError", "IndexMismatchError"]

CHUNK_TOKENS = 8192  # rows converted and multiplied at a time: they stay in the processor's cache
QUERY_ROWS_A_PASS = 1024  # query rows scored together
MERGE_RATIO = 2  # a segment smaller than this many times the new one is merged into it


class ExactIndex:
    """Passages' embeddings on disk, searched exhaustively. One writer at a time; readers keep what they opened."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Opens what a manifest names; use `create` or `open`."""
        self.path = path
        self._manifest = manifest
        self._segments = [Segment(path, entry, manifest.dim) for entry in manifest.segments]
        self._where = {
            segment.ids[position]: (number, int(position))
            for number, segment in enumerate(self._segments)
            for position in np.flatnonzero(segment.live())
        }

    @classmethod
    def create(cls, path: Path, *, dim: int, fingerprint: str) -> ExactIndex:
        """Starts an empty index.

        Args:
            path: folder that does not exist yet.
            dim: width of an embedding.
            fingerprint: of the checkpoint whose embeddings it will hold.

        Raises:
            FileExistsError: the path exists.
        """
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            raise FileExistsError(f"{path} exists already; open it, or choose another folder") from error
        manifest = Manifest(dim=dim, fingerprint=fingerprint)
        manifest.commit(path)
        return cls(path, manifest)

    @classmethod
    def open(cls, path: Path, *, fingerprint: str | None = None) -> ExactIndex:
        """Opens an index.

        Args:
            path: its folder.
            fingerprint: of the checkpoint that is loaded; None takes any.

        Raises:
            IndexMismatchError: it was built with another checkpoint.
            IndexDamagedError: a file is missing, cut off or altered.
        """
        manifest = Manifest.read(path)
        if fingerprint is not None and manifest.fingerprint != fingerprint:
            raise IndexMismatchError(
                f"{path} was built with checkpoint {manifest.fingerprint} and {fingerprint} is loaded; "
                "build the index again or load that checkpoint"
            )
        return cls(path, manifest)

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._manifest.dim

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the checkpoint that made the embeddings."""
        return self._manifest.fingerprint

    @property
    def ids(self) -> list[str]:
        """Ids of the passages, in the order of insertion."""
        return sorted(self._where, key=self._place)

    @property
    def n_tokens(self) -> int:
        """Embeddings held for passages that were not deleted."""
        return sum(int(segment.lengths[segment.live()].sum()) for segment in self._segments)

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, passage_id: object) -> bool:
        return passage_id in self._where

    def add(self, ids: Sequence[str], embeddings: Sequence[Tensor]) -> None:
        """Adds passages, all or none.

        Args:
            ids: new ids.
            embeddings: (n_tokens, dim) rows of each.

        Raises:
            ValueError: an id is there already or comes twice, or rows are missing, misshapen or not finite.
        """
        if len(ids) != len(embeddings):
            raise ValueError(f"{len(ids)} ids and {len(embeddings)} embeddings were given; give one of each a passage")
        seen: set[str] = set()
        for passage_id, rows in zip(ids, embeddings, strict=True):
            if passage_id in self._where or passage_id in seen:
                raise ValueError(f"passage {passage_id!r} is in the index already; delete it first")
            if rows.dim() != 2 or rows.shape[1] != self.dim or rows.shape[0] == 0:
                raise ValueError(f"passage {passage_id!r} has rows of shape {tuple(rows.shape)}, not (1+, {self.dim})")
            if not torch.isfinite(rows.to(torch.float16)).all():
                raise ValueError(f"passage {passage_id!r} has rows that are not finite in float16")
            seen.add(passage_id)
        if not ids:
            return
        place = self._manifest.next_place
        new = [
            (item, place + number, rows.detach().cpu())
            for number, (item, rows) in enumerate(zip(ids, embeddings, strict=True))
        ]
        kept = list(self._segments)
        while kept and kept[-1].entry.n_tokens < MERGE_RATIO * sum(rows.shape[0] for _, _, rows in new):
            new = kept.pop().passages() + new
        entry = write_segment(self.path, new)
        self._commit([*(segment.entry for segment in kept), entry], next_place=place + len(ids))

    def delete(self, ids: Sequence[str]) -> None:
        """Deletes passages, all or none.

        Raises:
            ValueError: an id is not in the index.
        """
        deleted: dict[int, set[int]] = {}
        for passage_id in ids:
            if passage_id not in self._where:
                raise ValueError(f"passage {passage_id!r} is not in the index")
            number, position = self._where[passage_id]
            deleted.setdefault(number, set()).add(position)
        if not deleted:
            return
        entries = []
        for number, segment in enumerate(self._segments):
            gone = tuple(sorted({*segment.entry.deleted, *deleted.get(number, ())}))
            if len(gone) < segment.entry.n_passages:
                entries.append(replace(segment.entry, deleted=gone))
        self._commit(entries, next_place=self._manifest.next_place)

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
        if k < 1:
            raise ValueError(f"k is {k}; ask for at least 1 passage")
        for query in queries:
            if query.dim() != 2 or query.shape[1] != self.dim:
                raise ValueError(f"a query has rows of shape {tuple(query.shape)} and the index takes (n, {self.dim})")
        if not self._where:
            return [[] for _ in queries]
        alive = np.concatenate([segment.live() for segment in self._segments])
        places = np.concatenate([segment.places for segment in self._segments])
        ids = [passage_id for segment in self._segments for passage_id in segment.ids]
        results = []
        for group in _groups(queries):
            scores = self._scores(group)
            scores[:, ~alive] = -np.inf
            results += [
                [(ids[best], float(row[best])) for best in _best(row, places, min(k, len(self)))] for row in scores
            ]
        return results

    def verify(self) -> None:
        """Reads every file again and compares it with its checksum.

        Raises:
            IndexDamagedError: a file is missing, cut off or altered.
        """
        for segment in ExactIndex(self.path, Manifest.read(self.path))._segments:
            segment.verify()

    def _place(self, passage_id: str) -> int:
        number, position = self._where[passage_id]
        return int(self._segments[number].places[position])

    def _commit(self, entries: Sequence[SegmentEntry], *, next_place: int) -> None:
        current = Manifest.read(self.path)
        if current.generation != self._manifest.generation:
            raise ValueError(f"{self.path} was changed by another process; open it again")
        manifest = replace(current, generation=current.generation + 1, next_place=next_place, segments=tuple(entries))
        manifest.commit(self.path)
        self.__init__(self.path, manifest)  # type: ignore[misc]

    def _scores(self, queries: Sequence[Tensor]) -> NDArray[np.float32]:
        """(n_queries, n_passages) MaxSim, passages segment by segment."""
        rows = torch.cat([query.detach().cpu().float() for query in queries])
        sizes = [query.shape[0] for query in queries]
        columns = []
        with torch.inference_mode():
            for segment in self._segments:
                for best in _best_cosines(segment, rows.T.contiguous()):
                    columns.append(torch.stack([part.sum(dim=1) for part in torch.split(best, sizes, dim=1)]))
        scores: NDArray[np.float32] = torch.cat(columns, dim=1).numpy()
        return scores


def _best_cosines(segment: Segment, rows: Tensor) -> Iterator[Tensor]:
    """(n_passages, n_rows) best cosine of each query row with each passage, a run of passages at a time.

    Passages are stored by length, so a run of equal ones is a plain (n_passages, length, dim) block: one matrix
    product, no padding, no gather.
    """
    lengths, counts = np.unique(segment.lengths, return_counts=True)
    start = 0
    for length, count in zip(lengths.tolist(), counts.tolist(), strict=True):
        step = max(1, CHUNK_TOKENS // length)
        for first in range(0, count, step):
            n_passages = min(step, count - first)
            block = segment.embeddings[start : start + n_passages * length]
            cosine = block.float() @ rows  # (n_passages * length, n_rows)
            yield cosine.view(n_passages, length, -1).amax(dim=1)
            start += n_passages * length


def _groups(queries: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Consecutive queries whose rows are scored together."""
    group: list[Tensor] = []
    for query in queries:
        if group and sum(item.shape[0] for item in group) + query.shape[0] > QUERY_ROWS_A_PASS:
            yield group
            group = []
        group.append(query)
    if group:
        yield group


def _best(scores: NDArray[np.float32], places: NDArray[np.int64], k: int) -> NDArray[np.intp]:
    """Positions of the k highest scores, best first, equal ones by place."""
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= threshold)
    order = np.lexsort((places[candidates], -scores[candidates]))
    chosen: NDArray[np.intp] = candidates[order[:k]]
    return chosen
