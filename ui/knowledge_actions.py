"""What the page does with knowledge bases: plain functions that its tab and its endpoints share."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.exporting import picture_ending
from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app import own_knowledge
from rag_app.errors import InputError, reported_as_input
from rag_app.kb_checks import KnowledgeState, counted, look, verify
from rag_app.kb_use import KnowledgeInUse
from rag_app.knowledge import bad_rows_path, list_knowledge, named_knowledge, open_store, own_store_path
from rag_app.stores import SharedStore
from ui.encoding import Encoding
from ui.stopping import Tell

__all__ = [
    "EXPORTS",
    "MOST_FOUND",
    "PAGE",
    "Counts",
    "Found",
    "Shown",
    "bad_rows_of",
    "browse",
    "check_there",
    "export",
    "followed",
    "handed_out",
    "names",
    "show",
    "state_of",
    "stored",
]

PAGE = 20  # passages shown at a time
EXPORTS = ("jsonl", "csv", "zip")  # kinds of files; the last one alone holds pictures
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


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was looked for.

    Attributes:
        passages: the first ones, or one page.
        pages: how many there are.
        more: whether more passages have these words.
    """

    passages: list[Passage]
    pages: int = 1
    more: bool = False


def browse(shared: SharedStore, words: str, page: int) -> Found:
    """Passages with these words, best first and at most `MOST_FOUND`; without words, one page of all.

    Args:
        shared: the passages of a knowledge base.
        words: what to look for.
        page: from 1; only without words.

    Raises:
        InputError: there is no such page.
    """
    if words.strip():
        found = shared.search_text(words, MOST_FOUND + 1)
        return Found(passages=found[:MOST_FOUND], more=len(found) > MOST_FOUND)
    with reported_as_input(), PassageStore.open(shared.path) as store:
        pages = max(1, -(-len(store) // PAGE))
        if not 1 <= page <= pages:
            raise InputError(f"there is no page {page}; give 1 to {pages}")
        return Found(passages=store.part((page - 1) * PAGE, PAGE), pages=pages)


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


def handed_out(bad_rows: Path, name: str, var: Path, folder: Path) -> Path:
    """A copy of a list of bad rows in a folder that the page may hand out; all of it, where nothing was made.

    Args:
        bad_rows: the list.
        name: of the knowledge base that it is about; where there is none, the list goes once it is copied.
        var: folder of derived data.
        folder: for the copy.
    """
    copy = Path(shutil.copy(bad_rows, _fresh(folder)))
    if not own_store_path(name, var).exists():
        bad_rows.unlink(missing_ok=True)
    return copy


def bad_rows_of(name: str, var: Path, folder: Path) -> Path:
    """The rows that the last import into a knowledge base of your own could not take, as a file to hand out.

    Raises:
        InputError: there is no such list.
    """
    listed = bad_rows_path(name, var)
    if not listed.is_file():
        raise InputError(f"no list of bad rows is kept for {name!r}; its last import had none, or was never made")
    return handed_out(listed, name, var, folder)


def _fresh(folder: Path) -> Path:
    path = folder / secrets.token_hex(8)
    path.mkdir(parents=True)
    return path
