"""How far the encoding of passages is, in words."""

from __future__ import annotations

import time
from collections.abc import Callable

from rag_app.counting import number_of
from rag_app.progress import duration
from ui.stopping import Tell

__all__ = ["Encoding"]


class Encoding:
    """Takes (passages encoded, passages to encode), and tells that and how long the rest will take."""

    def __init__(self, tell: Tell, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Hands on to `tell`, whose exceptions end the encoding; what is encoded by then stays so."""
        self._tell = tell
        self._clock = clock
        self._total = self._done = self._first = 0
        self._since = clock()

    def __call__(self, done: int, total: int) -> None:
        """Reports that `done` of `total` passages are encoded."""
        now = self._clock()
        if total != self._total or done < self._done:  # the next knowledge base
            self._first, self._since = done, now
        self._total, self._done = total, done
        here = done - self._first
        left = (
            f", about {duration((now - self._since) / here * (total - done))} left"
            if 0 < here < total - self._first
            else ""
        )
        self._tell(done / max(1, total), f"{done:,} of {number_of(total, 'passage')} encoded{left}")
