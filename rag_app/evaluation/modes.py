"""Where the passages of an evaluation come from."""

from __future__ import annotations

from enum import Enum

__all__ = ["Mode"]


class Mode(str, Enum):
    """The value is what reports say."""

    RETRIEVAL = "with retrieval"
    NOTHING = "without retrieval"
    ORACLE = "oracle"
