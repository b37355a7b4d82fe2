"""Draws the example pictures: flags from their geometry, flat or as shaded, waving cloth, with Pillow and NumPy alone.

`python -m knowledge_bases.world_flags.draw` draws `examples/` anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["EXAMPLES", "FLAGS", "draw_example", "draw_flag", "main"]

EXAMPLES_PATH = Path(__file__).parent / "examples"
OVERSAMPLING = 3  # shapes are drawn this much larger and scaled down, which smooths their edges
Point = tuple[float, float]
Canvas = ImageDraw.ImageDraw


def _stripes(*colours: str, vertical: bool = False) -> Callable[[Canvas, float, float], None]:
    def draw(canvas: Canvas, width: float, height: float) -> None:
        for index, colour in enumerate(colours):
            start, end = index / len(colours), (index + 1) / len(colours)
            box = (start * width, 0, end * width, height) if vertical else (0, start * height, width, end * height)
            canvas.rectangle(box, fill=colour)

    return draw


def _disc(canvas: Canvas, centre: Point, radius: float, colour: str) -> None:
    x, y = centre
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _star(canvas: Canvas, centre: Point, radius: float, colour: str, turn: float = 0.0) -> None:
    inner = radius * 0.381966  # of a regular pentagram
    points = []
    for index in range(10):
        angle = math.radians(turn - 90 + 36 * index)
        reach = radius if index % 2 == 0 else inner
        points.append((centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle)))
    canvas.polygon(points, fill=colour)


def _nordic(field: str, cross: str, inner: str | None, at: float, arm: float) -> Callable[[Canvas, float, float], None]:
    def draw(canvas: Canvas, width: float, height: float) -> None:
        canvas.rectangle((0, 0, width, height), fill=field)
        for colour, thick in ((cross, arm), (inner, arm / 2)):
            if colour:
                half = thick * height / 2
                canvas.rectangle((at * width - half, 0, at * width + half, height), fill=colour)
                canvas.rectangle((0, height / 2 - half, width, height / 2 + half), fill=colour)

    return draw


def _japan(canvas: Canvas, width: float, height: float) -> None:
    canvas.rectangle((0, 0, width, height), fill="#ffffff")
    _disc(canvas, (width / 2, height / 2), height * 0.3, "#bc002d")


def _switzerland(canvas: Canvas, width: float, height: float) -> None:
    canvas.rectangle((0, 0, width, height), fill="#da291c")
    unit = height / 32
    canvas.rectangle((width / 2 - 3 * unit, 6 * unit, width / 2 + 3 * unit, 26 * unit), fill="#ffffff")
    canvas.rectangle((width / 2 - 10 * unit, 13 * unit, width / 2 + 10 * unit, 19 * unit), fill="#ffffff")


def _jamaica(canvas: Canvas, width: float, height: float) -> None:
    canvas.rectangle((0, 0, width, height), fill="#009b3a")
    middle = (width / 2, height / 2)
    canvas.polygon([(0, 0), middle, (0, height)], fill="#000000")
    canvas.polygon([(width, 0), middle, (width, height)], fill="#000000")
    for start, end in (((0, 0), (width, height)), ((0, height), (width, 0))):
        canvas.line((*start, *end), fill="#fed100", width=round(height / 6))


def _bahamas(canvas: Canvas, width: float, height: float) -> None:
    _stripes("#00778b", "#ffc72c", "#00778b")(canvas, width, height)
    canvas.polygon([(0, 0), (height * math.sqrt(3) / 2, height / 2), (0, height)], fill="#000000")


def _vietnam(canvas: Canvas, width: float, height: float) -> None:
    canvas.rectangle((0, 0, width, height), fill="#da251d")
    _star(canvas, (width / 2, height / 2), height * 0.3, "#ffff00")


def _ghana(canvas: Canvas, width: float, height: float) -> None:
    _stripes("#ce1126", "#fcd116", "#006b3f")(canvas, width, height)
    _star(canvas, (width / 2, height / 2), height / 6, "#000000")


def _chile(canvas: Canvas, width: float, height: float) -> None:
    _stripes("#ffffff", "#d52b1e")(canvas, width, height)
    canvas.rectangle((0, 0, height / 2, height / 2), fill="#0039a6")
    _star(canvas, (height / 4, height / 4), height / 8, "#ffffff")


def _turkiye(canvas: Canvas, width: float, height: float) -> None:
    canvas.rectangle((0, 0, width, height), fill="#e30a17")
    _disc(canvas, (height / 2, height / 2), height / 4, "#ffffff")
    _disc(canvas, (height * 0.5625, height / 2), height / 5, "#e30a17")
    _star(canvas, (height * (0.5 + 0.0625 - 0.2 + 1 / 3 + 0.125), height / 2), height / 8, "#ffffff", turn=-90)


def _czechia(canvas: Canvas, width: float, height: float) -> None:
    _stripes("#ffffff", "#d7141a")(canvas, width, height)
    canvas.polygon([(0, 0), (width / 2, height / 2), (0, height)], fill="#11457e")


# Drawing and ratio of width to height.
FLAGS: dict[str, tuple[Callable[[Canvas, float, float], None], float]] = {
    "bs": (_bahamas, 2.0),
    "ch": (_switzerland, 1.0),
    "cl": (_chile, 1.5),
    "cz": (_czechia, 1.5),
    "fr": (_stripes("#000091", "#ffffff", "#e1000f", vertical=True), 1.5),
    "gh": (_ghana, 1.5),
    "jm": (_jamaica, 2.0),
    "jp": (_japan, 1.5),
    "no": (_nordic("#ba0c2f", "#ffffff", "#00205b", 8 / 22, 4 / 16), 22 / 16),
    "se": (_nordic("#006aa7", "#fecc02", None, 6 / 16, 2 / 10), 16 / 10),
    "tr": (_turkiye, 1.5),
    "vn": (_vietnam, 1.5),
}
# Country, style, question; the picture is named after country and style.
EXAMPLES: tuple[tuple[str, str, str], ...] = (
    ("jm", "waving", "What is the capital of this country?"),
    ("no", "flat", "Which money do I need in this place?"),
    ("jp", "waving", "What is the highest mountain there?"),
    ("gh", "waving", "What does the black star stand for?"),
    ("tr", "flat", "What do I dial before the local number?"),
    ("se", "waving", "How many people live there?"),
    ("bs", "flat", "On which side of the road do they drive?"),
    ("cl", "waving", "Which countries does it border?"),
    ("ch", "flat", "What languages are spoken there?"),
    ("vn", "waving", "When is the national day?"),
    ("cz", "flat", "In which year was this country founded?"),
    ("fr", "waving", "What do web addresses there end in?"),
)


def draw_flag(code: str, height: int) -> Image.Image:
    """A flat flag of a given height in pixels, in its official proportions and with smooth edges.

    Raises:
        ValueError: no drawing of this flag.
    """
    if code not in FLAGS:
        raise ValueError(f"no drawing of the flag {code!r}; choose one of {', '.join(sorted(FLAGS))}")
    draw, ratio = FLAGS[code]
    size = (round(height * ratio), height)
    large = Image.new("RGB", (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING))
    draw(ImageDraw.Draw(large), large.width, large.height)
    return large.resize(size, Image.Resampling.LANCZOS)


def draw_example(code: str, style: str) -> Image.Image:
    """An example picture of 480 x 360 pixels: "flat" on a soft grey wall, or "waving" against the sky."""
    width, height = 480, 360
    ratio = FLAGS[code][1] if code in FLAGS else 1.5
    flag = draw_flag(code, round(min(250, 400 / ratio)))
    if style == "flat":
        picture = _sky(width, height, (236, 238, 241), (214, 218, 224))
        left, top = (width - flag.width) // 2, (height - flag.height) // 2
        shadow = Image.new("RGB", (flag.width, flag.height), (182, 187, 195))
        picture.paste(shadow, (left + 6, top + 7))
        picture.paste(flag, (left, top))
        return picture
    picture = _sky(width, height, (118, 172, 222), (216, 234, 247))
    cloth, mask = _wave(flag)
    left, top = (width - cloth.width) // 2 + 6, (height - cloth.height) // 2
    ImageDraw.Draw(picture).rectangle((left - 10, max(0, top - 4), left - 3, height), fill=(120, 124, 130))
    picture.paste(cloth, (left, top), mask)
    return picture


def _sky(width: int, height: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    share = np.linspace(0.0, 1.0, height)[:, None, None]
    rows = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).round().astype(np.uint8))


def _wave(flag: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The flag as waving cloth with light and shade, and the mask of where the cloth is."""
    pixels = np.asarray(flag, dtype=np.float64)
    height, width = pixels.shape[:2]
    swing = height * 0.07
    tall = height + 2 * math.ceil(swing)
    across = np.arange(width) / width
    phase = 2 * math.pi * (1.35 * across + 0.1)
    grow = 0.35 + 0.65 * across  # the free end moves more than the one at the pole
    offset = math.ceil(swing) + swing * grow * np.sin(phase)  # (width,)
    source = np.arange(tall)[:, None] - offset[None, :]  # (tall, width): row of the flag seen at each pixel
    low = np.clip(np.floor(source), 0, height - 1).astype(np.intp)
    high = np.minimum(low + 1, height - 1)
    share = np.clip(source - low, 0.0, 1.0)[..., None]
    columns = np.arange(width)[None, :]
    cloth = pixels[low, columns] * (1 - share) + pixels[high, columns] * share
    light = 1.0 - 0.24 * grow * np.cos(phase + 0.5)
    shaded = np.clip(cloth * light[None, :, None], 0, 255).round().astype(np.uint8)
    inside = np.clip(np.minimum(source + 1, height - source), 0.0, 1.0)
    return Image.fromarray(shaded), Image.fromarray((inside * 255).round().astype(np.uint8))


def main() -> int:
    """Draws the example pictures and writes examples.json."""
    EXAMPLES_PATH.mkdir(exist_ok=True)
    rows = []
    for code, style, question in EXAMPLES:
        name = f"{code}-{style}.png"
        draw_example(code, style).save(EXAMPLES_PATH / name, optimize=True)
        rows.append({"image": name, "question": question})
    (EXAMPLES_PATH / "examples.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
