"""Numbers of things in words."""

from __future__ import annotations

__all__ = ["number_of"]


def number_of(number: int, thing: str, things: str = "") -> str:
    """`0 passages`, `1 passage`, `3,510 passages`; `things` is the plural where it is not `thing` with an s."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
