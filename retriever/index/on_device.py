"""An index whose rows are kept in the memory of a device and searched there, every passage for every query.

On disk it is the index that it was made from. Segments are immutable, so what is on the device already is shared with
the next snapshot: a deletion sends nothing, an addition its new segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from retriever.index.device_rows import DeviceSegment, QueryRows, bytes_a_row, load_segment
from retriever.index.device_search import best_passages, scores_for
from retriever.index.manifest import DeviceMemoryError
from retriever.index.protocol import PassageIndex, StoredIndex
from retriever.index.ranking import check_queries, in_groups
from retriever.index.stored import StoredPassages

__all__ = ["OnDeviceIndex"]

BLOCK_BYTES = 1 << 28  # of temporaries in a search
QUERY_ROWS_A_PASS = 8192  # query rows scored together
SHARE_OF_FREE = 0.7  # of a device's free memory that rows may take; the models need room to work


@dataclass(frozen=True)
class _Held:
    """A snapshot on the device.

    Attributes:
        segments: by their names.
        ranks: of each segment: (n_passages,) ranks in the order of insertion, -1 at deleted passages.
        names: ids of the passages by rank.
        stored: the same snapshot on disk.
        dtype: that rows are held in.
    """

    segments: dict[str, DeviceSegment]
    ranks: list[Tensor]
    names: list[str]
    stored: StoredPassages
    dtype: torch.dtype


class OnDeviceIndex:
    """Passages' embeddings on a device. It has the protocol of the index that it was made from.

    Rows are held in the dtype that they are multiplied in, or, where those do not fit, in int8 with a step a row. What
    is stored in 8 bits is held just so. Sums are float32. One writer at a time; searches under way keep their snapshot.
    """

    def __init__(
        self,
        index: StoredIndex,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.bfloat16,
        max_bytes: int | None = None,
        block_bytes: int = BLOCK_BYTES,
        previous: Sequence[PassageIndex] = (),
    ) -> None:
        """Sends an index to a device.

        Args:
            index: on disk.
            device: to keep its rows and to search on.
            dtype: to multiply in, and to hold rows in if they fit.
            max_bytes: that rows may take; None takes a share of what is free on a CUDA device, and sets no limit
                elsewhere.
            block_bytes: that a search may take for a block of passages, if one passage does not take more.
            previous: indexes on the device, whose segments are shared where they are the same.

        Raises:
            DeviceMemoryError: the rows do not fit, not even in int8.
            IndexDamagedError: the embeddings on disk were altered.
        """
        self._index = index
        self._device = device
        self._dtype = dtype
        self._max_bytes = max_bytes
        self._block_bytes = block_bytes
        there = [one._held.segments for one in previous if isinstance(one, OnDeviceIndex) and one._device == device]
        self._held: _Held = self._loaded({name: part for segments in there for name, part in segments.items()})
        scores_for(device, dtype, self._held.dtype, self.dim)  # compiles, so that no question waits for it

    @property
    def path(self) -> Path:
        """Folder of the index."""
        return self._index.path

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._index.dim

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the checkpoint that made the embeddings."""
        return self._index.fingerprint

    @property
    def ids(self) -> list[str]:
        """Ids of the passages, in the order of insertion."""
        return self._index.ids

    @property
    def n_tokens(self) -> int:
        """Embeddings held for passages that were not deleted."""
        return self._index.n_tokens

    @property
    def row_dtype(self) -> torch.dtype:
        """What rows are held in."""
        return self._held.dtype

    @property
    def device_bytes(self) -> int:
        """Memory that rows take on the device."""
        return sum(_n_bytes(part) for part in self._held.segments.values())

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, passage_id: object) -> bool:
        return passage_id in self._index

    def add(self, ids: Sequence[str], embeddings: Sequence[Tensor]) -> None:
        """Adds passages, all or none; as the index on disk does.

        Raises:
            DeviceMemoryError: they are in the index on disk, but it does not fit on the device any more.
        """
        self._index.add(ids, embeddings)
        self._held = self._loaded(self._held.segments)

    def delete(self, ids: Sequence[str]) -> None:
        """Deletes passages, all or none; as the index on disk does."""
        self._index.delete(ids)
        self._held = self._loaded(self._held.segments)

    def compact(self) -> None:
        """Merges what additions and deletions left, on disk and on the device.

        Raises:
            DeviceMemoryError: the index on disk is merged, but there is no room for it beside the old one.
        """
        self._index.compact()
        self._held = self._loaded(self._held.segments)

    def search(self, query: Tensor, *, k: int) -> list[tuple[str, float]]:
        """The k passages with the highest MaxSim, best first; equal scores in the order of insertion.

        Args:
            query: (n_rows, dim) unit rows, on any device.
            k: passages to return; fewer come if the index holds fewer.

        Raises:
            ValueError: the query does not fit the index, or k is below 1.
        """
        return self.search_batch([query], k=k)[0]

    def search_batch(self, queries: Sequence[Tensor], *, k: int) -> list[list[tuple[str, float]]]:
        """`search` for several queries; the rows are read once for many of them."""
        check_queries(queries, self.dim, k)
        held = self._held
        k = min(k, held.stored.n_passages)
        if k == 0:
            return [[] for _ in queries]
        scores = scores_for(self._device, self._dtype, held.dtype, self.dim)
        parts = list(zip(held.segments.values(), held.ranks, strict=True))
        results = []
        with torch.inference_mode():
            for group in in_groups(queries, QUERY_ROWS_A_PASS):
                rows = QueryRows.of(group, device=self._device, dtype=self._dtype)
                best = best_passages(parts, rows, k=k, scores=scores, block_bytes=self._block_bytes)
                results += [[(held.names[rank], score) for rank, score in one] for one in best]
        return results

    def contributions(self, query: Tensor, passage_id: str) -> Tensor:
        """(n_rows,) float32 on the processor: what each row of a query adds to a passage's score.

        Raises:
            KeyError: there is no such passage.
        """
        held = self._held
        number, position = held.stored.where[passage_id]
        segment = held.segments[held.stored.segments[number].entry.name]
        part = slice(*segment.offsets[position : position + 2].tolist())
        asked = query.detach().to(self._device, self._dtype).float()
        cosines = segment.rows[part].float() @ asked.T
        cosines = cosines if segment.steps is None else cosines * segment.steps[part][:, None]
        return cosines.amax(dim=0).cpu()

    def verify(self) -> None:
        """Reads every file on disk again and compares it with its checksum.

        Raises:
            IndexDamagedError: a file is missing, cut off or altered.
        """
        self._index.verify()

    def _loaded(self, there: dict[str, DeviceSegment]) -> _Held:
        """What is to be held now, made of what is there and what is sent."""
        stored = self._index.stored
        dtype = self._dtype_that_fits(there)
        segments = {}
        for segment in stored.segments:
            name = segment.entry.name
            if name in there and there[name].rows.dtype == dtype:
                segments[name] = there[name]
                continue
            try:
                segments[name] = load_segment(
                    segment, self._index.coordinates, dim=self.dim, dtype=dtype, device=self._device
                )
            except torch.OutOfMemoryError as error:
                raise DeviceMemoryError(f"{self._device} ran out of memory while the index was sent to it") from error
        order = np.argsort(stored.places) if stored.segments else np.zeros(0, dtype=np.int64)
        ranks = np.empty_like(order)
        ranks[order] = np.arange(len(order))
        if stored.segments:
            ranks[~stored.alive] = -1
        sizes = [segment.entry.n_passages for segment in stored.segments]
        return _Held(
            segments=segments,
            ranks=list(torch.split(torch.from_numpy(ranks).to(self._device), sizes)) if sizes else [],
            names=[stored.names[place] for place in order.tolist()],
            stored=stored,
            dtype=dtype,
        )

    def _dtype_that_fits(self, there: dict[str, DeviceSegment]) -> torch.dtype:
        """The dtype asked for, or int8.

        Raises:
            DeviceMemoryError: neither fits.
        """
        entries = [segment.entry for segment in self._index.stored.segments]
        for dtype in (torch.int8,) if self._stored_in_int8() else (self._dtype, torch.int8):
            shared = [there[entry.name] for entry in entries if entry.name in there]
            kept = sum(_n_bytes(part) for part in shared if part.rows.dtype == dtype)
            needed = bytes_a_row(self.dim, dtype) * sum(entry.n_tokens for entry in entries) - kept
            room = self._room(kept)
            if needed <= room:
                return dtype
        raise DeviceMemoryError(
            f"the index takes {needed / 1e9:.2f} GB more of {self._device} in 8 bits, and {max(room, 0) / 1e9:.2f} GB "
            "may be used"
        )

    def _stored_in_int8(self) -> bool:
        segments = self._index.stored.segments
        if not segments:
            return False
        return self._index.coordinates({name: field[:1] for name, field in segments[0].rows.items()}).steps is not None

    def _room(self, kept: int) -> float:
        """Bytes that may be taken beside what is kept."""
        if self._max_bytes is not None:
            return self._max_bytes - kept
        if self._device.type != "cuda":
            return float("inf")
        free, _ = torch.cuda.mem_get_info(self._device)
        return SHARE_OF_FREE * free


def _n_bytes(segment: DeviceSegment) -> int:
    return segment.rows.nbytes + (0 if segment.steps is None else segment.steps.nbytes)
