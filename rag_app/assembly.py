"""Opens everything that a preset names and puts it together, ready to answer."""

from __future__ import annotations

import atexit
import copy
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from generator.catalog import Quantization
from generator.loading import load_generator
from generator.modes import ReadingMode
from generator.protocol import Generator
from rag_app.config import Preset, checkpoint_location
from rag_app.devices import Placement, resolve_placement
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.finder import Finder, PassageFinder
from rag_app.indexing import sync
from rag_app.joining import indexes_of, join_finders
from rag_app.knowledge import Knowledge, open_store
from rag_app.pipeline import RagPipeline
from rag_app.stores import Passages, SharedStore
from retriever.checkpoints import load_retriever
from retriever.encoder import Encoder
from retriever.index.manifest import DeviceMemoryError, IndexDamagedError
from retriever.index.opening import searched_on
from retriever.index.protocol import PassageIndex, StoredIndex

__all__ = ["Application", "load_encoder", "open_application", "open_finder", "open_index"]

Notify = Callable[[str], None]
Progress = Callable[[int, int], None]


@dataclass(kw_only=True, eq=False)
class Application:
    """Everything opened and ready. `kb_use` changes which knowledge bases it asks, `preset_use` its models.

    Attributes:
        preset: what it was opened with.
        placement: device and dtype of the models.
        pipeline: answers questions.
        knowledge: the knowledge bases, one or several that are asked together.
        store: the passages; None when nothing is retrieved.
        n_passages: how many there are.
        retriever_fingerprint: of the loaded retriever; empty when nothing is retrieved.
        var: folder of derived data and of what people leave behind.
        changing: held by whoever changes it, from beginning to end.
    """

    preset: Preset
    placement: Placement
    pipeline: RagPipeline
    knowledge: tuple[Knowledge, ...]
    store: Passages | None = None
    n_passages: int = 0
    retriever_fingerprint: str = ""
    var: Path
    changing: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def knowledge_base(self) -> str:
        """Name of the knowledge base; several have commas between."""
        return ",".join(one.name for one in self.knowledge)

    @property
    def knowledge_base_title(self) -> str:
        """The same for people."""
        return " and ".join(one.title for one in self.knowledge)

    @property
    def examples(self) -> tuple[tuple[Path, str], ...]:
        """Pairs of a picture and a question to try."""
        return tuple(example for one in self.knowledge for example in one.examples)

    def snapshot(self) -> Application:
        """The application as it is now, which no later change reaches."""
        return copy.copy(self)

    def change(self, **values: object) -> None:
        """Sets several attributes at once: a snapshot has all of them or none."""
        vars(self).update(values)


def open_application(
    preset: Preset,
    *knowledge: Knowledge,
    var: Path,
    retrieve: bool = True,
    notify: Notify = lambda message: None,
    progress: Progress | None = None,
    check: Callable[[], None] = lambda: None,
) -> Application:
    """Loads the models and brings the index up to date.

    Args:
        preset: which checkpoints, on which device.
        knowledge: the knowledge base, or several that are asked together.
        var: folder of derived data. Where it cannot be written, a temporary folder serves for this run.
        retrieve: False answers without passages; retriever, store and index are then not opened.
        notify: told what a person should know.
        progress: told (passages done, passages in all) while passages are encoded.
        check: called after each of the models; what it raises ends the loading.

    Raises:
        InputError: a checkpoint, the knowledge base or the device cannot be used.
    """
    placement = resolve_placement(preset.device, preset.dtype)
    generator = _load_generator(preset, placement)
    check()
    finder: Finder | None = None
    if retrieve:
        encoder = load_encoder(preset, placement)
        check()
        finder = open_finder(knowledge, encoder, var=var, notify=notify, progress=progress)
    store = finder.store if finder is not None else None
    return Application(
        preset=preset,
        placement=placement,
        pipeline=RagPipeline(finder=finder, generator=generator, k=preset.k),
        knowledge=knowledge,
        store=store,
        n_passages=len(store) if store is not None else 0,
        retriever_fingerprint=finder.encoder.fingerprint if finder is not None else "",
        var=var,
    )


