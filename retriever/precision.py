"""In which number format to multiply, and how far bfloat16 can be off."""

from __future__ import annotations

import torch

__all__ = ["BFLOAT16_ERROR", "CPU", "has_native_bfloat16", "multiply_dtype"]

CPU = torch.device("cpu")
# Of a product of two rows, as a part of the product of their lengths, at most: both are rounded to 8 significant bits
# (2 ** -9 each), and so is the product; they are added up in float32, which is the little that is above 3.
BFLOAT16_ERROR = 3.1 * 2.0**-9


def has_native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself (AMX or AVX512-BF16)."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def multiply_dtype(device: torch.device = CPU) -> torch.dtype:
    """bfloat16 where the device multiplies it itself."""
    return torch.bfloat16 if device.type == "cuda" or has_native_bfloat16() else torch.float32
