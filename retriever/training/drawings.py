"""Drawings of flags by several people: npm packages, fetched and rasterised at training time, never committed."""

from __future__ import annotations

import io
import json
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

_Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

_WIDTH, _HEIGHT = 192, 144
_BLURS = (1, 2, 4)  # how many times smaller each level is drawn before it is enlarged again
_ICONIFY = "icons.json"
_ICON_SIZE = {"left": 0, "top": 0, "width": 16, "height": 16}  # of an icon, else of the set, else these
_NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
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
    """An npm package with one SVG or PNG a flag.

    Attributes:
        package, version: what npm fetches.
        folder: where its drawings lie; `icons.json` for one file of all, as Iconify packs them.
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
    DrawingSource(package="@iconify-json/flagpack", version="1.2.8", folder=_ICONIFY),
    DrawingSource(package="@iconify-json/cif", version="1.2.7", folder=_ICONIFY),
    DrawingSource(
        package="emoji-datasource-google", version="16.0.0", folder="img/google/64", code_of=_emoji_code
    ),  # Noto Emoji: waving, with light and shade
)
# for measuring: no training picture shows what these people drew
HELD_OUT_SOURCES = (
    DrawingSource(package="country-flag-icons", version="1.6.20", folder="3x2"),
    DrawingSource(package="openmoji", version="17.0.0", folder="color/svg", code_of=_emoji_code),
    DrawingSource(package="emoji-datasource-apple", version="16.0.0", folder="img/apple/64", code_of=_emoji_code),
    DrawingSource(package="emoji-datasource-facebook", version="16.0.0", folder="img/facebook/64", code_of=_emoji_code),
)


def fetch_drawings(source: DrawingSource, folder: Path) -> dict[str, Path]:
    """Downloads a package with npm into a folder of its own under `folder` unless it is there.

    Returns:
        code -> SVG or PNG file.
    Raises:
        RuntimeError: npm is missing or failed.
    """
    home = folder / source.name
    drawings = home / "package" / source.folder
    if not drawings.exists():
        home.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{source.package}@{source.version}"]
        try:
            packed = subprocess.run(command, cwd=home, check=True, capture_output=True, text=True).stdout.split()[-1]
        except (OSError, subprocess.CalledProcessError) as error:
            message = f"could not fetch {source.package} with npm ({error}); install Node.js or try again"
            raise RuntimeError(message) from error
        with tarfile.open(home / packed) as archive:
            wanted = [member for member in archive if Path(member.name).is_relative_to(Path("package", source.folder))]
            archive.extractall(home, wanted, filter="data")
    if drawings.is_file():
        drawings = _unpack_icons(drawings)
    found = (path for path in sorted(drawings.iterdir()) if path.suffix in (".svg", ".png"))
    return {code: path for path in found if (code := source.code_of(path))}


def _unpack_icons(packed: Path) -> Path:
    """The folder with the icons of an Iconify file, an SVG each; written at the first call."""
    folder = packed.with_suffix("")
    if not folder.is_dir():
        icons = json.loads(packed.read_text(encoding="utf-8"))
        part = folder.with_suffix(".part")
        part.mkdir(exist_ok=True)
        for name, icon in icons["icons"].items():
            size = [icon.get(key, icons.get(key, default)) for key, default in _ICON_SIZE.items()]
            head = f'<svg {_NAMESPACES} viewBox="{" ".join(map(str, size))}">'
            (part / f"{name}.svg").write_text(f"{head}{icon['body']}</svg>", encoding="utf-8")
        part.rename(folder)
    return folder


def _rasterise(drawing: Path, width: int, height: int, masked: bool) -> _Pixels:
    """The drawing without its transparent margins, squeezed into the size."""
    png = drawing if drawing.suffix == ".png" else io.BytesIO(_svg_to_png(drawing, width, masked))
    picture = Image.open(png).convert("RGBA")
    picture = picture.crop(picture.getchannel("A").getbbox())
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    shrinks = picture.width >= width
    return np.asarray(on_white.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC))


def _svg_to_png(drawing: Path, width: int, masked: bool) -> bytes:
    import resvg_py  # training-time dependency

    text = drawing.read_text(encoding="utf-8")
    if masked:
        text = re.sub(r' mask="url\([^"]*\)"', "", text)
    return bytes(resvg_py.svg_to_bytes(svg_string=text, width=width))


def draw_levels(files: Sequence[Path], *, masked: bool = False) -> Tensor:
    """(n_levels, n_files, 3, height, width) uint8: SVG or PNG files, each level blunter than the one before."""
    sharp = [Image.fromarray(_rasterise(path, _WIDTH, _HEIGHT, masked)) for path in files]
    levels = []
    for blur in _BLURS:
        small = [picture.resize((_WIDTH // blur, _HEIGHT // blur), Image.Resampling.BOX) for picture in sharp]
        wide = [np.asarray(picture.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)) for picture in small]
        levels.append(torch.from_numpy(np.stack(wide)).permute(0, 3, 1, 2))
    return torch.stack(levels).contiguous()
