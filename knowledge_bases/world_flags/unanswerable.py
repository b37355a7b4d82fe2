"""Questions that no passage of World Flags answers: about a country, and about anything else."""

from __future__ import annotations

from pathlib import Path

__all__ = ["load_misleading", "load_off_topic", "load_unanswerable"]

_PATH = Path(__file__).parent / "tables" / "unanswerable.txt"
_OFF_TOPIC = _PATH.with_name("off_topic.txt")


def load_unanswerable(split: str) -> tuple[str, ...]:
    """The questions about a country of a split, "train", "validation" or "test".

    Raises:
        ValueError: there is no such split.
    """
    return tuple(line.partition(" | ")[0] for line in _lines(_PATH, split))


def load_off_topic(split: str) -> tuple[str, ...]:
    """The questions about anything else of a split, "validation" or "test".

    Raises:
        ValueError: there is no such split.
    """
    return tuple(_lines(_OFF_TOPIC, split))


def load_misleading() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The questions of "train", each with the sides of a country that come nearest to it and still do not answer it."""
    pairs = [line.split(" | ") for line in _lines(_PATH, "train")]
    return tuple((question, tuple(sides.split())) for question, sides in pairs)


def _lines(path: Path, split: str) -> list[str]:
    found: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    if split not in found:
        raise ValueError(f"no split {split!r}; there are {', '.join(found)}")
    now = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line in found:
            now = line
        elif line and not line.startswith("#"):
            found[now].append(line)
    return found[split]
