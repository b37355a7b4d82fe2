"""Says whether a knowledge base and its indexes are sound and in step, and what they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_bases.store import PassageStore
from knowledge_bases.upkeep import StoreFigures, figures, problems, rebuild_words
from rag_app.counting import number_of
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.knowledge import Knowledge, changing, open_store
from rag_app.stores import SharedStore

__all__ = ["IndexState", "KnowledgeState", "counted", "index_states", "look", "mend_words", "require_sound", "verify"]

_TOKENS_A_WORD = 1.2  # embeddings; World Flags has 1.1
_BYTES_A_TOKEN = 256  # 128 numbers in float16, as the exact index keeps


@dataclass(frozen=True, kw_only=True)
class IndexState:
    """One index of a knowledge base.

    Attributes:
        checkpoint: fingerprint of the retriever that it is made with.
        kind: `exact` or `compressed`.
        passages: entries.
        tokens: embeddings.
        disk_bytes: of its files; searched, it takes about as much memory.
        missing: passages of the store that it lacks.
        stale: entries whose passage has changed or is gone.
        damage: what is wrong with its files; empty when they are sound.
    """

    checkpoint: str
    kind: str = ""
    passages: int = 0
    tokens: int = 0
    disk_bytes: int = 0
    missing: int = 0
    stale: int = 0
    damage: str = ""

    @property
    def in_step(self) -> bool:
        """Whether it is sound and holds exactly the passages of the store."""
        return not (self.damage or self.missing or self.stale)

    def __str__(self) -> str:
        if self.damage:
            return f"index {self.checkpoint}: damaged ({self.damage}); `kb sync` builds it anew"
        passages, embeddings = number_of(self.passages, "passage"), number_of(self.tokens, "embedding")
        size = f"{passages}, {embeddings}, {self.disk_bytes / 1e6:,.1f} MB"
        if self.in_step:
            return f"index {self.checkpoint} ({self.kind}): in step; {size}"
        return (
            f"index {self.checkpoint} ({self.kind}): behind, {number_of(self.missing, 'passage')} to encode and "
            f"{number_of(self.stale, 'entry', 'entries')} to delete; `kb sync` or the next question does it; {size}"
        )


@dataclass(frozen=True, kw_only=True)
class KnowledgeState:
    """A knowledge base that was looked at.

    Attributes:
        name: of the knowledge base.
        figures: of its store.
        content_hash: over all passages in their order, and their pictures.
        problems: what is wrong with the store; empty when it is sound.
        indexes: made so far.
    """

    name: str
    figures: StoreFigures
    content_hash: str
    problems: tuple[str, ...] = ()
    indexes: tuple[IndexState, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """What an index in memory takes: the largest there is, else an estimate from the number of words."""
        sound = [index.disk_bytes for index in self.indexes if index.in_step]
        return max(sound) if sound else round(self.figures.words * _TOKENS_A_WORD * _BYTES_A_TOKEN)

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged; an index may still be behind."""
        return not self.problems and not any(index.damage for index in self.indexes)


def look(knowledge: Knowledge, var: Path) -> KnowledgeState:
    """Counts a knowledge base, without a look at its indexes.

    Raises:
        InputError: the store is damaged.
    """
    return counted(knowledge.name, open_store(knowledge, var))


def counted(name: str, shared: SharedStore) -> KnowledgeState:
    """Counts the passages of a store.

    Raises:
        InputError: the store is damaged.
    """
    with reported_as_input(f"knowledge base {name!r}"), PassageStore.open(shared.path) as store:
        return KnowledgeState(name=name, figures=figures(store), content_hash=store.content_hash())


def verify(knowledge: Knowledge, var: Path) -> KnowledgeState:
    """Checks every page of the store, the index of its words, and every index with its checksums.

    Raises:
        InputError: the store cannot even be opened or read.
    """
    shared = open_store(knowledge, var)
    with reported_as_input(f"knowledge base {knowledge.name!r}"), PassageStore.open(shared.path) as store:
        return KnowledgeState(
            name=knowledge.name,
            figures=figures(store),
            content_hash=store.content_hash(),
            problems=tuple(problems(store)),
            indexes=index_states(knowledge, shared, var),
        )


def mend_words(knowledge: Knowledge, var: Path) -> bool:
    """Makes the index of words of a store anew if it does not agree with the passages. Returns whether it was so.

    Raises:
        InputError: the store is damaged or cannot be written.
    """
    if knowledge.own_store is None:
        return False
    with (
        reported_as_input(f"knowledge base {knowledge.name!r}"),
        changing(knowledge.name, var),
        PassageStore.open(knowledge.own_store) as store,
    ):
        return rebuild_words(store)


def index_states(knowledge: Knowledge, store: SharedStore, var: Path) -> tuple[IndexState, ...]:
    """Every index of a knowledge base, compared with its store and its own checksums."""
    folder = var / "indexes" / knowledge.folder
    if not folder.is_dir():
        return ()
    from rag_app.indexing import index_keys

    ways = [set(index_keys(store, with_pictures=shown)) for shown in (False, True)]
    return tuple(_index_state(path, ways) for path in sorted(folder.iterdir()) if path.is_dir())


def _index_state(path: Path, ways: Sequence[set[str]]) -> IndexState:
    """`ways`: the keys of all passages, for encoders that read texts only and for those that read pictures too."""
    from retriever.index.exact import ExactIndex
    from retriever.index.opening import open_index

    try:
        index = open_index(path, fingerprint=path.name)
        index.verify()
    except (ValueError, OSError) as error:
        return IndexState(checkpoint=path.name, damage=one_line(error))
    present = set(index.ids)
    wanted = max(ways, key=lambda keys: len(keys & present))
    return IndexState(
        checkpoint=path.name,
        kind="exact" if isinstance(index, ExactIndex) else "compressed",
        passages=len(index),
        tokens=index.n_tokens,
        disk_bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        missing=len(wanted - present),
        stale=len(present - wanted),
    )


def require_sound(state: KnowledgeState) -> None:
    """Raises an `InputError` that says what to do where something is damaged."""
    if state.problems:
        raise InputError(
            f"knowledge base {state.name!r} is damaged ({'; '.join(state.problems)}); if `kb sync` does not mend it, "
            "restore a copy, or export what can be read"
        )
    damaged = [index for index in state.indexes if index.damage]
    if damaged:
        raise InputError(f"{damaged[0]}")
