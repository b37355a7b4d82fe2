"""What the reader learns from: a question, a passage, and where its answer stands."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ReadingExample"]


@dataclass(frozen=True, kw_only=True)
class ReadingExample:
    """One question about one passage.

    Attributes:
        question: as a person may put it.
        context: the passage's content (title and text).
        spans: (start, end) character offsets of every right answer in `context`; empty when it holds none.
        kind: a group to report by.
        entity: code of the real country that it is about, whose flag a picture may show; empty for others.
    """

    question: str
    context: str
    spans: tuple[tuple[int, int], ...]
    kind: str = ""
    entity: str = ""

    def __post_init__(self) -> None:
        for start, end in self.spans:
            if not 0 <= start < end <= len(self.context):
                raise ValueError(f"span ({start}, {end}) lies outside a context of {len(self.context)} characters")
