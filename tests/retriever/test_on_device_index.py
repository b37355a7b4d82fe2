from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from retriever.index.codec import CodecSettings
from retriever.index.compressed import LateInteractionIndex
from retriever.index.device_rows import DeviceSegment, QueryRows, load_segment
from retriever.index.device_search import agree, scores_for, torch_scores
from retriever.index.exact import ExactIndex
from retriever.index.manifest import DeviceMemoryError, IndexDamagedError
from retriever.index.on_device import OnDeviceIndex
from retriever.index.opening import searched_on
from retriever.index.ranking import in_groups

DIM = 24
CPU = torch.device("cpu")
Hits = list[tuple[str, float]]


def unit(n: int, generator: torch.Generator) -> Tensor:
    return functional.normalize(torch.randn(n, DIM, generator=generator), dim=1)


def passages(n: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [unit(length, generator) for length in torch.randint(1, 30, (n,), generator=generator).tolist()]


def query(seed: int = 7, rows: int = 9) -> Tensor:
    return unit(rows, torch.Generator().manual_seed(seed))


def names(n: int, start: int = 0) -> list[str]:
    return [f"p{number}" for number in range(start, start + n)]


@pytest.fixture
def exact(tmp_path: Path) -> ExactIndex:
    """Three segments with deletions in two of them."""
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f1")
    for start, count in ((0, 160), (160, 60), (220, 15)):
        index.add(names(count, start), passages(count, seed=start))
    index.delete(["p3", "p100", "p165"])
    assert len(index.stored.segments) == 3
    return index


def on_cpu(index: Any, dtype: torch.dtype = torch.float32, **options: Any) -> OnDeviceIndex:  # noqa: ANN401
    return OnDeviceIndex(index, device=CPU, dtype=dtype, **options)


def same(got: Hits, expected: Hits, *, within: float = 1e-5) -> bool:
    close = all(abs(a[1] - b[1]) < within for a, b in zip(got, expected, strict=True))
    return close and [item for item, _ in got] == [item for item, _ in expected]


@pytest.mark.parametrize("k", [1, 7, 232, 1000])
def test_in_float32_it_ranks_and_scores_as_the_exact_index(exact: ExactIndex, k: int) -> None:
    index = on_cpu(exact)
    queries = [query(1), query(2, rows=1), query(3, rows=40)]
    found = index.search_batch(queries, k=k)
    assert len(found[0]) == min(k, 232)
    for one, hits in zip(queries, found, strict=True):
        assert same(hits, exact.search(one, k=k))
        assert same(index.search(one, k=k), hits)


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)])
def test_16_bits_change_scores_by_their_rounding_alone(exact: ExactIndex, dtype: torch.dtype, rounding: float) -> None:
    index = on_cpu(exact, dtype)
    assert index.row_dtype == dtype
    expected = dict(exact.search(query(), k=1000))
    found = index.search(query(), k=1000)
    # Rows and queries are unit rows: each cosine is off by a rounding of either side at most.
    assert max(abs(score - expected[item]) for item, score in found) < 2 * rounding * len(query())
    assert len({item for item, _ in found[:10]} & {item for item, _ in exact.search(query(), k=10)}) >= 9
    # And what is summed up is exactly the rounded rows.
    rounded = {item: rows.half().to(dtype).float() for item, rows in zip(names(160), passages(160), strict=True)}
    asked = query().to(dtype).float()
    for item, score in found:
        if item in rounded:
            assert score == pytest.approx(float((rounded[item] @ asked.T).amax(dim=0).sum()), abs=1e-5)


def test_int8_finds_nearly_all_of_the_best(exact: ExactIndex) -> None:
    in_bytes = exact.stored.segments[0].rows["embeddings"].nbytes
    index = on_cpu(exact, torch.bfloat16, max_bytes=in_bytes)
    assert index.row_dtype == torch.int8
    assert index.device_bytes <= in_bytes
    shares = []
    for seed in range(20):
        found, expected = (dict(one.search(query(seed), k=20)) for one in (index, exact))
        shares.append(len(found.keys() & expected.keys()) / 20)
        assert all(found[item] == pytest.approx(expected[item], abs=0.05) for item in found.keys() & expected.keys())
    assert sum(shares) / 20 > 0.97


def test_what_does_not_fit_even_in_8_bits_is_refused(exact: ExactIndex) -> None:
    with pytest.raises(DeviceMemoryError, match=r"the index takes 0\.00 GB more of cpu in 8 bits, and 0\.00 GB may"):
        on_cpu(exact, max_bytes=1000)


