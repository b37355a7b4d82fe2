"""The flags as pixels: the npm package `flag-icons`, rasterised once into one tensor.

The drawings are fetched and rasterised at training time and never committed.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

__all__ = ["FLAG_ICONS_VERSION", "FlagAtlas", "draw_levels", "fetch_flag_icons", "load_atlas"]

FLAG_ICONS_VERSION = "7.5.0"
_WIDTH, _HEIGHT = 192, 144
_BLURS = (1, 2, 4)  # how many times smaller each level is drawn before it is enlarged again
# not the flag of a place: placeholders, associations of states
_LEFT_OUT = {"xx", "arab", "asean", "cefta", "eac"}
_SAME_DRAWING = 0.07  # root-mean-square difference (0..1) below which two drawings are one class
_LOOK_ALIKES = (("ro", "td"),)  # differ by a shade of blue only, which no photograph keeps


@dataclass(frozen=True, kw_only=True)
class FlagAtlas:
    """Every flag as pixels, at three sharpnesses.

    Attributes:
        codes: lower-case flag-icons codes, one a flag.
        pixels: (n_levels, n_flags, 3, height, width) uint8; level 0 is sharp.
        classes: (n_flags,) int64; flags that cannot be told apart share a class.
    """

    codes: tuple[str, ...]
    pixels: Tensor
    classes: Tensor

    @property
    def n_classes(self) -> int:
        """How many flags can be told apart."""
        return int(self.classes.max()) + 1


def fetch_flag_icons(folder: Path) -> Path:
    """Downloads the flag-icons package with npm into `folder` unless it is there; returns the drawings' folder.

    Raises:
        RuntimeError: npm is missing or failed.
    """
    drawings = folder / "package" / "flags" / "4x3"
    if drawings.is_dir():
        return drawings
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", "--silent", f"flag-icons@{FLAG_ICONS_VERSION}"]
    try:
        packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"could not fetch flag-icons with npm ({error}); install Node.js or try again") from error
    with tarfile.open(folder / packed) as archive:
        archive.extractall(folder, filter="data")
    return drawings


def _rasterise(svg: Path, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    import resvg_py  # training-time dependency

    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_path=str(svg), width=width)))).convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return np.asarray(on_white.resize((width, height), Image.Resampling.BOX))


def _merge_same(sharp: Tensor, codes: list[str]) -> Tensor:
    """Class numbers, equal for drawings that differ by less than a print's tolerance."""
    small = torch.nn.functional.interpolate(sharp.float() / 255, size=(36, 48), mode="area").flatten(1)
    distance = torch.cdist(small, small) / small.shape[1] ** 0.5
    same = distance < _SAME_DRAWING
    for one, other in _LOOK_ALIKES:
        same[codes.index(one), codes.index(other)] = same[codes.index(other), codes.index(one)] = True
    first = same.float().argmax(dim=1)
    classes: Tensor = torch.unique(first, return_inverse=True)[1]
    return classes


def draw_levels(files: Sequence[Path]) -> Tensor:
    """(n_levels, n_files, 3, height, width) uint8: SVG drawings at every sharpness of an atlas."""
    sharp = [Image.fromarray(_rasterise(path, _WIDTH, _HEIGHT)) for path in files]
    levels = []
    for blur in _BLURS:
        small = [picture.resize((_WIDTH // blur, _HEIGHT // blur), Image.Resampling.BOX) for picture in sharp]
        wide = [np.asarray(picture.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)) for picture in small]
        levels.append(torch.from_numpy(np.stack(wide)).permute(0, 3, 1, 2))
    return torch.stack(levels)


def load_atlas(folder: Path) -> FlagAtlas:
    """The atlas of all flags, drawn at the first call and cached in `folder`."""
    cached, names = folder / "atlas.safetensors", folder / "atlas.json"
    if not (cached.exists() and names.exists()):
        drawings = fetch_flag_icons(folder)
        files = sorted(path for path in drawings.glob("*.svg") if path.stem not in _LEFT_OUT)
        save_file({"pixels": draw_levels(files)}, cached)
        names.write_text(json.dumps([path.stem for path in files]))
    pixels, codes = load_file(cached)["pixels"], json.loads(names.read_text())
    return FlagAtlas(codes=tuple(codes), pixels=pixels, classes=_merge_same(pixels[0], codes))
