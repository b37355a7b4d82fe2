"""Reads JSON Lines files, our own above all, which hold every character as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["read_json_lines"]


def read_json_lines(path: Path) -> list[Any]:
    """The value on each line. A line ends at a line feed alone: texts may hold the other line ends of Unicode.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no JSON.
    """
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
