"""Late-interaction search over compressed embeddings: for collections that are too large to score exhaustively."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex

import numpy as np
import torch
from torch import Tensor

from retriever.index.calibration import calibrated, candidates_for
from retriever.index.codec import STEPS, Codec, CodecSettings, centroids_for, sample_size
from retriever.index.exact import ExactIndex
from retriever.index.manifest import (
    Calibration,
    IndexDamagedError,
    IndexMismatchError,
    Manifest,
    sha256,
)
from retriever.index.metric import metric_of
from retriever.index.ranking import check_new_rows, check_queries
from retriever.index.search import Searcher
from retriever.index.segments import Coordinates, Rows
from retriever.index.stored import StoredPassages
from retriever.precision import CPU, multiply_dtype

__all__ = ["IndexDamagedError", "IndexMismatchError", "LateInteractionIndex"]

TARGET_RECALL = 0.98
DRIFT = 1.3  # compact fits the codec again when its error has grown by this factor
DRIFT_TOKENS = 1 << 15  # that its error is measured on


class LateInteractionIndex:
    """Passages' embeddings compressed on disk, searched through a scan of their codes.

    It has `ExactIndex`'s protocol. One writer at a time; readers keep what they opened.
    """

    def __init__(self, stored: StoredPassages, codec: Codec) -> None:
        """Takes opened passages; use `create`, `convert` or `open`."""
        self.stored = stored
        self.codec = codec

    @classmethod
    def create(cls, path: Path, codec: Codec, *, fingerprint: str) -> LateInteractionIndex:
        """Starts an empty index.

        Args:
            path: folder that does not exist yet.
            codec: fitted to embeddings like those to come: `Codec.train`.
            fingerprint: of the checkpoint whose embeddings it will hold.

        Raises:
            FileExistsError: the path exists.
            IndexWriteError: the folder cannot be written.
        """
        manifest, files = _with_codec(Manifest(dim=codec.dim, fingerprint=fingerprint), codec)
        return cls(StoredPassages.create(path, manifest, codec.layout, files=files), codec)

    @classmethod
    def convert(
        cls,
        exact: ExactIndex,
        settings: CodecSettings | None = None,
        *,
        queries: Sequence[Tensor] = (),
        device: torch.device = CPU,
    ) -> LateInteractionIndex:
        """Compresses an exact index where it lies, in one commit: until then, it is the exact index.

        The codec is fitted to a sample of its rows, and the number of candidates that a recall takes is measured.

        Args:
            exact: with at least one passage; readers that have it open keep it.
            settings: of the codec.
            queries: like those to come, some of every length; what their rows have in common is encoded better, and
                the measuring is done with them. Without any, some are made up from the passages' own rows.
            device: to fit the codec and to encode on.

        Raises:
            ValueError: there is no passage, or another process has changed the index.
            IndexWriteError: the folder cannot be written.
        """
        settings = _sized(settings or CodecSettings(), exact.n_tokens)
        sample = _sample(exact.stored, ("embeddings",), sample_size(settings.n_centroids), settings.seed)["embeddings"]
        dtype = multiply_dtype(device)
        check_queries(queries, exact.dim, k=1)
        metric = metric_of(queries, exact.dim)
        codec = Codec.train(torch.from_numpy(sample).to(device).float(), settings, metric=metric, dtype=dtype)
        manifest, files = _with_codec(exact.stored.manifest, codec)
        stored = exact.stored.rewrite(
            manifest,
            codec.layout,
            lambda rows: codec.encode(torch.from_numpy(rows["embeddings"]).to(device), dtype=dtype),
            files=files,
        )
        index = cls(stored, codec)
        index._calibrate(queries, seed=settings.seed, exact=exact)
        return index

    @classmethod
    def open(cls, path: Path, *, fingerprint: str | None = None) -> LateInteractionIndex:
        """Opens an index.

        Args:
            path: its folder.
            fingerprint: of the checkpoint that is loaded; None takes any.

        Raises:
            IndexMismatchError: it was built with another checkpoint, or is an exact index.
            IndexDamagedError: a file is missing, cut off or altered.
        """
        while True:
            manifest = Manifest.read(path, fingerprint=fingerprint)
            if not manifest.codec:
                raise IndexMismatchError(f"{path} holds an exact index; open it with ExactIndex")
            try:
                codec = Codec.load(path / manifest.codec, checksum=manifest.codec_sha256)
                return cls(StoredPassages.open(path, manifest, codec.layout), codec)
            except IndexDamagedError:
                if Manifest.read(path).generation == manifest.generation:
                    raise

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
            embeddings: (n_tokens, dim) rows of each, about as long as those that the codec was fitted to.

        Raises:
            ValueError: an id is there already or comes twice, or rows are missing, misshapen, not finite, or too long
                for the codec.
            IndexWriteError: the folder cannot be written.
        """
        self.stored.check_new(ids)
        check_new_rows(ids, embeddings, self.dim)
        if not ids:
            return
        together = torch.cat([rows.detach().cpu() for rows in embeddings]).float()
        longest = float(together.norm(dim=1).max())
        if longest > 1.1 * self.codec.longest:
            raise ValueError(
                f"a row has length {longest:.3g} and the index was made for {self.codec.longest:.3g} at most; "
                "normalise the rows, or build the index again"
            )
        encoded = self.codec.encode(together, dtype=multiply_dtype())
        ends = np.cumsum([len(rows) for rows in embeddings])
        parts = [
            {name: field[end - len(rows) : end] for name, field in encoded.items()}
            for rows, end in zip(embeddings, ends.tolist(), strict=True)
        ]
        self._become(self.stored.add(ids, parts))

    def delete(self, ids: Sequence[str]) -> None:
        """Deletes passages, all or none.

        Raises:
            ValueError: an id is not in the index.
            IndexWriteError: the folder cannot be written.
        """
        self._become(self.stored.delete(ids))

    def compact(self, settings: CodecSettings | None = None) -> None:
        """Merges all segments into one; fits the codec again when the passages have drifted away from it.

        Args:
            settings: of a codec that is fitted again; its `n_bits` must be the index's.

        Raises:
            IndexWriteError: the folder cannot be written.
        """
        settings = settings or CodecSettings(n_bits=self.codec.n_bits)
        if len(self) == 0 or self.drift(seed=settings.seed) < DRIFT:
            self._become(self.stored.merge())
            return
        settings = _sized(settings, self.n_tokens)
        rows = _sample(self.stored, self._fields, sample_size(settings.n_centroids), settings.seed)
        sample = torch.from_numpy(self.codec.decode(rows))
        codec = Codec.train(sample, settings, metric=self.codec.metric, dtype=multiply_dtype())
        manifest, files = _with_codec(self.stored.manifest, codec)
        old = self.codec
        stored = self.stored.rewrite(
            manifest,
            codec.layout,
            lambda part: codec.encode(torch.from_numpy(old.decode(part)), dtype=multiply_dtype()),
            files=files,
        )
        self.codec = codec
        self._become(stored)
        self.calibrate(seed=settings.seed)

    def drift(self, *, seed: int = 0) -> float:
        """Error of the codes on a sample of the passages, as a multiple of that on the rows they were fitted to."""
        rows = _sample(self.stored, self._fields, DRIFT_TOKENS, seed)
        error = self.codec.decode(rows) - self.codec.approximate(rows)
        return float((error**2).sum(axis=1).mean()) / max(self.codec.spread, 1e-9)

    def calibrate(self, queries: Sequence[Tensor] = (), *, seed: int = 0) -> None:
        """Measures how many candidates a recall takes, and keeps it in the index.

        Args:
            queries: like those to come; without any, some are made up from the passages' own rows.
            seed: of what is made up.
        """
        self._calibrate(queries, seed=seed, exact=None)

    def _calibrate(self, queries: Sequence[Tensor], *, seed: int, exact: ExactIndex | None) -> None:
        """`calibrate`; with an exact index of the same passages, recall is counted by what that finds."""
        measured: tuple[Calibration, ...] = calibrated(
            self.stored, self.codec, self._searcher, queries, seed=seed, exact=exact
        )
        self._become(self.stored.recommit(replace(self.stored.manifest, calibration=measured)))

    def search(
        self, query: Tensor, *, k: int, n_candidates: int | None = None, target_recall: float = TARGET_RECALL
    ) -> list[tuple[str, float]]:
        """The k passages with the highest MaxSim over decoded rows, best first; equal scores in the order of insertion.

        Scores are up to the rounding of rows to 16 bits; where that would leave the order open, they are in float32.

        Args:
            query: (n_rows, dim) unit rows.
            k: passages to return; fewer come if the index holds fewer.
            n_candidates: passages that the scan leaves; with as many as the index holds, nothing is missed.
            target_recall: share of the best passages to find; picks from the calibration what is not given.

        Raises:
            ValueError: the query does not fit the index, or k is below 1.
            IndexDamagedError: the codes on disk were altered.
        """
        return self.search_batch([query], k=k, n_candidates=n_candidates, target_recall=target_recall)[0]

    def search_batch(
        self,
        queries: Sequence[Tensor],
        *,
        k: int,
        n_candidates: int | None = None,
        target_recall: float = TARGET_RECALL,
    ) -> list[list[tuple[str, float]]]:
        """`search` for several queries; with many of them, every thread has one of its own."""
        check_queries(queries, self.dim, k)
        if n_candidates is not None and n_candidates < 1:
            raise ValueError(f"n_candidates is {n_candidates}; rescore at least 1 passage")
        if len(self) == 0:
            return [[] for _ in queries]
        k = min(k, len(self))
        calibration = self.stored.manifest.calibration
        counts = [candidates_for(calibration, len(query), len(self), target_recall, k) for query in queries]
        candidates = [max(k, n_candidates or count.n_candidates) for count in counts]
        rescored = [max(k, count.n_rescored) for count in counts]
        rows = [query.detach().cpu().float().contiguous().numpy() for query in queries]
        return self._searcher.search_batch(rows, k, candidates, rescored)

    def contributions(self, query: Tensor, passage_id: str) -> Tensor:
        """What each row of a query adds to a passage's score over decoded rows; as `ExactIndex.contributions`.

        Raises:
            KeyError: there is no such passage.
        """
        rows = torch.from_numpy(self.codec.decode(self.stored.rows_of(passage_id)))
        return (rows @ query.detach().cpu().float().T).amax(dim=0)

    def coordinates(self, rows: Rows) -> Coordinates:
        """Stored rows as they are scored."""
        if self.codec.n_bits == 8:
            return Coordinates(rows["rows"], STEPS[rows["steps"][:, 0]])
        return Coordinates(self.codec.decode(rows), None)

    def verify(self) -> None:
        """Reads every file again and compares it with its checksum.

        Raises:
            IndexDamagedError: a file is missing, cut off or altered.
        """
        LateInteractionIndex.open(self.path).stored.verify()

    @property
    def _fields(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.codec.layout.fields)

    @cached_property
    def _searcher(self) -> Searcher:
        return Searcher(self.stored, self.codec, n_threads=torch.get_num_threads())

    def _become(self, stored: StoredPassages) -> None:
        self.stored = stored
        self.__dict__.pop("_searcher", None)


def _sized(settings: CodecSettings, n_tokens: int) -> CodecSettings:
    return replace(settings, n_centroids=settings.n_centroids or centroids_for(n_tokens, settings.n_bits))


def _with_codec(manifest: Manifest, codec: Codec) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest with another codec, and the file that it then names."""
    content, name = codec.save(), f"codec-{token_hex(8)}.npz"
    return replace(manifest, codec=name, codec_sha256=sha256(content), calibration=()), {name: content}


def _sample(stored: StoredPassages, fields: tuple[str, ...], n_tokens: int, seed: int) -> Rows:
    """Rows drawn from all segments, each row at most once."""
    random = np.random.default_rng(seed)
    whole = sum(segment.entry.n_tokens for segment in stored.segments)
    if whole == 0:
        raise ValueError(f"{stored.path} holds no passage; add some first")
    picks = [
        np.sort(random.permutation(segment.entry.n_tokens)[: max(1, n_tokens * segment.entry.n_tokens // whole)])
        for segment in stored.segments
    ]
    return {
        name: np.concatenate([segment.rows[name][pick] for segment, pick in zip(stored.segments, picks, strict=True)])
        for name in fields
    }
