"""In which number format an index multiplies, and how far bfloat16 can be off."""

from __future__ import annotations

import torch

from retriever.int8 import has_native_bfloat16

__all__ = ["BFLOAT16_ERROR", "CPU", "multiply_dtype"]

CPU = torch.device("cpu")
# Of a product of two rows, as a part of the product of their lengths, at most: both are rounded to 8 significant bits
# (2 ** -9 each), and so is the product; they are added up in float32, which is the little that is above 3.
BFLOAT16_ERROR = 3.1 * 2.0**-9


def multiply_dtype(device: torch.device = CPU) -> torch.dtype:
    """bfloat16 where the device multiplies it itself."""
    return torch.bfloat16 if device.type == "cuda" or has_native_bfloat16() else torch.float32
