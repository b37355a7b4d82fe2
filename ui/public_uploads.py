"""What strangers upload to a public page: where it lies, and pictures checked on arrival."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from rag_app.errors import InputError, one_line
from rag_app.pictures import check_picture_header
from rag_app.serving import PageSettings

__all__ = ["check_uploads", "prepare_uploads", "stored_bytes"]

_BROKEN_OFF = 60  # seconds since an unfinished upload grew


def prepare_uploads() -> Path:
    """Gives the uploads of this process a folder that no other user of the machine can read; gone when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="uploads-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # gradio asks for it here, whenever it stores a file
    return folder


def check_uploads(page: gr.Blocks, settings: PageSettings) -> None:
    """Has every picture field of a page look at the content of a file before anything opens it."""
    for block in page.blocks.values():
        if isinstance(block, gr.Image):
            block.preprocess = _checking(block.preprocess, settings)  # type: ignore[method-assign, assignment]


def _checking(preprocess: Callable[[Any], Any], settings: PageSettings) -> Callable[[Any], Any]:
    def checked(payload: object) -> object:
        path = getattr(payload, "path", None)
        if path is not None:
            try:
                check_picture_header(path, max_pixels=settings.max_pixels)
            except InputError as error:
                Path(path).unlink(missing_ok=True)  # gradio has made sure that it lies among the uploads
                message = one_line(error).replace(str(path), "the file")
                raise gr.Error(f"{message[:1].upper()}{message[1:]}.", print_exception=False) from error
        return preprocess(payload)

    return checked


def stored_bytes(uploads: Path) -> int:
    """What all uploaded files weigh. Those that were broken off, which gradio never deletes, are deleted."""
    return sum(_size(path) for path in _stored(uploads))


def _stored(uploads: Path) -> Iterator[Path]:
    """The uploaded files. Those that were broken off lie at the top; gradio never deletes them."""
    for folder, _, names in os.walk(uploads):
        for name in names:
            path = Path(folder, name)
            if path.parent == uploads and time.time() - _changed(path) > _BROKEN_OFF:
                path.unlink(missing_ok=True)
            else:
                yield path


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # deleted meanwhile
        return time.time()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
