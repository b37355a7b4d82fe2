"""Stopping long work that a visitor started, also while it still waits in the queue."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

__all__ = ["Stopped", "Stops", "Tell"]

Tell = Callable[[float, str], None]
"""Told how far some work is, in [0, 1], and in words; what it raises ends the work."""


class Stopped(Exception):
    """Somebody asked for the work to be stopped."""


class Stops:
    """Who wants their work stopped, by session. What was asked after some work had been begun stops it."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, session: str) -> None:
        """Wants everything stopped that a session has begun."""
        with self._lock:
            self._asked[session] += 1

    def begin(self, session: str) -> int:
        """Work begins, or is put into the queue: gives a number to `check` it with."""
        with self._lock:
            return self._asked[session]

    def check(self, session: str, begun: int) -> None:
        """Raises `Stopped` where somebody asked for it since `begin`."""
        with self._lock:
            if self._asked[session] > begun:
                raise Stopped

    def telling(self, session: str, begun: int, show: Tell) -> Tell:
        """Shows how far the work is, and ends it where that is wanted."""

        def tell(share: float, said: str) -> None:
            show(share, said)
            self.check(session, begun)

        return tell