def load_encoder(preset: Preset, placement: Placement) -> Encoder:
    """The preset's retriever.

    Raises:
        InputError: the checkpoint is missing, damaged or of another kind.
    """
    with reported_as_input("retriever"):
        location = checkpoint_location(preset.retriever)
        return load_retriever(location, device=placement.device, dtype=placement.dtype)


def _load_generator(preset: Preset, placement: Placement) -> Generator:
    from transformers.utils import logging as transformers_logging

    # Of reading weights from the disk; downloads still show theirs.
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with reported_as_input("generator"):
        location = checkpoint_location(preset.generator)
        return load_generator(
            location,
            device=placement.device,
            dtype=placement.dtype,
            mode=ReadingMode(preset.mode),
            max_prompt_tokens=preset.max_prompt_tokens,
            max_knowledge_characters=preset.max_knowledge_characters,
            server_timeout=preset.server_timeout,
            adapter=Path(checkpoint_location(preset.adapter)) if preset.adapter else None,
            quantization=Quantization(preset.quantization) if preset.quantization else None,
            device_map=preset.device_map,
            api_key=os.environ.get("RAG_APP_API_KEY"),
        )


def open_finder(
    knowledge: Sequence[Knowledge],
    encoder: Encoder,
    *,
    var: Path,
    notify: Notify = lambda message: None,
    progress: Progress | None = None,
    previous: Finder | None = None,
) -> Finder:
    """Finds passages in knowledge bases; their indexes are brought up to date one after the other.

    Where the encoder is on a CUDA device, so are the indexes, as far as its memory goes.

    Args:
        knowledge: the knowledge bases.
        encoder: of questions and passages.
        var: folder of derived data.
        notify: told what a person should know.
        progress: told (passages done, passages in all) while passages are encoded.
        previous: a finder that this one replaces; what it has on the device is not sent again.

    Raises:
        InputError: as for `open_index`.
    """
    parts = {}
    for one in knowledge:
        store, stored = open_index(one, encoder, var=var, notify=notify, progress=progress)
        index = _searched_where_encoded(stored, encoder, notify, previous)
        parts[one.name] = PassageFinder(encoder=encoder, index=index, store=store)
    return join_finders(parts)


def _searched_where_encoded(
    index: StoredIndex, encoder: Encoder, notify: Notify, previous: Finder | None
) -> PassageIndex:
    device, dtype = encoder.model.device, encoder.model.dtype
    there = [] if previous is None else indexes_of(previous)
    try:
        with reported_as_input("", kinds=(IndexDamagedError,)):
            return searched_on(index, device=device, dtype=dtype, previous=there)
    except DeviceMemoryError as error:
        notify(f"passages are searched on the CPU: {one_line(error)}")
        return index


def open_index(
    knowledge: Knowledge,
    encoder: Encoder,
    *,
    var: Path,
    notify: Notify = lambda message: None,
    progress: Progress | None = None,
    force: bool = False,
) -> tuple[SharedStore, StoredIndex]:
    """The store and its index, up to date; in a temporary folder when `var` cannot be written.

    Raises:
        InputError: the knowledge base is damaged or empty, or no folder can be written.
    """
    try:
        return _open_index_in(var, knowledge, encoder, notify, progress, force=force)
    except OSError as error:
        notify(f"{var} cannot be written ({one_line(error)}); a temporary folder is used for this run")
    try:
        temporary = Path(tempfile.mkdtemp(prefix="rag_app-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return _open_index_in(temporary, knowledge, encoder, notify, progress, force=force)
    except OSError as error:
        raise InputError(f"no folder can be written for the index ({one_line(error)}); give one with --var") from error


def _open_index_in(
    var: Path,
    knowledge: Knowledge,
    encoder: Encoder,
    notify: Notify,
    progress: Progress | None,
    *,
    force: bool,
) -> tuple[SharedStore, StoredIndex]:
    store = open_store(knowledge, var)
    if len(store) == 0:
        raise InputError(f"knowledge base {knowledge.name!r} is empty; add passages to it first")
    folder = var / "indexes" / knowledge.folder
    index, report = sync(store, encoder, folder, progress=progress, notify=notify, force=force)
    if report.repaired:
        notify(f"the index was damaged and has been built anew ({report.repaired})")
    return store, index
