"""Where the picture of a dataset's question lies: inside the folder of pictures, and nowhere else."""

from __future__ import annotations

from pathlib import PurePath

__all__ = ["check_inside"]


def check_inside(place: PurePath, what: str = "its picture") -> None:
    """Refuses a path that may lead out of the folder of pictures. Call it before anything is looked for there.

    Args:
        place: as a dataset names it.
        what: names it in the message.

    Raises:
        ValueError: it is absolute, or has a `..`.
    """
    if place.is_absolute() or place.drive or ".." in place.parts:
        raise ValueError(f"{what} must be a path inside the picture folder, not {str(place)!r}")
