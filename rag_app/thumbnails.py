"""Small pictures inside HTML: of the web page and of reports."""

from __future__ import annotations

import base64
import io

from PIL import Image

__all__ = ["data_uri"]


def data_uri(image: Image.Image, side: int) -> str:
    """The picture as the data address of a JPEG whose longer side has at most `side` pixels."""
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
