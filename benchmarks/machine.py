"""What a measurement says of the machine it was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numba
import torch

__all__ = ["BUSY", "machine"]

BUSY = 0.5  # load average above which the machine counts as busy before we start


def machine() -> dict[str, Any]:
    """Processor, cores, GPU ("" for none) and versions."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
    }
