"""What the page does to make or extend a knowledge base: plain functions that its form and its endpoints share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from knowledge_bases.importing.hub import HubName, HubSource
from knowledge_bases.importing.items import Columns, Entry, ReadSettings, Splitting
from knowledge_bases.importing.previewing import Preview
from knowledge_bases.importing.source import FileSource
from rag_app.counting import number_of
from rag_app.errors import InputError, reported_as_input
from rag_app.importing import ImportProgress, ImportReport, Known, take_in
from rag_app.kb_use import KnowledgeInUse
from rag_app.progress import duration
from ui.knowledge_actions import followed
from ui.stopping import Stopped, Tell

__all__ = ["LOOKED_THROUGH", "import_files", "preview_files", "read_settings"]

LOOKED_THROUGH = 200  # passages, for ids that come again


def read_settings(
    columns: Columns, *, split: bool, words: int, overlap: int, encoding: str = ReadSettings.encoding
) -> ReadSettings:
    """How files are read, as the form says it. Without `split`, documents are split as usual and tables are not.

    Raises:
        InputError: a number or the encoding makes no sense.
    """
    with reported_as_input():
        splitting = Splitting(words=words if split else None, overlap=overlap)
        return ReadSettings(columns=columns, splitting=splitting, encoding=encoding.strip() or ReadSettings.encoding)


def preview_files(
    files: Sequence[str], settings: ReadSettings, *, data_set: str = ""
) -> tuple[Preview, tuple[str, ...]]:
    """What would go in; nothing is written.

    Args:
        files: paths of uploads.
        settings: how they are read.
        data_set: name of one on the hub, in place of files.

    Returns:
        the beginning, and the ids that come more than once among the first `LOOKED_THROUGH` passages.

    Raises:
        InputError: nothing was given, or nothing of it can be read.
    """
    with _opened(files, data_set) as source, reported_as_input():
        preview = source.preview(settings, limit=8)
        if preview.problem:
            return preview, ()
        with closing(source.items(settings)) as items:
            first = islice(items, LOOKED_THROUGH)
            times = Counter(one.passage.passage_id for one in first if isinstance(one, Entry))
    return preview, tuple(key for key, count in times.items() if count > 1)


def import_files(
    name: str,
    var: Path,
    files: Sequence[str],
    settings: ReadSettings,
    *,
    known: Known,
    strict: bool,
    in_use: KnowledgeInUse,
    tell: Tell,
    data_set: str = "",
) -> tuple[ImportReport, bool]:
    """Takes files, or a data set of the hub, in, and encodes them where questions are answered from the knowledge base.

    The knowledge base is made if it is not there.

    Args:
        name: of the knowledge base.
        var: folder of derived data.
        files: paths of uploads.
        settings: how they are read.
        known: what happens with ids that are there.
        strict: take all or nothing.
        in_use: follows the change.
        tell: told how far it is; where it raises `Stopped` while files are read, that ends the import and nothing is
            changed.
        data_set: name of one on the hub, in place of files.

    Returns:
        what was taken in, and whether the index of what questions are answered from holds it: not where `tell` raised
        `Stopped` while passages were encoded.

    Raises:
        InputError: nothing can be taken in.
    """
    started = time.monotonic()

    def told(progress: ImportProgress) -> None:
        share = progress.done / progress.total if progress.total else 0.0  # nobody knows of what
        left = f", about {duration((time.monotonic() - started) / share * (1 - share))} left" if 0 < share < 1 else ""
        bad = f", {number_of(progress.bad, 'bad row')}" if progress.bad else ""
        tell(share, f"{number_of(progress.passages, 'passage')} read{bad}{left}")

    with _opened(files, data_set) as source, closing(source.items(settings)) as items:
        report = take_in(
            items,
            name,
            var,
            position=lambda: (source.done, source.total),
            known=known,
            strict=strict,
            progress=told,
        )
    try:
        followed(name, in_use, tell)
        indexed = True
    except Stopped:
        indexed = False
    return replace(report, seconds=time.monotonic() - started), indexed


def _opened(files: Sequence[str], data_set: str) -> FileSource | HubSource:
    if files and data_set.strip():
        raise InputError("both files and a data set were given; give one of them")
    if not files and not data_set.strip():
        raise InputError("there are no files; upload some, or name a data set of the hub")
    with reported_as_input():
        return FileSource([Path(file) for file in files]) if files else HubSource(HubName.parse(data_set))
