"""What the page does with knowledge bases: plain functions that its tab and its endpoints share."""

from __future__ import annotations

import secrets
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from knowledge_bases.exporting import picture_ending
from knowledge_bases.importing.items import Columns, Entry, ReadSettings, Splitting
from knowledge_bases.importing.source import FileSource, Preview
from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app import own_knowledge
from rag_app.errors import InputError, reported_as_input
from rag_app.importing import ImportProgress, ImportReport, Known, take_in
from rag_app.kb_checks import KnowledgeState, counted, look, verify
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import list_knowledge, named_knowledge, open_store, own_store_path
from rag_app.progress import duration
from rag_app.stores import SharedStore
from ui.encoding import Encoding
from ui.stopping import Stopped, Tell

__all__ = [
    "EXPORTS",
    "LOOKED_THROUGH",
    "MOST_FOUND",
    "PAGE",
    "Counts",
    "Shown",
    "browse",
    "check_there",
    "copied",
    "export",
    "followed",
    "import_files",
    "names",
    "preview_files",
    "read_settings",
    "show",
    "state_of",
    "stored",
]

PAGE = 20  # passages shown at a time
EXPORTS = ("jsonl", "csv", "zip")  # kinds of files; the last one alone holds pictures
LOOKED_THROUGH = 200  # passages, for ids that come again
MOST_FOUND = 100  # passages that a search gives


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A passage with its picture.

    Attributes:
        passage: the passage.
        picture: file of its picture, or None.
    """

    passage: Passage
    picture: Path | None


def names(var: Path) -> list[str]:
    """Every knowledge base that has a name."""
    return [knowledge.name for knowledge in list_knowledge(var)]


def check_there(name: str, var: Path) -> None:
    """Makes sure that there is a knowledge base of this name, which somebody may have just thought of.

    Raises:
        InputError: there is none, or there can be none.
    """
    if name not in names(var):
        own_store_path(name or "", var)
        raise InputError(f"there is no {name!r} yet; take files in below to make it")


def state_of(name: str, var: Path, *, checked: bool = False) -> KnowledgeState:
    """Counts of a knowledge base; `checked` also reads every page of it and of its indexes.

    Raises:
        InputError: there is no such knowledge base, or its store cannot be read.
    """
    knowledge = named_knowledge(name, var)
    return (verify if checked else look)(knowledge, var)


def stored(name: str, var: Path) -> SharedStore:
    """The passages of a knowledge base.

    Raises:
        InputError: there is none of this name.
    """
    knowledge = named_knowledge(name, var)
    if knowledge.own_store is None:
        return open_store(knowledge, var)
    with reported_as_input(f"knowledge base {name!r}"):
        return SharedStore(knowledge.own_store)  # without reading it through, which takes long where it is large


class Counts:
    """Counts of knowledge bases, made once for each state of a file."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], KnowledgeState]] = {}

    def of(self, name: str, shared: SharedStore) -> KnowledgeState:
        """What a store holds.

        Raises:
            InputError: it is damaged or gone.
        """
        with reported_as_input(f"knowledge base {name!r}", kinds=(OSError,)):
            file = shared.path.stat()
        state = (file.st_mtime_ns, file.st_size)
        if self._known.get(shared.path, (None,))[0] != state:
            self._known[shared.path] = state, counted(name, shared)
        return self._known[shared.path][1]


