"""Writes files whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["discard_parts", "write_json", "write_text"]


def discard_parts(folder: Path) -> None:
    """Removes what processes left that were killed while they wrote there. None may be writing now.

    Raises:
        OSError: the folder cannot be written.
    """
    for part in folder.glob(".*.part"):
        part.unlink()


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Writes JSON; see `write_text`.

    Raises:
        OSError: the folder cannot be written.
    """
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes to a temporary file beside the path and then moves it there in one step.

    Raises:
        OSError: the folder cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
