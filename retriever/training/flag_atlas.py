"""The flags as pixels: drawings of several people, rasterised once into one tensor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from retriever.training.drawings import FLAG_ICONS, DrawingSource, draw_levels, fetch_drawings

__all__ = ["FlagAtlas", "load_atlas"]

# not the flag of a place: placeholders, associations of states
_LEFT_OUT = {"xx", "arab", "asean", "cefta", "eac"}
_SAME_DRAWING = 0.07  # root-mean-square difference (0..1) below which two drawings are one class
_LOOK_ALIKES = (("ro", "td"),)  # differ by a shade of blue only, which no photograph keeps


@dataclass(frozen=True, kw_only=True)
class FlagAtlas:
    """Every flag as pixels, at three sharpnesses.

    Attributes:
        codes: lower-case flag-icons codes, one a flag.
        pixels: (n_levels, n_drawings, 3, height, width) uint8; level 0 is sharp. The first n_flags are flag-icons'.
        classes: (n_flags,) int64; flags that cannot be told apart share a class.
        drawings: (n_flags, n_sources) int64 places of each flag's drawings; flag-icons' where a source has none.
    """

    codes: tuple[str, ...]
    pixels: Tensor
    classes: Tensor
    drawings: Tensor

    def to(self, device: torch.device) -> FlagAtlas:
        """The atlas on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in ("pixels", "classes", "drawings")})

    @property
    def n_classes(self) -> int:
        """How many flags can be told apart."""
        return int(self.classes.max()) + 1


def _distances(ones: Tensor, others: Tensor) -> Tensor:
    """Root-mean-square differences (0..1) of uint8 drawings at the size of a stamp."""
    stamps, other_stamps = (
        torch.nn.functional.interpolate(drawings.float() / 255, size=(36, 48), mode="area").flatten(1)
        for drawings in (ones, others)
    )
    distances: Tensor = torch.cdist(stamps, other_stamps) / stamps.shape[1] ** 0.5
    return distances


def _merge_same(sharp: Tensor, codes: Sequence[str]) -> Tensor:
    """Class numbers, equal for drawings that differ by less than a print's tolerance."""
    same = _distances(sharp, sharp) < _SAME_DRAWING
    for one, other in _LOOK_ALIKES:
        same[codes.index(one), codes.index(other)] = same[codes.index(other), codes.index(one)] = True
    first = same.float().argmax(dim=1)
    classes: Tensor = torch.unique(first, return_inverse=True)[1]
    return classes


def _draw(source: DrawingSource, folder: Path) -> tuple[list[str], Tensor]:
    """Codes and pixels of a source, drawn at the first call and cached."""
    cached, names = folder / f"{source.name}.safetensors", folder / f"{source.name}.json"
    if not (cached.exists() and names.exists()):
        files = {code: path for code, path in fetch_drawings(source, folder).items() if code not in _LEFT_OUT}
        save_file({"pixels": draw_levels(list(files.values()), masked=source.masked)}, cached)
        names.write_text(json.dumps(list(files)))
    return json.loads(names.read_text()), load_file(cached)["pixels"]


def load_atlas(folder: Path, others: Sequence[DrawingSource] = ()) -> FlagAtlas:
    """The atlas of all flags of flag-icons, with the same flags as others draw them.

    A drawing that looks like another flag's (a territory under the flag of the state it belongs to) is left out.

    Args:
        folder: where packages and pixels are kept.
        others: more sources.
    """
    codes, pixels = _draw(FLAG_ICONS, folder)
    classes = _merge_same(pixels[0], codes)
    own = torch.arange(len(codes))
    columns, parts, n_drawings = [own], [pixels], len(codes)
    for source in others:
        names, drawn = _draw(source, folder)
        nearest, flag = _distances(drawn[0], pixels[0]).min(dim=1)
        column = own.clone()
        for place, name in enumerate(names):
            if name not in codes:
                continue
            at = codes.index(name)
            if nearest[place] > _SAME_DRAWING or classes[flag[place]] == classes[at]:
                column[at] = n_drawings + place
        columns.append(column)
        parts.append(drawn)
        n_drawings += len(names)
    return FlagAtlas(
        codes=tuple(codes), pixels=torch.cat(parts, dim=1), classes=classes, drawings=torch.stack(columns, dim=1)
    )
