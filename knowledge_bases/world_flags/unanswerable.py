"""Questions about a country that no passage of World Flags answers."""

from __future__ import annotations

from pathlib import Path

__all__ = ["load_misleading", "load_unanswerable"]

_PATH = Path(__file__).parent / "tables" / "unanswerable.txt"


def load_unanswerable(split: str) -> tuple[str, ...]:
    """The questions of a split, "train", "validation" or "test".

    Raises:
        ValueError: there is no such split.
    """
    return tuple(line.partition(" | ")[0] for line in _lines(split))


def load_misleading() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The questions of "train", each with the sides of a country that come nearest to it and still do not answer it."""
    pairs = [line.split(" | ") for line in _lines("train")]
    return tuple((question, tuple(sides.split())) for question, sides in pairs)


def _lines(split: str) -> list[str]:
    found: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    if split not in found:
        raise ValueError(f"no split {split!r}; there are {', '.join(found)}")
    now = ""
    for line in _PATH.read_text(encoding="utf-8").splitlines():
        if line in found:
            now = line
        elif line and not line.startswith("#"):
            found[now].append(line)
    return found[split]
