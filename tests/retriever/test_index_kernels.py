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
from retriever.index.levels import LEVELS
from retriever.index.quantising import STEPS

RANDOM = np.random.default_rng(0)
STARTS = np.array([0, 3, 10, 11, 100, 200])


def padded(array: NDArray[Any], n_rows: int, n_columns: int) -> NDArray[Any]:
    return np.pad(array, [(0, -array.shape[0] % n_rows), (0, -array.shape[1] % n_columns)])


def packed(query: NDArray[np.int16], width: int) -> NDArray[np.int16]:
    blocks = padded(query, width, 2).reshape(-1, 16, query.shape[1] // 2, 2)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


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
    halves = deviations.reshape(2, -1) if n_bits == 4 else np.zeros((2, 0), dtype=np.float32)
    codec = (sizes, padded(centroids, 1, 32), padded(codebooks, 1, 32), padded(halves, 1, 16))
    return {"steps": steps, "codes": codes, "fine": fine, "codec": codec}, rows, np.asarray(decoded, dtype=np.float32)


@pytest.mark.parametrize("width", [16, 32, 64])
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


def rounding(n_bits: int, query: NDArray[np.int16]) -> float:
    """How far a sum over query rows may be from the exact one."""
    rows = query.astype(float)
    whole = 0 if n_bits == 8 else np.linalg.norm(rows, axis=1).sum() * query.shape[1] ** 0.5 / 2 / kernels.GRID
    return float(whole + 1e-5 * np.abs(rows).sum())


@pytest.mark.parametrize("n_bits", [8, 4])
@pytest.mark.parametrize(("n_rows", "dim"), [(1, 128), (37, 128), (320, 128), (20, 6), (20, 34)])
def test_rescoring_equals_maxsim_over_decoded_rows(n_bits: int, n_rows: int, dim: int) -> None:
    query = RANDOM.integers(-2000, 2000, (n_rows, dim)).astype(np.int16)
    parts, rows, decoded = stored(n_bits, 200, dim)
    chosen = np.array([0, 2, 4])
    scores = np.zeros(3, dtype=np.float32)
    arrays = rows, parts["steps"], parts["codes"], parts["fine"], parts["codec"], STARTS, chosen, scores
    blocks = packed(padded(query, 1, 32), 16)
    kernels.rescore(blocks, *arrays, 0, 2)
    kernels.rescore(blocks, *arrays, 2, 3)
    expected = reference.maxsim_of(query, decoded, STARTS)[chosen]
    assert np.abs(scores - expected).max() <= rounding(n_bits, query)
    assert np.abs(scores - expected).max() < 0.01 * np.abs(expected).max()
    assert len(set(expected)) == 3


@pytest.mark.parametrize(("n_rows", "dim"), [(1, 128), (37, 128), (320, 6)])
def test_maxsim_in_float32_equals_the_reference(n_rows: int, dim: int) -> None:
    query, rows = (RANDOM.standard_normal((n, dim)).astype(np.float32) for n in (n_rows, 200))
    rows[4:7] = -np.abs(rows[:3])
    rows[11:14], starts = rows[:3], np.array([0, 3, 10, 11, 14, 200])
    scores = np.zeros(5, dtype=np.float32)
    for first, last in ((0, 2), (2, 5)):
        kernels.maxsim(np.ascontiguousarray(query.T), rows, starts, scores, first, last)
    np.testing.assert_allclose(scores, reference.maxsim_of(query, rows, starts), rtol=1e-4, atol=1e-4)
    assert scores[0] == scores[3], "of equal passages"


def test_levels_equal_the_reference_and_cost_less_than_the_nearest() -> None:
    n, dim, along = 40, 24, 4.0
    left, rows = (RANDOM.standard_normal((n, dim)).astype(np.float32) * scale for scale in (0.05, 0.2))
    left[0] = 0
    unit = RANDOM.uniform(0.5, 2, dim).astype(np.float32)
    factors = np.array([0.8, 1.0, 1.3], dtype=np.float32)
    loading = RANDOM.standard_normal((dim, 3))
    metric = (np.eye(dim) + loading @ loading.T).astype(np.float32)
    steps, picks = np.zeros((n, 1), dtype=np.uint8), np.zeros((n, dim), dtype=np.uint8)
    for first, last in ((0, 13), (13, n)):
        kernels.nearest_levels(left, unit, STEPS, factors, LEVELS, steps, picks, first, last)
    settled = picks.copy()
    for first, last in ((0, 13), (13, n)):
        kernels.settle_levels(
            left, rows, STEPS, steps, unit, metric, np.float32(along), LEVELS, 2, settled, first, last
        )
    for row in range(n):
        deviation = max(float(np.sqrt(np.mean((left[row] / unit) ** 2))), 1e-9)
        sizes = [STEPS[np.searchsorted(STEPS, deviation * factor * (1 - 1e-6))] for factor in factors]
        tries = [reference.nearest_levels(left[row], unit, size, LEVELS) for size in sizes]
        size, (nearest, error) = min(zip(sizes, tries, strict=True), key=lambda one: one[1][1])
        assert STEPS[steps[row, 0]] == size
        assert (picks[row] == nearest).all()
        values = (size * unit[:, None] * LEVELS).astype(np.float32)
        costs = metric + along * np.outer(rows[row], rows[row]).astype(np.float64)
        assert (settled[row] == reference.settled_levels(left[row], values, costs, nearest, 2)).all()
        before, after = (left[row] - values[np.arange(dim), which] for which in (picks[row], settled[row]))
        assert after @ costs @ after <= before @ costs @ before
        assert before @ before == pytest.approx(error, rel=1e-4)
    assert (settled != picks).any(axis=1).sum() > n / 2


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
