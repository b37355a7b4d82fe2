from __future__ import annotations

import pytest
import torch
from torch import nn

from retriever.int8 import Int8Linear, use_int8


@pytest.mark.parametrize("bias", [True, False])
def test_int8_is_close_to_float32_even_with_rows_of_different_size(bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(256, 320, bias=bias)
    rows = torch.randn(2, 7, 256) * torch.tensor([0.001, 1, 5, 50, 0.1, 1, 0])[:, None]
    with torch.inference_mode():
        expected, got = linear(rows), Int8Linear(linear)(rows)
    error = (got - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-3)
    assert error.max() < 0.03


def test_large_linear_layers_are_replaced_and_projections_stay() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 64))
    use_int8(model)
    assert [type(layer).__name__ for layer in model] == ["Int8Linear", "GELU", "Linear"]


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match="float32 on the CPU"):
        use_int8(nn.Linear(256, 256).to(torch.bfloat16))
