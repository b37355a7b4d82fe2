"""Changes which knowledge bases an opened application answers from, and keeps their indexes in step."""

from __future__ import annotations

from collections.abc import Callable

from rag_app.assembly import Application, open_finder, open_index
from rag_app.errors import InputError
from rag_app.finder import Finder
from rag_app.kb_checks import mend_words
from rag_app.knowledge import Knowledge, check_names_differ, list_knowledge, named_knowledge
from rag_app.stores import JoinedStore, SharedStore

__all__ = ["KnowledgeInUse"]

Progress = Callable[[int, int], None]


class KnowledgeInUse:
    """The knowledge bases that questions are answered from, for all visitors of a page."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._first = application.knowledge  # they may lie at a path, and have no name that others know

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(one.name for one in self._application.knowledge)

    def choices(self) -> list[Knowledge]:
        """What there is to use: everything that has a name, and what the application was opened with."""
        known = list_knowledge(self._application.var)
        names = {one.name for one in known}
        return [*known, *(one for one in self._first if one.name not in names and one.own_store is None)]

    def passages(self, name: str) -> SharedStore | None:
        """The passages of one that is in use; None for any other name."""
        store = self._application.store
        if isinstance(store, JoinedStore):
            return store.parts.get(name)
        return store if self.names == (name,) and isinstance(store, SharedStore) else None

    def use(self, *names: str, progress: Progress | None = None) -> int:
        """Answers from these knowledge bases from now on; questions under way keep those they began with.

        Args:
            names: of knowledge bases; their indexes are brought up to date first.
            progress: told (passages encoded, passages to encode).

        Returns:
            passages that are indexed.

        Raises:
            InputError: there is no such knowledge base, it is empty, or nothing is retrieved here.
        """
        check_names_differ(names)
        knowledge = tuple(self._named(name) for name in names)
        with self._application.changing:
            finder = self._opened(knowledge, progress=progress)
            self._application.change(
                pipeline=self._application.pipeline.with_finder(finder),
                knowledge=knowledge,
                store=finder.store,
                n_passages=len(finder.store),
            )
        return len(finder.store)

    def sync(self, name: str, *, force: bool = False, progress: Progress | None = None) -> int:
        """Mends and brings up to date what is derived from the passages, and uses it if this one is in use.

        Args:
            name: of a knowledge base.
            force: build the index anew.
            progress: as for `use`.

        Returns:
            passages that are indexed.

        Raises:
            InputError: as for `use`.
        """
        application = self._application
        knowledge = self._named(name)
        with application.changing:
            mend_words(knowledge, application.var)
            encoder = self._finder().encoder
            _, index = open_index(knowledge, encoder, var=application.var, progress=progress, force=force)
            if name in self.names:
                self.use(*self.names, progress=progress)
        return len(index)

    def follow(self, name: str, *, progress: Progress | None = None) -> None:
        """After a change: brings the index up to date if questions are answered from this knowledge base.

        Args:
            name: of the knowledge base.
            progress: as for `use`; what it raises ends the encoding, and the next time goes on from there.
        """
        if name in self.names and self._application.pipeline.finder is not None:
            self.sync(name, progress=progress)

    def _named(self, name: str) -> Knowledge:
        ours = [one for one in self._first if one.name == name]
        return ours[0] if ours else named_knowledge(name, self._application.var)

    def _finder(self) -> Finder:
        finder = self._application.pipeline.finder
        if finder is None:
            raise InputError("nothing is retrieved here; start the page with a retriever")
        return finder

    def _opened(self, knowledge: tuple[Knowledge, ...], *, progress: Progress | None) -> Finder:
        now = self._finder()
        return open_finder(knowledge, now.encoder, var=self._application.var, progress=progress, previous=now)
