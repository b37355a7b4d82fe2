"""Stopping long work that a visitor started."""

from __future__ import annotations

import threading

__all__ = ["Stopped", "Stops"]


class Stopped(Exception):
    """Somebody asked for the work to be stopped."""


class Stops:
    """Who wants their work stopped, by session."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._lock = threading.Lock()

    def ask(self, session: str) -> None:
        """Wants the work of a session stopped."""
        with self._lock:
            self._wanted.add(session)

    def clear(self, session: str) -> None:
        """New work begins."""
        with self._lock:
            self._wanted.discard(session)

    def check(self, session: str) -> None:
        """Raises `Stopped` where it is wanted."""
        with self._lock:
            if session in self._wanted:
                raise Stopped