@pytest.mark.parametrize("n_bits", [8, 4])
def test_a_compressed_index_scores_every_decoded_row(exact: ExactIndex, n_bits: int) -> None:
    compressed = LateInteractionIndex.convert(exact, CodecSettings(n_bits=n_bits, n_centroids=32))
    index = on_cpu(compressed)
    assert index.row_dtype == (torch.int8 if n_bits == 8 else torch.float32)
    for seed in range(5):
        expected = compressed.search(query(seed), k=30, n_candidates=len(compressed))
        assert same(index.search(query(seed), k=30), expected, within=3e-3)
    compressed.add(["new"], passages(1, seed=9))
    again = on_cpu(compressed)
    assert again.search(passages(1, seed=9)[0], k=1)[0][0] == "new"


def test_equal_scores_come_in_the_order_of_insertion(tmp_path: Path) -> None:
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f")
    (row,) = passages(1)
    index.add(["long", "b", "c"], [torch.cat([row, row, row]), row, row])
    index.add(["a"], [row])
    searched = on_cpu(index)
    assert [item for item, _ in searched.search(query(), k=4)] == ["long", "b", "c", "a"]
    assert [item for item, _ in searched.search(query(), k=2)] == ["long", "b"]
    # Scores of rows that are all zero are zero, and of the opposite sign below.
    opposite = [-query(seed)[:1] for seed in range(2)]
    index.add(["below", "further below"], [opposite[0], torch.cat([opposite[0], opposite[0]])])
    asked = torch.cat([query(0)[:1], torch.zeros(3, DIM)])
    assert same(on_cpu(index).search(asked, k=6), index.search(asked, k=6))
    assert on_cpu(index).search(asked, k=6)[-1][1] < 0


def test_queries_without_rows_and_rows_of_zeros(exact: ExactIndex) -> None:
    index = on_cpu(exact)
    masked = torch.cat([query(), torch.zeros(5, DIM)])
    assert same(index.search(masked, k=9), index.search(query(), k=9))
    nothing, something = index.search_batch([torch.zeros(0, DIM), query()], k=3)
    assert nothing == [("p0", 0.0), ("p1", 0.0), ("p2", 0.0)] == exact.search(torch.zeros(0, DIM), k=3)
    assert same(something, exact.search(query(), k=3))
    assert index.search_batch([torch.zeros(0, DIM)], k=1) == [[("p0", 0.0)]]
    assert index.search_batch([], k=3) == []


def test_wrong_questions(exact: ExactIndex) -> None:
    index = on_cpu(exact)
    with pytest.raises(ValueError, match="at least 1"):
        index.search(query(), k=0)
    with pytest.raises(ValueError, match="the index takes"):
        index.search(torch.zeros(2, DIM + 1), k=1)


def test_an_empty_index(tmp_path: Path) -> None:
    empty = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f")
    index = on_cpu(empty)
    assert index.search_batch([query(), query()], k=3) == [[], []]
    index.add(["a"], passages(1))
    assert [item for item, _ in index.search(query(), k=3)] == ["a"]
    index.delete(["a"])
    assert (index.search(query(), k=3), index.ids, index.n_tokens, index.device_bytes) == ([], [], 0, 0)


def test_contributions_add_up_to_the_score(exact: ExactIndex) -> None:
    for index in (on_cpu(exact), on_cpu(exact, torch.bfloat16), on_cpu(exact, torch.bfloat16, max_bytes=1 << 17)):
        for item, score in index.search(query(), k=5):
            shares = index.contributions(query(), item)
            assert shares.shape == (9,)
            assert float(shares.sum()) == pytest.approx(score, abs=1e-5)
    with pytest.raises(KeyError):
        index.contributions(query(), "p3")


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_sequence_of_changes_equals_the_exact_index(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    exact = ExactIndex.create(tmp_path_factory.mktemp("any") / "index", dim=DIM, fingerprint="f")
    index = on_cpu(exact)
    start = 0
    for step in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()) and len(index):
            index.delete(data.draw(st.lists(st.sampled_from(index.ids), unique=True, min_size=1)))
        elif data.draw(st.integers(0, 3)) == 0:
            index.compact()
        else:
            count = data.draw(st.integers(1, 12))
            index.add(names(count, start), passages(count, step))
            start += count
        reopened = ExactIndex.open(exact.path)
        assert index.ids == reopened.ids
        assert len(index) == len(reopened)
        assert same(index.search(query(), k=5), reopened.search(query(), k=5))


