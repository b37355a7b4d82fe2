"""Keeps an index in step with a passage store. The store is the truth; the index is derived and may be thrown away."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from knowledge_bases.records import Passage
from rag_app.devices import out_of_memory_reported
from rag_app.errors import one_line
from rag_app.locking import folder_lock
from rag_app.progress import duration
from rag_app.stores import SharedStore, passage_picture
from retriever.encoder import Encoder, OpenPicture
from retriever.index.exact import ExactIndex
from retriever.index.opening import COMPRESS_FROM, compress, estimate, open_index
from retriever.index.protocol import StoredIndex

__all__ = ["SyncReport", "index_key", "index_keys", "passage_id_of", "sync"]

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
Notify = Callable[[str], None]

PASSAGES_PER_COMMIT = 1024  # what a crash can lose
_SEPARATOR = "@"


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """What `sync` did.

    Attributes:
        added: passages encoded and added.
        deleted: entries removed because their passage is gone or has changed.
        repaired: why the index was thrown away and built anew; empty when it was sound.
        seconds: how long it took.
    """

    added: int
    deleted: int
    repaired: str
    seconds: float


def index_key(passage: Passage, picture: str | None = None) -> str:
    """The passage's id in the index: it changes when what is encoded does, so that a changed passage is encoded again.

    Args:
        passage: the passage.
        picture: checksum of its picture, empty where it has none; None where the encoder reads texts only.
    """
    encoded = passage.content.encode("utf-8", errors="surrogatepass")
    encoded += b"" if picture is None else f"\0{picture}".encode()
    return f"{passage.passage_id}{_SEPARATOR}{hashlib.sha256(encoded).hexdigest()[:12]}"


def index_keys(store: SharedStore, *, with_pictures: bool) -> dict[str, str]:
    """Index key -> passage id of all passages of a store.

    Args:
        store: the passages.
        with_pictures: whether the index is of an encoder that reads passages' pictures.
    """
    digests = store.picture_digests() if with_pictures else None
    return {
        index_key(one, None if digests is None else digests.get(one.passage_id, "")): one.passage_id for one in store
    }


def passage_id_of(key: str) -> str:
    """The id of the passage that an index key stands for."""
    return key.rpartition(_SEPARATOR)[0]


def sync(
    store: SharedStore,
    encoder: Encoder,
    folder: Path,
    *,
    progress: Progress | None = None,
    notify: Notify = lambda message: None,
    force: bool = False,
) -> tuple[StoredIndex, SyncReport]:
    """Opens the store's index for this encoder and brings it up to date: encodes only what changed.

    The index lies in a folder of its own for each encoder (`folder / encoder.fingerprint`), is committed as it goes,
    and is built anew when it is damaged. Interrupted, it carries on at the next call. Processes wait for one another.
    From `COMPRESS_FROM` embeddings on, the index is compressed once all passages are encoded.

    Args:
        store: the passages.
        encoder: what the index is made with.
        folder: where the indexes of this store lie; it is created.
        progress: told (passages done, passages in all) while passages are encoded.
        notify: told what compressing the index will take, before it starts.
        force: build the index anew whatever its state.

    Raises:
        InputError: the device's memory ran out; what was encoded before is kept.
        OSError: the folder cannot be written, and the index is missing or out of date.
    """
    started = time.monotonic()
    path = folder / encoder.fingerprint
    current = _open_if_current(store, encoder, path) if not force else None
    if current is not None:
        current = _compressed_if_large(current, store, encoder, folder, notify)
        return current, SyncReport(added=0, deleted=0, repaired="", seconds=time.monotonic() - started)
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        if force and path.exists():
            shutil.rmtree(path)
        index, repaired = _open_or_create(encoder, path)
        deleted, added = _bring_up_to_date(index, store, encoder, progress)
    index = _compressed_if_large(index, store, encoder, folder, notify)
    report = SyncReport(added=added, deleted=deleted, repaired=repaired, seconds=time.monotonic() - started)
    logger.info("index %s: %s", path, report)
    return index, report


def _open_if_current(store: SharedStore, encoder: Encoder, path: Path) -> StoredIndex | None:
    """The index if nothing is to be done: needs no lock and no right to write."""
    if not path.exists():
        return None
    with suppress(ValueError, OSError):
        index = open_index(path, fingerprint=encoder.fingerprint)
        index.verify()
        if set(index.ids) == index_keys(store, with_pictures=encoder.passage_picture_rows > 0).keys():
            return index
    return None


def _open_or_create(encoder: Encoder, path: Path) -> tuple[StoredIndex, str]:
    repaired = ""
    if path.exists():
        try:
            index = open_index(path, fingerprint=encoder.fingerprint)
            index.verify()
            return index, repaired
        except (ValueError, OSError) as error:
            repaired = one_line(error)
            logger.warning("the index is built anew: %s", repaired)
            shutil.rmtree(path)
    return ExactIndex.create(path, dim=encoder.dim, fingerprint=encoder.fingerprint), repaired


def _bring_up_to_date(
    index: StoredIndex, store: SharedStore, encoder: Encoder, progress: Progress | None
) -> tuple[int, int]:
    """Deletes what is stale and adds what is new.

    Returns:
        (entries deleted, passages added).
    """
    present = set(index.ids)
    wanted = index_keys(store, with_pictures=encoder.passage_picture_rows > 0)
    stale = [key for key in index.ids if key not in wanted]
    if stale:
        index.delete(stale)
    missing = [key for key in wanted if key not in present]
    shown = store.picture_digests() if encoder.passage_picture_rows else {}
    done = 0
    remaining = iter(missing)
    while chunk := list(islice(remaining, PASSAGES_PER_COMMIT)):
        passages = store.get([wanted[key] for key in chunk])
        with out_of_memory_reported("passages were encoded", "again with no other program on it: what is done is kept"):
            embeddings = encoder.encode_passages(
                [passage.content for passage in passages],
                _pictures(store, passages, shown),
                progress=_offset(progress, done, len(missing)),
            )
        index.add(chunk, embeddings)
        done += len(passages)
    return len(stale), len(missing)


def _pictures(store: SharedStore, passages: Sequence[Passage], shown: Container[str]) -> dict[int, OpenPicture]:
    """What opens the picture of each passage that has one: those whose ids are in `shown`."""
    return {
        place: partial(passage_picture, store, passage.passage_id)
        for place, passage in enumerate(passages)
        if passage.passage_id in shown
    }


def _compressed_if_large(
    index: StoredIndex, store: SharedStore, encoder: Encoder, folder: Path, notify: Notify
) -> StoredIndex:
    """The index itself, or the compressed one in its place; where that cannot be written, the exact one serves."""
    if not isinstance(index, ExactIndex) or index.n_tokens < COMPRESS_FROM:
        return index
    from rag_app.sample_questions import sample_questions  # few processes need it

    try:
        with folder_lock(folder):
            current = open_index(index.path, fingerprint=index.fingerprint)  # another process may have done it
            if not isinstance(current, ExactIndex):
                return current
            device = encoder.model.device
            expected = estimate(len(current), current.n_tokens, current.dim, device=device)
            notify(
                f"compressing the index of {len(current):,} passages: about {duration(expected.seconds)}, "
                f"{expected.disk_bytes / 1e6:,.0f} MB of disk and {expected.memory_bytes / 1e6:,.0f} MB of memory"
            )
            questions = sample_questions(store, [passage_id_of(key) for key in current.ids], encoder)
            return compress(current, queries=questions, device=device)
    except OSError as error:
        notify(f"the index stays uncompressed and is slow to search: {one_line(error)}")
        return index


def _offset(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _of_chunk: progress(before + done, total)
