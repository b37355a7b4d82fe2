"""Where the models run and in which number format: decided here, once, and passed down as arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from rag_app.errors import InputError
from retriever.precision import has_native_bfloat16

__all__ = ["Placement", "out_of_memory_reported", "reason_not_to_run", "resolve_placement"]

_HELD_BACK = 0.08  # of the memory that a GPU is sold with, by its driver: a T4 of 16 GB has 15.8
_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The device and the floating-point format of the models."""

    device: torch.device
    dtype: torch.dtype


def resolve_placement(device: str = "auto", dtype: str = "auto") -> Placement:
    """Chooses the device and dtype.

    Args:
        device: `auto` (CUDA where there is one, else the CPU) or a name of torch such as `cpu` and `cuda:1`. Of several
            CUDA devices `auto` and `cuda` are the one of $LOCAL_RANK, which launchers of several processes set, else
            the first.
        dtype: `auto` (bfloat16 on CUDA and on CPUs that compute with it, else float32), `bfloat16`, `float16` or
            `float32`.

    Raises:
        InputError: the device is unknown or absent, or the dtype is unknown.
    """
    chosen = _resolve_device(device)
    if dtype == "auto":
        has_bfloat16 = chosen.type == "cuda" or (chosen.type == "cpu" and has_native_bfloat16())
        return Placement(device=chosen, dtype=torch.bfloat16 if has_bfloat16 else torch.float32)
    if dtype not in _DTYPES:
        raise InputError(f"unknown dtype {dtype!r}; choose one of auto, {', '.join(sorted(_DTYPES))}")
    return Placement(device=chosen, dtype=_DTYPES[dtype])


def reason_not_to_run(gpu_gb: float, *, device: str = "auto", needs: Sequence[str] = (), spread: bool = False) -> str:
    """Why something cannot run here, or "" when it can; nothing is loaded to find out.

    Args:
        gpu_gb: memory of a GPU that it needs, in gigabytes as GPUs are sold by; 0 for none.
        device: as for `resolve_placement`. A CPU that is asked for by name is not refused: it may be slow, not wrong.
        needs: packages that must be installed.
        spread: whether it is spread over all GPUs, whose memory then counts together.
    """
    missing = [name for name in needs if find_spec(name) is None]
    if missing:
        return f"it needs {missing[0]}; install it with `pip install -r requirements-gpu.txt`"
    if gpu_gb <= 0 or device.startswith("cpu"):
        return ""
    if not torch.cuda.is_available():
        return f"it needs a GPU with {gpu_gb:g} GB and there is none here; --device cpu tries it all the same, slowly"
    every = range(torch.cuda.device_count()) if spread else [_resolve_device(device)]
    there = sum(torch.cuda.get_device_properties(one).total_memory for one in every) / 1e9
    if there >= gpu_gb * (1 - _HELD_BACK):
        return ""
    has = f"all of them have {there:.1f}" if spread else f"this one has {there:.1f}"
    return f"it needs a GPU with {gpu_gb:g} GB and {has}; --set gpu_gb=0 tries it all the same"


@contextmanager
def out_of_memory_reported(doing: str, *remedies: str) -> Iterator[None]:
    """Turns memory of the device that ran out into an `InputError`.

    Args:
        doing: what was done, such as "the answer was generated".
        remedies: what takes less, beside the CPU.

    Raises:
        InputError: memory ran out.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        others = ", ".join(remedies) + (", or " if remedies else "")
        raise InputError(f"the device's memory ran out while {doing}; try {others}--device cpu") from error


def _resolve_device(name: str) -> torch.device:
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    if name in {"auto", "cuda"} and torch.cuda.is_available():
        rank = os.environ.get("LOCAL_RANK", "")
        return torch.device("cuda", int(rank) % torch.cuda.device_count()) if rank.isdecimal() else torch.device("cuda")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device {name!r}; choose auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r} was asked for, but no CUDA device is there; use --device cpu")
    return device