def test_a_change_sends_only_what_is_new(exact: ExactIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    def counted(segment: Any, *rest: Any, **options: Any) -> DeviceSegment:  # noqa: ANN401
        sent.append(segment.entry.n_passages)
        return load_segment(segment, *rest, **options)

    monkeypatch.setattr("retriever.index.on_device.load_segment", counted)
    index = on_cpu(exact)
    assert sent == [160, 60, 15]
    index.delete(["p7"])
    index.add(names(3, 500), passages(3, seed=1))
    assert sent == [160, 60, 15, 3]
    reopened = ExactIndex.open(exact.path)
    assert on_cpu(reopened, previous=[exact, index]).search(query(), k=9) == index.search(query(), k=9)
    assert sent == [160, 60, 15, 3]
    on_cpu(reopened, torch.bfloat16, previous=[index])
    on_cpu(reopened, previous=[reopened])
    assert sent == [160, 60, 15, 3] * 3


def test_searches_under_way_keep_their_snapshot(exact: ExactIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    index = on_cpu(exact)
    expected = index.search(query(), k=5)

    def changed_meanwhile(queries: list[Tensor], n_rows: int) -> Iterator[list[Tensor]]:
        index.delete([item for item, _ in expected])
        return in_groups(queries, n_rows)

    monkeypatch.setattr("retriever.index.on_device.in_groups", changed_meanwhile)
    assert index.search(query(), k=5) == expected


def test_a_damaged_index_is_not_sent(exact: ExactIndex) -> None:
    (file, *_) = exact.path.glob("segment-*.f16")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(IndexDamagedError, match="was altered"):
        on_cpu(ExactIndex.open(exact.path))


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers how large the largest tensor was that an operation made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_bytes = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor) and tensor._base is None:  # no view
                self.n_bytes = max(self.n_bytes, tensor.nbytes)
        return result


@pytest.mark.parametrize("rows", [9, 200])
def test_memory_is_bounded_whatever_the_number_of_passages(tmp_path: Path, rows: int) -> None:
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f")
    index.add(names(3000), passages(3000))
    queries = [query(seed, rows) for seed in range(3)]
    all_cosines = index.n_tokens * rows * 3 * 4
    limit = 1 << 18
    assert all_cosines > 10 * limit
    with Largest() as largest:
        found = on_cpu(index, block_bytes=limit, dtype=torch.float32)
        largest.n_bytes = 0  # of loading
        hits = found.search_batch(queries, k=10)
    assert limit / 16 < largest.n_bytes <= limit
    assert all(same(one, index.search(asked, k=10)) for asked, one in zip(queries, hits, strict=True))
    # One passage is scored at once, however little may be taken.
    tight = on_cpu(index, block_bytes=1).search(queries[0], k=10)
    assert same(tight, hits[0])


def test_many_queries_are_scored_in_groups() -> None:
    queries = [torch.zeros(n, DIM) for n in (3, 3, 3, 20, 0, 1)]
    assert [[len(one) for one in group] for group in in_groups(queries, 7)] == [[3, 3], [3], [20], [0, 1]]


def test_blocks_are_of_passages_of_nearly_the_same_length() -> None:
    lengths = torch.tensor([1] * 10 + [2] * 3 + [8, 9, 9, 30, 31, 100]).numpy()
    segment = DeviceSegment.of(torch.randn(int(lengths.sum()), DIM), None, lengths)
    few = QueryRows.of([query(), query(1)], device=CPU, dtype=torch.float32)
    found = [(first, block.shape[1]) for first, block in torch_scores(segment, few, 1 << 20)]
    assert found == [(0, 10), (10, 3), (13, 3), (16, 2), (18, 1)]


def test_a_wrong_kernel_is_found_out() -> None:
    def wrong(segment: DeviceSegment, queries: QueryRows, block_bytes: int) -> Iterator[tuple[int, Tensor]]:
        """Leaves out the last row of the segment."""
        shorter = segment.lengths.copy()
        shorter[-1] -= 1
        steps = None if segment.steps is None else segment.steps[:-1]
        return torch_scores(DeviceSegment.of(segment.rows[:-1], steps, shorter), queries, block_bytes)

    for held in (torch.float16, torch.int8):
        assert agree(torch_scores, CPU, torch.float16, held, 128)
        assert not agree(wrong, CPU, torch.float16, held, 128)
    assert scores_for(CPU, torch.bfloat16, torch.bfloat16, DIM) is torch_scores


def test_on_the_cpu_nothing_changes_and_nothing_is_imported(exact: ExactIndex) -> None:
    assert searched_on(exact, device=CPU, dtype=torch.float32) is exact
    imported = (
        "import sys, torch; from pathlib import Path; from retriever.index.opening import open_index, searched_on\n"
        f"index = open_index(Path({str(exact.path)!r}))\n"
        "searched_on(index, device=torch.device('cpu'), dtype=torch.float32).search(torch.ones(1, 24), k=1)\n"
        "print(sorted({'triton', 'retriever.index.on_device', 'retriever.index.device_search'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
