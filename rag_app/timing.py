"""Times the stages of one piece of work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Stopwatch"]


class Stopwatch:
    """Milliseconds by stage, in the order in which the stages began."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time inside the `with` block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + (time.perf_counter() - started) * 1000

    def timings_ms(self, *, shared_by: int = 1) -> dict[str, float]:
        """The stages and `total`, in milliseconds; divided evenly when a batch of questions shared the time."""
        total = (time.perf_counter() - self._started) * 1000
        return {name: taken / shared_by for name, taken in {**self._stages, "total": total}.items()}
