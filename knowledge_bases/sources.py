"""What `--from` and `--benchmark` name: a data set of M2KR or of FLMR, with its passages and its questions."""

from __future__ import annotations

from pathlib import Path

from knowledge_bases.flmr import FlmrSource
from knowledge_bases.m2kr import M2krSource

__all__ = ["Source", "parse_source"]

Source = M2krSource | FlmrSource


def parse_source(text: str, folder: Path | None = None) -> Source:
    """`m2kr:NAME[/SPLIT]` or `flmr:OKVQA[/SPLIT]`.

    Args:
        text: the name.
        folder: parquet files of a copy on disk; None asks the hub.

    Raises:
        ValueError: it is neither; the message lists what there is.
    """
    return FlmrSource.parse(text, folder) if text.startswith("flmr:") else M2krSource.parse(text, folder)
