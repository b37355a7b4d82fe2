"""Progress of long work, on the terminal's error stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["ProgressLine", "duration"]


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class ProgressLine:
    """Shows how far some work is and how long the rest will take.

    On a terminal one line is rewritten; elsewhere (a log file) a line is written every ten seconds and at the end.
    """

    def __init__(
        self, label: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label = label
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._rewrites = self._stream.isatty()
        self._every = 0.2 if self._rewrites else 10.0
        self._started = self._shown = clock()
        self._first_done: int | None = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Reports that `done` of `total` pieces are finished; `note` is shown behind, such as a running score.

        Where nobody knows how many there will be, `total` is 0 until all are done.
        """
        now = self._clock()
        if self._first_done is None:
            self._first_done = done  # work resumed from an earlier run does not count for the speed
        finished = 0 < total <= done
        if not finished and now - self._shown < self._every:
            return
        self._shown = now
        text = f"{self._label}: {done:,}{f' of {total:,}' if total else ''}"
        done_here, elapsed = done - self._first_done, now - self._started
        if finished:
            text += f", took {duration(elapsed)}"
        elif done_here > 0 and total:
            text += f", about {duration(elapsed / done_here * (total - done))} left"
        if note:
            text += f", {note}"
        self._write(text, finished=finished)

    def _write(self, text: str, *, finished: bool) -> None:
        if self._rewrites:
            self._stream.write(f"\r\x1b[K{text}" + ("\n" if finished else ""))
        else:
            self._stream.write(text + "\n")
        self._stream.flush()
