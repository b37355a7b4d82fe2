"""Cuts the regions of a picture, as FLMR's published example does."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from knowledge_bases.records import Region
from rag_app.errors import InputError

__all__ = ["N_REGIONS", "cut_regions"]

N_REGIONS = 9  # beside the whole picture
_SMALLEST = 5  # pixels; a region below it both ways is widened
_WIDER = 2.5  # pixels on each side
_SLACK = 1.0  # pixels that a box may reach beyond the picture by rounding


def cut_regions(image: Image.Image, regions: Sequence[Region]) -> tuple[Image.Image, ...]:
    """The first nine regions as pictures; the last one again where there are fewer, none where there is none.

    Raises:
        InputError: a box does not lie in the picture.
    """
    if not regions:
        return ()
    chosen = [*regions, *[regions[-1]] * N_REGIONS][:N_REGIONS]
    return tuple(image.crop(_box(image, region)) for region in chosen)


def _box(image: Image.Image, region: Region) -> tuple[int, int, int, int]:
    left, top, right, bottom = region.box
    width, height = image.size
    inside = -_SLACK <= left <= right <= width + _SLACK and -_SLACK <= top <= bottom <= height + _SLACK
    if not inside:
        raise InputError(
            f"region {region.label!r} {region.box} does not lie in the picture of {width} x {height} pixels"
        )
    if right - left < _SMALLEST and bottom - top < _SMALLEST:
        left, right = max(0.0, left - _WIDER), min(width, right + _WIDER)
        top, bottom = max(0.0, top - _WIDER), min(height, bottom + _WIDER)
    box = round(left), round(top), round(right), round(bottom)
    if box[0] == box[2] or box[1] == box[3]:
        raise InputError(f"region {region.label!r} {region.box} is empty")
    return box
