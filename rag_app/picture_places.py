"""Where the picture of a dataset's question lies: inside a folder of pictures, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

__all__ = ["Folders", "check_inside", "folders_of", "place_of_picture"]

Folders = Path | Sequence[Path]  # one, or several that are tried in turn


def folders_of(images: Folders) -> tuple[Path, ...]:
    """The folders of pictures as a tuple."""
    return (images,) if isinstance(images, Path) else tuple(images)


def place_of_picture(places: Sequence[Path], folders: Sequence[Path]) -> Path:
    """Where a picture lies that may be called in several ways.

    Args:
        places: below a folder of pictures, the published layout first.
        folders: tried in turn.

    Returns:
        the first place that the first possible folder holds; the published place where none holds any.

    Raises:
        ValueError: a place leads out of its folder.
    """
    for place in places:
        check_inside(place)
    return next((place for folder in folders for place in places if (folder / place).is_file()), places[0])


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
