"""The Triton kernel, and what else of the index runs on a CUDA device.

Without a device, where Triton is installed: `TRITON_INTERPRET=1 pytest -m gpu` on this file runs the kernel's
arithmetic on the processor, and `pytest -m gpu -k compiles` compiles it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from retriever.index.device_rows import DeviceSegment, QueryRows
from retriever.index.device_search import agree, scores_for, torch_scores
from retriever.index.exact import ExactIndex
from retriever.index.kmeans import kmeans, nearest
from retriever.index.on_device import OnDeviceIndex
from retriever.index.opening import compress, searched_on

pytestmark = pytest.mark.gpu
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
HELD = [
    (torch.float16, torch.float16),
    (torch.float16, torch.int8),
    # The interpreter multiplies the bits of bfloat16 numbers as if they were integers.
    *([] if INTERPRETED else [(torch.bfloat16, torch.bfloat16), (torch.bfloat16, torch.int8)]),
]


@pytest.fixture
def device() -> torch.device:
    if INTERPRETED:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.fail("the tests marked gpu were asked for, and there is no CUDA device here")
    return torch.device("cuda:0")


@pytest.fixture
def cuda(device: torch.device) -> torch.device:
    if device.type != "cuda":
        pytest.skip("Triton's interpreter was asked for, and this needs a CUDA device")
    return device


@pytest.mark.parametrize(("dtype", "held"), HELD)
@pytest.mark.parametrize("dim", [8, 24, 128])
def test_the_kernel_agrees_with_torch(device: torch.device, dtype: torch.dtype, held: torch.dtype, dim: int) -> None:
    from retriever.index.maxsim_kernel import kernel_scores

    assert agree(kernel_scores, device, dtype, held, dim)


def test_passages_in_several_launches_and_queries_without_rows(device: torch.device) -> None:
    from retriever.index.maxsim_kernel import kernel_scores

    generator = torch.Generator().manual_seed(4)
    lengths = np.asarray([1, 2, 2, 15, 16, 17, 31, 64, 65, 80, 90])
    rows = functional.normalize(torch.randn(int(lengths.sum()), 32, generator=generator), dim=1).half().to(device)
    segment = DeviceSegment.of(rows, None, lengths)
    queries = [functional.normalize(torch.randn(n, 32, generator=generator), dim=1) for n in (5, 0, 70)]
    asked = QueryRows.of([*queries, -rows[:1].cpu()], device=device, dtype=torch.float16)
    expected = torch.cat([part for _, part in torch_scores(segment, asked, 1 << 24)], dim=1)
    parts = list(kernel_scores(segment, asked, 32 * 4 * 3))
    assert [first for first, _ in parts] == [0, 3, 6, 9]
    together = torch.cat([part for _, part in parts], dim=1)
    assert torch.allclose(together, expected, atol=1e-3)
    assert not together[1].any()
    assert together[3].min() < 0  # nothing is filled up with zeros


@pytest.mark.skipif(INTERPRETED, reason="Triton's interpreter was asked for, and it compiles nothing")
@pytest.mark.parametrize(("capability", "instruction"), [(80, "mma.sync"), (90, "wgmma.mma_async"), (120, "mma.sync")])
@pytest.mark.parametrize(("dtype", "held"), [("bf16", "bf16"), ("bf16", "i8"), ("fp16", "fp16")])
def test_the_kernel_compiles_to_tensor_core_instructions(
    capability: int, instruction: str, dtype: str, held: str
) -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from retriever.index.maxsim_kernel import _maxsim

    pointers = {
        "rows": held,
        "steps": "fp32",
        "starts": "i64",
        "query_rows": dtype,
        "query_starts": "i64",
        "scores": "fp32",
    }
    fixed = {"DIM": 128, "HAS_STEPS": held == "i8", "BLOCK_DIM": 128, "BLOCK_ROWS": 64, "BLOCK_QUERY": 64}
    signature = {name: f"*{kind}" for name, kind in pointers.items()}
    signature |= {"n_passages": "i32", "n_queries": "i32"} | dict.fromkeys(fixed, "constexpr")
    aligned = {(number,): [["tt.divisibility", 16]] for number, name in enumerate(signature) if name in pointers}
    compiled = triton.compile(
        ASTSource(_maxsim, signature, fixed, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": 4, "num_stages": 2},
    )
    assert instruction in compiled.asm["ptx"]
    assert compiled.metadata.shared < 99 * 1024  # what every such device has


def rows_of(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 120, (n,), generator=generator).tolist()
    return [functional.normalize(torch.randn(length, 64, generator=generator), dim=1) for length in lengths]


def test_an_index_on_the_device_finds_what_the_processor_finds(cuda: torch.device, tmp_path: Path) -> None:
    exact = ExactIndex.create(tmp_path / "index", dim=64, fingerprint="f")
    exact.add([str(number) for number in range(3000)], rows_of(3000))
    exact.delete(["7", "8"])
    queries = [part[:40] for part in rows_of(9)]
    for dtype in (torch.bfloat16, torch.float16):
        assert scores_for(cuda, dtype, dtype, 64) is not torch_scores
        index = searched_on(exact, device=cuda, dtype=dtype)
        assert isinstance(index, OnDeviceIndex)
        expected = OnDeviceIndex(exact, device=torch.device("cpu"), dtype=dtype).search_batch(queries, k=20)
        for mine, theirs in zip(index.search_batch(queries, k=20), expected, strict=True):
            assert len(dict(mine).keys() & dict(theirs).keys()) >= 19
            assert [score for _, score in mine] == pytest.approx([score for _, score in theirs], abs=1e-3)
    index.add(["new"], [queries[0]])
    assert index.search(queries[0], k=1)[0][0] == "new"


def test_an_index_is_compressed_on_the_device(cuda: torch.device, tmp_path: Path) -> None:
    some = torch.cat(rows_of(400)).to(cuda)
    generator = torch.Generator().manual_seed(0)
    found = kmeans(some, 64, generator=generator, iterations=6, dtype=torch.bfloat16)
    drawn = (some - some[:64][nearest(some, some[:64])]).pow(2).sum(dim=1).mean()
    assert (some - found[nearest(some, found)]).pow(2).sum(dim=1).mean() < drawn
    exact = ExactIndex.create(tmp_path / "index", dim=64, fingerprint="f")
    exact.add([str(number) for number in range(400)], rows_of(400))
    query = rows_of(400)[0]
    expected = dict(exact.search(query, k=10))
    compressed = compress(exact, device=cuda)
    assert dict(compressed.search(query, k=10)).keys() & expected.keys()
    assert searched_on(compressed, device=cuda, dtype=torch.bfloat16).search(query, k=1)[0][0] == "0"