def browse(shared: SharedStore, words: str, page: int) -> tuple[list[Passage], int]:
    """Passages with these words, best first; without words, one page of all.

    Args:
        shared: the passages of a knowledge base.
        words: what to look for.
        page: from 1; only without words.

    Returns:
        the passages, and how many pages there are.

    Raises:
        InputError: there is no such page.
    """
    if words.strip():
        return shared.search_text(words, MOST_FOUND), 1
    with reported_as_input(), PassageStore.open(shared.path) as store:
        pages = max(1, -(-len(store) // PAGE))
        if not 1 <= page <= pages:
            raise InputError(f"there is no page {page}; give 1 to {pages}")
        return store.part((page - 1) * PAGE, PAGE), pages


def show(shared: SharedStore, passage_id: str, folder: Path) -> Shown:
    """One passage; its picture is written to a file in a folder.

    Raises:
        InputError: there is no such passage, or none is named.
    """
    if not passage_id:
        raise InputError("no passage is chosen; choose a passage first")
    with reported_as_input(), PassageStore.open(shared.path) as store:
        (passage,) = store.get([passage_id])
        content = store.picture(passage_id)
    if content is None:
        return Shown(passage=passage, picture=None)
    # The name is like no other: by it the page knows the picture again that nobody has changed.
    path = _fresh(folder) / f"picture-{secrets.token_hex(8)}.{picture_ending(content)}"
    path.write_bytes(content)
    return Shown(passage=passage, picture=path)


def read_settings(
    columns: Columns, *, split: bool, words: int, overlap: int, encoding: str = "utf-8-sig"
) -> ReadSettings:
    """How files are read, as the form says it. Without `split`, documents are split as usual and tables are not.

    Raises:
        InputError: a number or the encoding makes no sense.
    """
    with reported_as_input():
        splitting = Splitting(words=words if split else None, overlap=overlap)
        return ReadSettings(columns=columns, splitting=splitting, encoding=encoding.strip() or "utf-8-sig")


def preview_files(files: Sequence[str], settings: ReadSettings) -> tuple[Preview, tuple[str, ...]]:
    """What would go in; nothing is written.

    Returns:
        the beginning, and the ids that come more than once among the first `LOOKED_THROUGH` passages.

    Raises:
        InputError: nothing was uploaded, or nothing of it can be read.
    """
    with _opened(files) as source:
        preview = source.preview(settings, limit=8)
        if preview.problem:
            return preview, ()
        first = islice(source.items(settings), LOOKED_THROUGH)
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
) -> tuple[ImportReport, bool]:
    """Takes files into a knowledge base, which is made if it is not there, and encodes them if it is in use.

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

    Returns:
        what was taken in, and whether the index of what questions are answered from holds it: not where `tell` raised
        `Stopped` while passages were encoded.

    Raises:
        InputError: nothing can be taken in.
    """
    started = time.monotonic()

    def told(progress: ImportProgress) -> None:
        share = progress.done / max(1, progress.total)
        left = f", about {duration((time.monotonic() - started) / share * (1 - share))} left" if 0 < share < 1 else ""
        bad = f", {progress.bad:,} bad rows" if progress.bad else ""
        tell(share, f"{progress.passages:,} passages read{bad}{left}")

    with _opened(files) as source:
        report = take_in(
            source.items(settings),
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


def followed(name: str, in_use: KnowledgeInUse, tell: Tell) -> None:
    """After a change: encodes what is new if questions are answered from this knowledge base.

    Args:
        name: of the knowledge base.
        in_use: what questions are answered from.
        tell: told how far it is; what it raises stops it. The next time goes on from there.
    """
    if name in in_use.names:
        tell(0.0, "the passages are in; encoding them")
    in_use.follow(name, progress=Encoding(tell))


def export(name: str, var: Path, kind: str, folder: Path) -> Path:
    """A file with every passage.

    Raises:
        InputError: there is no such knowledge base or kind of file.
    """
    named_knowledge(name, var)
    path = _fresh(folder) / f"{name}.{kind}"
    own_knowledge.export_passages(name, var, path)
    return path


def copied(path: Path, folder: Path) -> Path:
    """A copy in a folder that the page may hand out."""
    return Path(shutil.copy(path, _fresh(folder)))


def _opened(files: Sequence[str]) -> FileSource:
    if not files:
        raise InputError("there are no files; upload some")
    with reported_as_input():
        return FileSource([Path(file) for file in files])


def _fresh(folder: Path) -> Path:
    path = folder / secrets.token_hex(8)
    path.mkdir(parents=True)
    return path
