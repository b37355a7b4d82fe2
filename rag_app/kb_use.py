"""Changes which knowledge base an opened application answers from, and keeps its index in step."""

from __future__ import annotations

from collections.abc import Callable

from rag_app.assembly import Application, open_index
from rag_app.errors import InputError
from rag_app.finder import PassageFinder
from rag_app.kb_checks import mend_words
from rag_app.knowledge import named_knowledge

__all__ = ["KnowledgeInUse"]


class KnowledgeInUse:
    """The knowledge base that questions are answered from, for all visitors of a page."""

    def __init__(self, application: Application) -> None:
        self._application = application

    @property
    def name(self) -> str:
        """Its name."""
        return self._application.knowledge_base

    def use(self, name: str, *, progress: Callable[[int, int], None] | None = None) -> int:
        """Answers from this knowledge base from now on; questions under way keep the one they began with.

        Args:
            name: of a knowledge base; its index is brought up to date first.
            progress: told (passages encoded, passages to encode).

        Returns:
            passages that are indexed.

        Raises:
            InputError: there is no such knowledge base, it is empty, or nothing is retrieved here.
        """
        finder, indexed = self._indexed(name, force=False, progress=progress)
        self._take(finder, name, indexed)
        return indexed

    def sync(self, name: str, *, force: bool = False, progress: Callable[[int, int], None] | None = None) -> int:
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
        mend_words(named_knowledge(name, self._application.var), self._application.var)
        finder, indexed = self._indexed(name, force=force, progress=progress)
        if name == self.name:
            self._take(finder, name, indexed)
        return indexed

    def follow(self, name: str) -> None:
        """After a change: brings the index up to date if questions are answered from this knowledge base."""
        if name == self.name and self._application.pipeline.finder is not None:
            self.sync(name)

    def _take(self, finder: PassageFinder, name: str, n_passages: int) -> None:
        application = self._application
        application.pipeline.finder = finder
        application.store, application.n_passages = finder.store, n_passages
        if name != application.knowledge_base:
            knowledge = named_knowledge(name, application.var)
            application.knowledge_base, application.knowledge_base_title = knowledge.name, knowledge.title

    def _indexed(
        self, name: str, *, force: bool, progress: Callable[[int, int], None] | None
    ) -> tuple[PassageFinder, int]:
        now = self._application.pipeline.finder
        if now is None:
            raise InputError("nothing is retrieved here; start the page with a retriever")
        var = self._application.var
        knowledge = named_knowledge(name, var)
        store, index = open_index(knowledge, now.encoder, var=var, progress=progress, force=force)
        return PassageFinder(encoder=now.encoder, index=index, store=store), len(index)
