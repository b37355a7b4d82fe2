"""Drawings of flags by several people: npm packages, fetched and rasterised at training time, never committed."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["FLAG_ICONS", "HELD_OUT_SOURCES", "OTHER_SOURCES", "DrawingSource", "draw_levels", "fetch_drawings"]

_WIDTH, _HEIGHT = 192, 144
_BLURS = (1, 2, 4)  # how many times smaller each level is drawn before it is enlarged again
_REGIONAL_A = 0x1F1E6  # the emoji of a flag spells its code in regional indicator letters


def _stem(path: Path) -> str:
    return path.stem.lower()


def _emoji_code(path: Path) -> str:
    """`1f1eb-1f1f7.svg` -> "fr"; "" for an emoji that is no flag of a country."""
    try:
        letters = [int(part, 16) - _REGIONAL_A for part in path.stem.split("-")]
    except ValueError:
        return ""
    if len(letters) != 2 or not all(0 <= letter < 26 for letter in letters):
        return ""
    return "".join(chr(ord("a") + letter) for letter in letters)


@dataclass(frozen=True, kw_only=True)
class DrawingSource:
    """An npm package with one SVG a flag.

    Attributes:
        package, version: what npm fetches.
        folder: where its drawings lie.
        code_of: the lower-case code of a drawing's flag, "" for other drawings.
        masked: a mask shows a disc of each drawing; taken away, the whole flag is there.
    """

    package: str
    version: str
    folder: str
    code_of: Callable[[Path], str] = _stem
    masked: bool = False

    @property
    def name(self) -> str:
        """Names its folder."""
        return self.package.lstrip("@").replace("/", "-")


FLAG_ICONS = DrawingSource(package="flag-icons", version="7.5.0", folder="flags/4x3")
OTHER_SOURCES = (
    DrawingSource(package="svg-country-flags", version="1.2.10", folder="svg"),
    DrawingSource(package="circle-flags", version="2.8.3", folder="flags", masked=True),
    DrawingSource(package="@twemoji/svg", version="15.0.0", folder=".", code_of=_emoji_code),
)
# for measuring: no training picture shows what these people drew
HELD_OUT_SOURCES = (
    DrawingSource(package="country-flag-icons", version="1.6.20", folder="3x2"),
    DrawingSource(package="openmoji", version="17.0.0", folder="color/svg", code_of=_emoji_code),
)


def fetch_drawings(source: DrawingSource, folder: Path) -> dict[str, Path]:
    """Downloads a package with npm into a folder of its own under `folder` unless it is there.

    Returns:
        code -> SVG file.
    Raises:
        RuntimeError: npm is missing or failed.
    """
    home = folder / source.name
    drawings = home / "package" / source.folder
    if not drawings.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{source.package}@{source.version}"]
        try:
            packed = subprocess.run(command, cwd=home, check=True, capture_output=True, text=True).stdout.split()[-1]
        except (OSError, subprocess.CalledProcessError) as error:
            message = f"could not fetch {source.package} with npm ({error}); install Node.js or try again"
            raise RuntimeError(message) from error
        with tarfile.open(home / packed) as archive:
            archive.extractall(home, filter="data")
    return {code: path for path in sorted(drawings.glob("*.svg")) if (code := source.code_of(path))}


def _rasterise(svg: Path, width: int, height: int, masked: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The drawing without its transparent margins, squeezed into the size."""
    import resvg_py  # training-time dependency

    text = svg.read_text(encoding="utf-8")
    if masked:
        text = re.sub(r' mask="url\([^"]*\)"', "", text)
    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=text, width=width)))).convert("RGBA")
    picture = picture.crop(picture.getchannel("A").getbbox())
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return np.asarray(on_white.resize((width, height), Image.Resampling.BOX))


def draw_levels(files: Sequence[Path], *, masked: bool = False) -> Tensor:
    """(n_levels, n_files, 3, height, width) uint8: SVG drawings, each level blunter than the one before."""
    sharp = [Image.fromarray(_rasterise(path, _WIDTH, _HEIGHT, masked)) for path in files]
    levels = []
    for blur in _BLURS:
        small = [picture.resize((_WIDTH // blur, _HEIGHT // blur), Image.Resampling.BOX) for picture in sharp]
        wide = [np.asarray(picture.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)) for picture in small]
        levels.append(torch.from_numpy(np.stack(wide)).permute(0, 3, 1, 2))
    return torch.stack(levels).contiguous()
