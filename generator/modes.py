"""How a generator gets to read the passages."""

from __future__ import annotations

from enum import Enum

__all__ = ["ReadingMode"]


class ReadingMode(str, Enum):
    """The value is what presets and `--mode` say.

    RA_VQA: one prompt a passage, one answer each, and a choice among them (arXiv:2210.03809).
    LONG_CONTEXT: one prompt with all passages, the best first, and one answer.
    """

    RA_VQA = "ra_vqa"
    LONG_CONTEXT = "long_context"

    def __str__(self) -> str:
        return self.value
