"""The passage finder as a langchain-core retriever, for chains that expect one."""

from __future__ import annotations

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from knowledge_bases.records import ScoredPassage, VisualQuestion
from rag_app.finder import Finder

__all__ = ["PassageRetriever", "as_document"]


class PassageRetriever(BaseRetriever):
    """Finds documents for a text question; `find` takes a picture as well, which the base class has no place for."""

    finder: Finder
    k: int = 5

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.find(VisualQuestion(text=query))

    def find(self, question: VisualQuestion) -> list[Document]:
        """The k best documents for a question with a text, a picture, or both."""
        return [as_document(found) for found in self.finder.find([question], k=self.k)[0]]


def as_document(found: ScoredPassage) -> Document:
    """A found passage as a document; title, source and score are its metadata."""
    passage = found.passage
    return Document(
        id=passage.passage_id,
        page_content=passage.text,
        metadata={"title": passage.title, "source": passage.source, "score": found.score},
    )
