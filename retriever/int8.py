"""Linear layers in 8-bit integers, for processors that have no bfloat16 arithmetic.

Where AMX or AVX512-BF16 is missing, bfloat16 is emulated and slower than float32; the 8-bit dot products of AVX512-VNNI
are three to four times as fast. Weights get one scale an output row, activations one scale a token (LLM.int8(),
arXiv:2208.07339, without its outlier columns). For inference only.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

__all__ = ["Int8Linear", "use_int8"]

_SMALLEST = 1e-12


class Int8Linear(nn.Module):
    """`nn.Linear` with 8-bit weights and activations; inputs and outputs keep their dtype."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = weight.abs().amax(dim=1).clamp(min=_SMALLEST) / 127
        zeros = torch.zeros_like(scales, dtype=torch.long)
        with warnings.catch_warnings():  # torch announces another way to make the tensor; the pinned version has this
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch.quantize_per_channel(weight, scales, zeros, axis=0, dtype=torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        self._bias = None if linear.bias is None else linear.bias.detach().float()
        # Without VNNI the kernels add in 16 bits, which 8-bit activations may overflow.
        self._reduce_range = not torch.cpu._is_vnni_supported()

    def forward(self, rows: Tensor) -> Tensor:
        """(..., n_in) -> (..., n_out)."""
        scale = rows.abs().amax(dim=-1, keepdim=True).clamp(min=_SMALLEST)
        output = torch.ops.quantized.linear_dynamic((rows / scale).float(), self._packed, self._reduce_range)
        output = output.mul_(scale)
        output = output if self._bias is None else output.add_(self._bias)
        converted: Tensor = output.to(rows.dtype)
        return converted


def use_int8(model: nn.Module) -> None:
    """Replaces, in place, the linear layers of a model's encoders by 8-bit ones.

    Args:
        model: in float32, on the CPU, for inference.

    Raises:
        ValueError: the model is elsewhere, or in another dtype.
    """
    for parameter in model.parameters():
        if parameter.device.type != "cpu" or parameter.dtype is not torch.float32:
            raise ValueError("8-bit linear layers need the model in float32 on the CPU")
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            # The last projections (to `dim`) decide the embeddings and cost little: they stay.
            if type(child) is nn.Linear and min(child.in_features, child.out_features) >= 256:
                setattr(module, name, Int8Linear(child))
