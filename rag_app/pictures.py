"""Opens pictures that people give: any of Pillow's formats, made into one upright RGB picture, or one clear error."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.Image import Transpose

from rag_app.errors import InputError, one_line, reported_as_input

__all__ = ["LONGEST_SIDE", "MAX_ASPECT", "MAX_PIXELS", "check_picture_header", "decode_picture", "open_picture"]

MAX_PIXELS = 100_000_000  # decoded with alpha this is 0.4 GB: more is refused before it is decoded
LONGEST_SIDE = 4096  # larger pictures are scaled down at once: the encoders see a few hundred pixels
_UPRIGHT = {  # what undoes each orientation of EXIF
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_OF_STRANGERS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # no format that runs another program
MAX_ASPECT = 32  # a longer strip is cut to its middle, or resizing its short side would make it enormous


def open_picture(path: Path | str) -> Image.Image:
    """Opens a picture as an upright RGB picture.

    The first frame of an animation is taken; transparent parts are laid over white; 16-bit and floating-point values
    become 8-bit; the rotation in EXIF data is applied.

    Args:
        path: the file. Its name does not matter, only its content.

    Returns:
        An RGB picture with sides of at most `LONGEST_SIDE` pixels.

    Raises:
        InputError: there is no such file, it is no picture, it is damaged, or it has over `MAX_PIXELS` pixels.
    """
    path = Path(path)
    with reported_as_input("the picture", kinds=(OSError,)):  # a path that is too long
        exists = path.exists()
    if not exists:
        raise InputError(f"there is no picture at {path}; check the path")
    if not path.is_file():
        raise InputError(f"{path} is not a file; give a picture such as a PNG or JPEG file")
    return _decode(path, name=str(path))


def decode_picture(content: bytes, *, name: str) -> Image.Image:
    """As `open_picture`, of a file that is in memory.

    Args:
        content: the file.
        name: what errors call it.

    Raises:
        InputError: as `open_picture`.
    """
    return _decode(BytesIO(content), name=name)


def check_picture_header(path: Path | str, *, max_pixels: int) -> None:
    """Looks at the beginning of a file that a stranger gives, without decoding it.

    Raises:
        InputError: by its content it is none of the usual kinds of picture, or it has over `max_pixels` pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _opened(Path(path), str(path), _OF_STRANGERS) as picture:
            _check_size(path, picture.size, max_pixels)


def _opened(file: Path | BytesIO, name: str, formats: tuple[str, ...] | None = None) -> Image.Image:
    try:
        return Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} has too many pixels (at most {MAX_PIXELS:,}); make it smaller") from error
    except PermissionError as error:
        raise InputError(f"{name} cannot be read: permission denied; check its permissions") from error
    except Exception as error:  # decoders of broken files raise errors of many kinds
        raise InputError(f"{name} is not a picture that can be read; give a PNG, JPEG, WebP or GIF file") from error


def _check_size(path: Path | str, size: tuple[int, int], most: int) -> None:
    width, height = size
    if width * height > most:
        raise InputError(f"{path} is {width} x {height} pixels; at most {most:,} pixels are read. Make it smaller")


def _decode(file: Path | BytesIO, *, name: str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warning of large pictures: they have our own limit below
        picture = _opened(file, name)
    with picture, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if max(picture.size) > LONGEST_SIDE:
                picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # JPEG decodes straight to a smaller size
            _check_size(name, picture.size, MAX_PIXELS)
            picture.load()
            turn = _UPRIGHT.get(_orientation(picture))  # after loading: TIFF pictures are turned by Pillow
            decoded = _to_rgb(_shrunk(picture))
            return _bounded(decoded if turn is None else decoded.transpose(turn))
        except InputError:
            raise
        except Exception as error:  # as above: the header was fine and the rest is not
            raise InputError(f"{name} is damaged or cut short ({one_line(error)}); save it again") from error


def _shrunk(picture: Image.Image) -> Image.Image:
    """A picture within twice `LONGEST_SIDE`, by whole factors, where the mode allows it: saves memory early on."""
    factor = max(picture.size) // LONGEST_SIDE
    if factor < 2 or picture.mode not in {"L", "RGB", "CMYK"}:
        return picture
    return picture.reduce(factor)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB; transparent parts over white."""
    if picture.mode.startswith(("I", "F")):
        picture = _to_8_bit(picture)
    if picture.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        canvas = Image.new("RGB", layer.size, "white")
        canvas.paste(layer, mask=layer.getchannel("A"))
        return canvas
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _to_8_bit(picture: Image.Image) -> Image.Image:
    """Grey levels of 16 or 32 bits, or floating-point ones, as 8 bits.

    The range is taken from the mode, or from the values where the mode does not tell: 0-1, 0-255 or 0-65535.
    """
    values = picture.convert("F")
    high = float(np.asarray(values).max())
    sixteen_bit = picture.mode.startswith("I;16")
    top = 65535.0 if sixteen_bit or high > 255 else 255.0 if high > 1 or picture.mode.startswith("I") else 1.0
    return values.point(lambda value: value * (255.0 / top) + 0.0).convert("L")


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF data is no reason to refuse a sound picture
        return 1


def _bounded(picture: Image.Image) -> Image.Image:
    """At most `LONGEST_SIDE` pixels a side and at most `MAX_ASPECT` times as long as wide; metadata dropped."""
    width, height = picture.size
    longest = MAX_ASPECT * min(width, height)
    if max(width, height) > longest:
        cut = (min(width, longest), min(height, longest))
        picture = ImageOps.fit(picture, cut)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    picture.info.clear()
    return picture
