from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rag_app.errors import InputError
from rag_app.pictures import LONGEST_SIDE, MAX_ASPECT, open_picture

RED, BLUE = (200, 30, 40), (20, 40, 190)


def close(pixel: object, expected: tuple[int, int, int], tolerance: int = 12) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, expected, strict=True))


def huge_png(path: Path, side: int) -> Path:
    """A PNG that says it is side x side pixels: only the header matters, it must never be decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no picture at .*nothing\.png.*check the path"):
        open_picture(tmp_path / "nothing.png")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a file"):
        open_picture(tmp_path)


@pytest.mark.parametrize("content", [b"", b"just words\n", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff"])
def test_no_picture_inside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "words.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a picture|damaged"):
        open_picture(path)


def test_truncated_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"cut\.jpg is damaged or cut short.*save it again"):
        open_picture(path)


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    with pytest.raises(InputError, match=r"pixels.*[Mm]ake it smaller"):
        open_picture(huge_png(tmp_path / "huge.png", side))


def test_large_jpeg_is_scaled_down(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.new("RGB", (6000, 2000), RED).save(path, quality=50)
    picture = open_picture(path)
    assert max(picture.size) <= LONGEST_SIDE
    assert picture.width == pytest.approx(3 * picture.height, rel=0.01)
    assert close(picture.getpixel((10, 10)), RED)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    picture = Image.new("RGBA", (40, 20), (*RED, 255))
    picture.paste((0, 0, 0, 0), (20, 0, 40, 20))
    picture.save(path)
    opened = open_picture(path)
    assert opened.mode == "RGB"
    assert opened.getpixel((5, 5)) == RED
    assert opened.getpixel((30, 5)) == (255, 255, 255)


def test_palette_with_transparency(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([0, 0, 0, *RED])
    picture.paste(1, (0, 0, 10, 20))
    picture.save(path, transparency=0)
    opened = open_picture(path)
    assert opened.getpixel((5, 5)) == RED
    assert opened.getpixel((15, 5)) == (255, 255, 255)


def test_cmyk(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    Image.new("RGB", (64, 64), RED).convert("CMYK").save(path, quality=95)
    opened = open_picture(path)
    assert opened.mode == "RGB"
    assert close(opened.getpixel((30, 30)), RED)


def test_sixteen_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    levels = np.linspace(0, 65535, 256).astype(np.uint16)
    Image.fromarray(np.tile(levels, (16, 1))).save(path)
    opened = np.asarray(open_picture(path))
    assert opened.shape == (16, 256, 3)
    assert np.abs(opened[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_floating_point(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(16, 0)).save(path)
    opened = np.asarray(open_picture(path))
    assert opened[0, 0, 0] == 0
    assert opened[0, 255, 0] == 255


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    first, second = (Image.new("RGB", (30, 30), colour) for colour in (RED, BLUE))
    first.save(path, save_all=True, append_images=[second])
    assert close(open_picture(path).getpixel((5, 5)), RED)


@pytest.mark.parametrize("name", ["turned.jpg", "turned.tiff", "turned.png", "turned.webp"])
def test_exif_rotation(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    picture = Image.new("RGB", (40, 20), RED)
    picture.paste(BLUE, (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    picture.save(path, exif=exif)
    opened = open_picture(path)
    assert opened.size == (20, 40)
    assert close(opened.getpixel((10, 5)), RED, 40)
    assert close(opened.getpixel((10, 35)), BLUE, 40)


def test_one_pixel(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), RED).save(path)
    assert open_picture(path).getpixel((0, 0)) == RED


def test_long_strip_is_cut_to_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    picture = Image.new("RGB", (3000, 2), RED)
    picture.paste(BLUE, (1400, 0, 1600, 2))
    picture.save(path)
    opened = open_picture(path)
    assert opened.size == (2 * MAX_ASPECT, 2)
    assert opened.getpixel((MAX_ASPECT, 0)) == BLUE
