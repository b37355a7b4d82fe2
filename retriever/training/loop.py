"""What every training run shares: the learning-rate schedule, checkpoints to go on from, the log."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

__all__ = ["OtherRunError", "Resumable", "RunLog", "parameter_groups", "scheduled_rate", "set_rate"]

logger = logging.getLogger(__name__)


class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]:
        """What to save."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:  # noqa: ANN401 - modules and optimisers differ
        """Takes back what was saved."""


def scheduled_rate(step: int, *, steps: int, warmup: int, peak: float, floor: float = 0.02) -> float:
    """Linear warm-up, then half a cosine down to `floor * peak`."""
    warm = min(1.0, (step + 1) / max(1, warmup))
    return peak * warm * (floor + (1 - floor) * (1 + math.cos(math.pi * step / steps)) / 2)


def set_rate(optimiser: torch.optim.Optimizer, step: int, *, steps: int, warmup: int, peak: float) -> None:
    """Gives every group of parameters the rate of `scheduled_rate`."""
    for group in optimiser.param_groups:
        group["lr"] = scheduled_rate(step, steps=steps, warmup=warmup, peak=peak)


def parameter_groups(parameters: Mapping[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Optimiser groups: matrices decay, vectors (biases, norms) do not."""
    matrices = [value for value in parameters.values() if value.ndim >= 2]
    vectors = [value for value in parameters.values() if value.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


class OtherRunError(ValueError):
    """A folder holds the state of a run with other settings."""


class Resumable:
    """The state of a run on disk; written beside and put in place, so that a kill leaves the last whole one."""

    def __init__(self, path: Path, parts: Mapping[str, _Stateful]) -> None:
        self._path, self._parts = path, parts

    def load(self) -> int:
        """Takes back the saved state, if there is one; returns the steps that are done.

        Raises:
            OtherRunError: it is of other parts.
        """
        if not self._path.exists():
            return 0
        saved = torch.load(self._path, weights_only=True)
        try:
            for name, part in self._parts.items():
                part.load_state_dict(saved[name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise OtherRunError(
                f"{self._path} is of a training with other settings; move it away to begin anew"
            ) from error
        logger.info("going on from %s at step %d", self._path, saved["step"])
        return int(saved["step"])

    def save(self, step: int) -> None:
        """Writes the state after `step` steps."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        torch.save({name: part.state_dict() for name, part in self._parts.items()} | {"step": step}, new)
        new.replace(self._path)


class RunLog:
    """Means of the figures of some steps, as JSON lines in a file and as log messages."""

    def __init__(self, path: Path, every: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._every, self._sums, self._count = path, every, dict[str, float | Tensor](), 0
        self._began = time.monotonic()

    def add(self, step: int, **figures: float | Tensor) -> None:
        """Takes the figures of one step (counted from 1). Tensors are read, and so waited for, only at each line."""
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if step % self._every:
            return
        row = {name: round(float(total) / self._count, 5) for name, total in self._sums.items()}
        row = {"step": step} | row | {"seconds": round(time.monotonic() - self._began, 1)}
        with self._path.open("a") as log:
            log.write(json.dumps(row) + "\n")
        logger.info("%s %s", self._path.parent.name, ", ".join(f"{name} {value}" for name, value in row.items()))
        self._sums, self._count = {}, 0
