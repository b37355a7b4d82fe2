from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llvmlite import binding
from numba import njit
from numpy.typing import NDArray

from retriever.index import kernels, reference
from retriever.index.codec import LEVELS

RANDOM = np.random.default_rng(0)
STARTS = np.array([0, 3, 10, 11, 100, 200])


def packed(query: NDArray[np.int16], width: int) -> NDArray[np.int16]:
    padded = np.zeros((-(-len(query) // width) * width, query.shape[1]), dtype=np.int16)
    padded[: len(query)] = query
    return np.ascontiguousarray(padded.reshape(-1, 16, query.shape[1] // 2, 2).transpose(0, 2, 1, 3))


def columns(table: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    """(n_blocks, n_rows, width) -> (n_rows, n)."""
    return table.transpose(1, 0, 2).reshape(table.shape[1], -1)[:, :n]


def stored(n_bits: int, n_tokens: int, dim: int) -> tuple[dict[str, Any], NDArray[np.uint8], NDArray[np.float32]]:
    """Codes and what decodes them, stored rows, and what these are worth."""
    sizes = np.exp2(np.arange(256) / 16 - 16).astype(np.float32)
    centroids, codebooks = (RANDOM.standard_normal((n, dim)).astype(np.float32) * 0.05 for n in (64, 512))
    codebooks[:256, dim // 2 :] = 0
    codebooks[256:, : dim // 2] = 0
    deviations = RANDOM.uniform(0.5, 2, dim).astype(np.float32) * 0.05
    steps = RANDOM.integers(100, 250, (n_tokens, 1)).astype(np.uint8)
    codes = RANDOM.integers(0, 64, (n_tokens, 1)).astype(np.uint16)
    fine = RANDOM.integers(0, 256, (n_tokens, 2)).astype(np.uint8)
    if n_bits == 8:
        rows = RANDOM.integers(-127, 128, (n_tokens, dim)).astype(np.int8).view(np.uint8)
        decoded = rows.view(np.int8) * sizes[steps]
    else:
        rows = RANDOM.integers(0, 256, (n_tokens, dim // 2)).astype(np.uint8)
        picks = np.concatenate([rows & 15, rows >> 4], axis=1)
        decoded = centroids[codes[:, 0]] + codebooks[fine[:, 0]] + codebooks[256 + fine[:, 1].astype(int)]
        decoded = decoded + sizes[steps] * deviations * LEVELS[picks]
    codec = (sizes, centroids, codebooks, deviations)
    return {"steps": steps, "codes": codes, "fine": fine, "codec": codec}, rows, np.asarray(decoded, dtype=np.float32)


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize(("n_rows", "dim"), [(1, 128), (32, 128), (37, 8), (65, 128), (130, 64)])
def test_tables_and_scan_equal_the_reference(width: int, n_rows: int, dim: int) -> None:
    query = RANDOM.integers(-16384, 16384, (n_rows, dim)).astype(np.int16)
    vectors = RANDOM.integers(-2000, 2000, (64, dim)).astype(np.int16)
    blocks = packed(query, width)
    table = np.zeros((len(blocks) * 16 // width, 64, width), dtype=np.uint8)
    gain, lift = 1e-5 / dim, 100.0
    for first in range(len(blocks)):
        kernels.fill_table(vectors, blocks, np.float32(gain), np.float32(lift), table, first, first + 1)
    expected = reference.table_of(vectors, query, gain, lift)
    assert (columns(table, n_rows) == expected).all()
    assert 0 < expected.min() < expected.max() < 255 or expected.std() > 10

    fine_table = RANDOM.integers(0, 90, (len(table), 512, width)).astype(np.uint8)
    codes = RANDOM.integers(0, 64, (200, 1)).astype(np.uint16)
    fine = RANDOM.integers(0, 256, (200, 2)).astype(np.uint8)
    bounds = np.full(5, -1, dtype=np.int32)
    n_columns = len(table) * width
    weights = RANDOM.integers(0, 300, n_columns).astype(np.int32)
    kernels.scan(table, fine_table, weights, codes, fine, STARTS, bounds, 0, 3)
    kernels.scan(table, fine_table, weights, codes, fine, STARTS, bounds, 3, 5)
    tables = columns(table, n_columns), columns(fine_table, n_columns)
    assert (bounds == reference.scan(*tables, codes[:, 0], fine, STARTS, weights)).all()
    assert len(set(bounds)) >= 3


@pytest.mark.parametrize("n_bits", [8, 4])
@pytest.mark.parametrize(("n_rows", "dim", "width"), [(1, 128, 32), (100, 6, 64), (320, 128, 64)])
def test_likely_tokens_equal_the_reference(n_bits: int, n_rows: int, dim: int, width: int) -> None:
    starts = np.array([0, 1, 30, 300, 900])  # one passage with one token, two with more than 256
    parts, rows, decoded = stored(n_bits, 900, dim)
    n_blocks = -(-n_rows // width)
    table = RANDOM.integers(0, 200, (n_blocks, 64, width)).astype(np.uint8)
    fine_table = RANDOM.integers(0, 40, (n_blocks, 512, width)).astype(np.uint8)
    query = RANDOM.standard_normal((n_rows, dim)).astype(np.float32)
    codes, fine = parts["codes"], parts["fine"]
    chosen = np.array([0, 1, 3])
    scores = np.zeros(3, dtype=np.float32)
    arrays = rows, parts["steps"], codes, fine, parts["codec"], starts, chosen, scores
    kernels.score_likely(table, fine_table, query, *arrays, 0, 2)
    kernels.score_likely(table, fine_table, query, *arrays, 2, 3)
    tables = columns(table, n_blocks * width), columns(fine_table, n_blocks * width)
    expected = reference.likely(*tables, codes[:, 0], fine, starts, query, decoded)[chosen]
    assert np.abs(scores - expected).max() < 1e-5 * np.abs(query).sum()
    assert len(set(expected)) == 3


@pytest.mark.parametrize("n_bits", [8, 4])
@pytest.mark.parametrize(("n_rows", "dim"), [(1, 128), (37, 128), (320, 128), (20, 6)])
def test_rescoring_equals_maxsim_over_decoded_rows(n_bits: int, n_rows: int, dim: int) -> None:
    query = RANDOM.integers(-2000, 2000, (n_rows, dim)).astype(np.int16)
    parts, rows, decoded = stored(n_bits, 200, dim)
    chosen = np.array([0, 2, 4])
    scores = np.zeros(3, dtype=np.float32)
    arrays = rows, parts["steps"], parts["codes"], parts["fine"], parts["codec"], STARTS, chosen, scores
    kernels.rescore(packed(query, 16), *arrays, 0, 2)
    kernels.rescore(packed(query, 16), *arrays, 2, 3)
    expected = reference.maxsim_of(query, decoded, STARTS)[chosen]
    rounding = 0 if n_bits == 8 else np.linalg.norm(query.astype(float), axis=1).sum() * dim**0.5 / 2 / kernels.GRID
    assert np.abs(scores - expected).max() <= rounding + 1e-5 * np.abs(query.astype(float)).sum()
    assert np.abs(scores - expected).max() < 0.01 * np.abs(expected).max()
    assert len(set(expected)) == 3


@pytest.mark.skipif(not binding.get_host_cpu_features().get("avx2"), reason="names instructions of AVX2 and later")
def test_the_machine_code_has_the_instructions_that_make_it_fast() -> None:
    test_tables_and_scan_equal_the_reference(32, 37, 8)
    test_rescoring_equals_maxsim_over_decoded_rows(8, 37, 128)
    for kernel, wanted in (
        (kernels.fill_table, "vpmaddwd|vpdpwssd"),
        (kernels.scan, "vpmaxub"),
        (kernels.scan, "vpaddusb"),
        (kernels.rescore, "vpmaddwd|vpdpwssd"),
    ):
        anew = njit(nogil=True)(kernel.py_func)  # type: ignore[attr-defined]
        anew.compile(kernel.signatures[0])  # type: ignore[attr-defined]
        assembly = "".join(anew.inspect_asm().values())
        assert re.search(wanted, assembly), wanted


def test_without_a_folder_for_machine_code_every_process_compiles_anew() -> None:
    """numba refuses to cache what it finds no writable folder for, as in a read-only checkout without a home."""
    program = (
        "import numba\n"
        "from numba.core import caching\n"
        "def none(self, function): raise RuntimeError('no locator available')\n"
        "caching.CacheImpl.__init__ = none\n"
        "import numpy as np\n"
        "from retriever.index import kernels\n"
        "table = np.zeros((1, 8, 32), dtype=np.uint8)\n"
        "query = np.zeros((2, 1, 16, 2), dtype=np.int16)\n"
        "kernels.fill_table(np.zeros((8, 2), dtype=np.int16), query, np.float32(1), np.float32(7), table, 0, 2)\n"
        "print(table.min(), table.max())\n"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False)
    assert done.stdout.split() == ["7", "7"], done.stderr
