from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from retriever.index import reference
from retriever.index.codec import Codec, CodecSettings
from retriever.index.compressed import LateInteractionIndex
from retriever.index.exact import ExactIndex
from retriever.index.manifest import IndexDamagedError, IndexMismatchError, IndexWriteError, Manifest

DIM = 16
CENTRES = functional.normalize(torch.randn(24, DIM, generator=torch.Generator().manual_seed(3)), dim=1)


def rows_near_centres(n: int, generator: torch.Generator) -> Tensor:
    picks = CENTRES[torch.randint(len(CENTRES), (n,), generator=generator)]
    return functional.normalize(picks + torch.randn(n, DIM, generator=generator) * 0.1, dim=1)


def passages(n: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (n,), generator=generator).tolist()
    return [rows_near_centres(length, generator) for length in lengths]


def query(seed: int = 7, rows: int = 9) -> Tensor:
    return rows_near_centres(rows, torch.Generator().manual_seed(seed))


def names(n: int, start: int = 0) -> list[str]:
    return [f"p{number}" for number in range(start, start + n)]


@pytest.fixture(scope="module", params=[8, 4])
def codec(request: pytest.FixtureRequest) -> Codec:
    return Codec.train(torch.cat(passages(300)), CodecSettings(n_bits=request.param, n_centroids=32))


@pytest.fixture(scope="module")
def codec8() -> Codec:
    return Codec.train(torch.cat(passages(300)), CodecSettings(n_centroids=32))


@pytest.fixture
def index(tmp_path: Path, codec: Codec) -> LateInteractionIndex:
    index = LateInteractionIndex.create(tmp_path / "index", codec, fingerprint="f1")
    index.add(names(120), passages(120))
    return index


def decoded(index: LateInteractionIndex) -> dict[str, np.ndarray]:
    return {
        segment.ids[position]: index.codec.decode(segment.rows_of(position))
        for segment in index.stored.segments
        for position in np.flatnonzero(segment.live()).tolist()
    }


def maxsim_over_decoded(index: LateInteractionIndex, asked: Tensor, k: int) -> list[tuple[str, float]]:
    rows = decoded(index)
    ids = index.ids
    starts = np.cumsum([0] + [len(rows[item]) for item in ids])
    scores = reference.maxsim_of(asked.numpy(), np.concatenate([rows[item] for item in ids]), starts)
    order = sorted(range(len(ids)), key=lambda place: (-scores[place], place))
    return [(ids[place], float(scores[place])) for place in order[:k]]


def same(got: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    """The same passages in the same order, and scores up to the rounding of rows to 16 bits."""
    close = all(abs(a[1] - b[1]) < max(3e-3, 5e-5 * b[1]) for a, b in zip(got, expected, strict=True))
    return close and [item for item, _ in got] == [item for item, _ in expected]


def share_found(got: list[tuple[str, float]], expected: list[tuple[str, float]]) -> float:
    return len({item for item, _ in got} & {item for item, _ in expected}) / len(expected)


def test_contributions_add_up_to_the_score(index: LateInteractionIndex) -> None:
    for name, score in index.search(query(), k=5):
        shares = index.contributions(query(), name)
        assert shares.shape == (9,)
        assert float(shares.sum()) == pytest.approx(score, abs=0.01 * 9)
    with pytest.raises(KeyError):
        index.contributions(query(), "nobody")


@pytest.mark.parametrize("rows", [1, 9, 33, 70, 150])
def test_with_every_passage_a_candidate_search_is_maxsim_over_decoded_rows(
    index: LateInteractionIndex, rows: int
) -> None:
    asked = query(rows=rows)
    assert same(index.search(asked, k=20, n_candidates=len(index)), maxsim_over_decoded(index, asked, 20))
    assert same(index.search(asked, k=20, target_recall=1.0), maxsim_over_decoded(index, asked, 20))


def test_decoded_rows_are_close(codec: Codec) -> None:
    rows = torch.cat(passages(50, seed=9))
    error = (torch.from_numpy(codec.decode(codec.encode(rows))) - rows).norm(dim=1)
    assert float(error.max()) < (0.02 if codec.n_bits == 8 else 0.15)
    assert codec.layout.bytes_a_token == 2 + 2 + 1 + DIM * codec.n_bits // 8


def test_few_candidates_find_nearly_the_same(index: LateInteractionIndex) -> None:
    shares = []
    for seed in range(20):
        few, all_of_them = (index.search(query(seed), k=10, n_candidates=number) for number in (30, 120))
        shares.append(share_found(few, all_of_them))
        scores = dict(all_of_them)
        assert all(score == pytest.approx(scores[item], rel=2e-4) for item, score in few if item in scores)
    assert np.mean(shares) > 0.9


def test_results_of_a_batch_are_those_of_single_searches(
    index: LateInteractionIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [query(seed, rows=5 + 20 * (seed % 3)) for seed in range(9)]
    alone = [index.search(item, k=5, n_candidates=20) for item in queries]
    torch.set_num_threads(2)
    several = LateInteractionIndex.open(index.path)
    together = several.search_batch(queries, k=5, n_candidates=20)
    assert all(same(got, expected) for got, expected in zip(together, alone, strict=True))
    assert same(several.search(queries[0], k=5, n_candidates=20), alone[0])


def test_ties_come_in_the_order_of_insertion(tmp_path: Path, codec: Codec) -> None:
    index = LateInteractionIndex.create(tmp_path / "index", codec, fingerprint="f")
    row = passages(1)[0][:1]
    index.add(["long", "b"], [torch.cat([row, row, row]), row])
    index.add(["a"], [row])
    assert [item for item, _ in index.search(query(), k=3)] == ["long", "b", "a"]
    assert [item for item, _ in index.search(query(), k=2, n_candidates=2)] == ["long", "b"]


def test_reopened_is_identical_and_verifies(index: LateInteractionIndex) -> None:
    again = LateInteractionIndex.open(index.path, fingerprint="f1")
    again.verify()
    assert again.ids == index.ids == names(120)
    assert (len(again), again.n_tokens, again.dim) == (120, sum(map(len, passages(120))), DIM)
    assert again.search(query(), k=40) == index.search(query(), k=40)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_sequence_of_changes_equals_a_fresh_index(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, codec8: Codec
) -> None:
    folder = tmp_path_factory.mktemp("any")
    index = LateInteractionIndex.create(folder / "index", codec8, fingerprint="f")
    kept: dict[str, Tensor] = {}
    start = 0
    for step in range(data.draw(st.integers(1, 5))):
        change = data.draw(st.sampled_from(["add", "delete", "merge"]))
        if change == "delete" and kept:
            gone = data.draw(st.lists(st.sampled_from(sorted(kept)), unique=True, min_size=1))
            index.delete(gone)
            kept = {item: rows for item, rows in kept.items() if item not in gone}
        elif change == "merge":
            index.stored = index.stored.merge()
        else:
            count = data.draw(st.integers(1, 30))
            new = dict(zip(names(count, start), passages(count, step), strict=True))
            start += count
            index.add(list(new), list(new.values()))
            kept.update(new)
    fresh = LateInteractionIndex.create(folder / "fresh", codec8, fingerprint="f")
    fresh.add(list(kept), list(kept.values()))
    reopened = LateInteractionIndex.open(index.path)
    reopened.verify()
    assert reopened.ids == fresh.ids == list(kept)
    for n_candidates in (7, 1000):
        expected = fresh.search(query(), k=5, n_candidates=n_candidates)
        assert same(reopened.search(query(), k=5, n_candidates=n_candidates), expected)


def test_converted_index_ranks_like_the_exact_one(tmp_path: Path) -> None:
    exact = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f1")
    exact.add(names(200), passages(200))
    exact.add(names(100, 200), passages(100, seed=1))
    exact.delete(["p3", "p250"])
    expected = [exact.search(query(seed), k=10) for seed in range(10)]
    index = LateInteractionIndex.convert(exact, CodecSettings(n_centroids=32))
    assert index.ids == exact.ids
    assert np.mean([share_found(index.search(query(seed), k=10), expected[seed]) for seed in range(10)]) > 0.95
    assert exact.search(query(0), k=10) == expected[0], "who had it open keeps what it opened"
    assert not list(index.path.glob("*.f16"))
    with pytest.raises(IndexMismatchError, match="open it with LateInteractionIndex"):
        ExactIndex.open(index.path)
    again = LateInteractionIndex.open(index.path)
    assert len(again.stored.manifest.calibration) == 10
    again.add(["new"], passages(1, seed=5))
    assert len(again) == 299


def test_another_kind_of_index_and_another_checkpoint_are_mismatches(tmp_path: Path, codec8: Codec) -> None:
    ExactIndex.create(tmp_path / "exact", dim=DIM, fingerprint="f1")
    with pytest.raises(IndexMismatchError, match="open it with ExactIndex"):
        LateInteractionIndex.open(tmp_path / "exact")
    LateInteractionIndex.create(tmp_path / "index", codec8, fingerprint="f1")
    with pytest.raises(IndexMismatchError, match="built with checkpoint f1 and f2 is loaded; build the index again"):
        LateInteractionIndex.open(tmp_path / "index", fingerprint="f2")


def test_recall_targets_pick_candidates_from_the_calibration(index: LateInteractionIndex) -> None:
    index.calibrate([query(seed) for seed in range(6)])
    measured = {entry.recall: entry.n_candidates for entry in index.stored.manifest.calibration}
    assert list(measured) == sorted(measured)
    assert list(measured.values()) == sorted(measured.values())
    assert LateInteractionIndex.open(index.path).stored.manifest.calibration == index.stored.manifest.calibration
    with pytest.raises(ValueError, match="target_recall is 0; give a share"):
        index.search(query(), k=1, target_recall=0)


def test_compact_fits_the_codec_again_when_passages_have_drifted(tmp_path: Path, codec: Codec) -> None:
    index = LateInteractionIndex.create(tmp_path / "index", codec, fingerprint="f")
    index.add(names(50), passages(50))
    index.add(["x"], passages(1, seed=2))
    index.delete(["p7"])
    before = index.search(query(), k=30, n_candidates=100)
    index.compact()
    assert index.codec is codec
    assert len(index.stored.segments) == 1
    assert same(index.search(query(), k=30, n_candidates=100), before)
    generator = torch.Generator().manual_seed(4)
    elsewhere = [functional.normalize(torch.randn(8, DIM, generator=generator), dim=1) for _ in range(200)]
    index.add([f"q{number}" for number in range(200)], elsewhere)
    drifted = index.drift()
    index.compact(CodecSettings(n_bits=codec.n_bits, n_centroids=64))
    assert index.codec is not codec
    assert index.drift() < drifted
    again = LateInteractionIndex.open(index.path)
    again.verify()
    assert again.ids == index.ids
    assert len(again) == 250


def test_wrong_additions_and_questions_change_nothing(index: LateInteractionIndex) -> None:
    cases = [
        (["p1"], passages(1), "in the index already"),
        (["a", "a"], passages(2), "in the index already"),
        (["a"], [], "1 ids and 0 embeddings"),
        (["a"], [torch.zeros(0, DIM)], "has rows of shape"),
        (["a"], [torch.full((2, DIM), float("nan"))], "not finite"),
        (["a"], [torch.ones(2, DIM) * 3], "normalise the rows"),
    ]
    for ids, rows, message in cases:
        with pytest.raises(ValueError, match=message):
            index.add(ids, rows)
    with pytest.raises(ValueError, match="not in the index"):
        index.delete(["p1", "unknown"])
    with pytest.raises(ValueError, match="k is 0; ask for at least 1"):
        index.search(query(), k=0)
    with pytest.raises(ValueError, match="n_candidates is 0; rescore at least 1"):
        index.search(query(), k=1, n_candidates=0)
    with pytest.raises(ValueError, match="the index takes"):
        index.search(torch.zeros(2, 3), k=1)
    assert len(LateInteractionIndex.open(index.path)) == 120


def test_settings_name_what_can_be_chosen() -> None:
    with pytest.raises(ValueError, match="n_bits is 2; choose 4 or 8"):
        CodecSettings(n_bits=2)
    with pytest.raises(ValueError, match="n_centroids is 70000; choose 1 to 65536"):
        CodecSettings(n_centroids=70_000)
    with pytest.raises(ValueError, match="an even dim"):
        Codec.train(torch.ones(4, 7), CodecSettings())


def test_empty_index_finds_nothing(tmp_path: Path, codec8: Codec) -> None:
    index = LateInteractionIndex.create(tmp_path / "index", codec8, fingerprint="f")
    assert index.search(query(), k=3) == []
    index.add(names(2), passages(2))
    index.delete(names(2))
    index.compact()
    assert index.search(query(), k=3) == []
    assert index.ids == []
    with pytest.raises(FileExistsError, match="exists already"):
        LateInteractionIndex.create(tmp_path / "index", codec8, fingerprint="f")


@pytest.mark.parametrize("how", ["missing", "cut", "altered"])
@pytest.mark.parametrize("pattern", ["manifest.json", "codec-*.npz", "segment-*.q8", "segment-*.json"])
def test_damage_is_found(tmp_path: Path, codec8: Codec, pattern: str, how: str) -> None:
    index = LateInteractionIndex.create(tmp_path / "index", codec8, fingerprint="f1")
    index.add(names(20), passages(20))
    file = next(index.path.glob(pattern))
    content = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    with pytest.raises(IndexDamagedError, match=r"build the index again|build it first") as caught:
        LateInteractionIndex.open(index.path).verify()
    assert str(index.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_code_that_points_nowhere_is_found_before_it_is_followed(tmp_path: Path, codec8: Codec) -> None:
    index = LateInteractionIndex.create(tmp_path / "index", codec8, fingerprint="f1")
    index.add(names(20), passages(20))
    with next(index.path.glob("*.q8")).open("r+b") as stream:
        stream.write(b"\xff\xff")
    with pytest.raises(IndexDamagedError, match=r"codes in .* were altered; build the index again"):
        LateInteractionIndex.open(index.path).search(query(), k=1)


@pytest.mark.parametrize(("code", "reason"), [(errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only file")])
def test_what_cannot_be_written_leaves_the_index_as_it_was(
    index: LateInteractionIndex, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    before = index.search(query(), k=10)
    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, lambda *_: (_ for _ in ()).throw(OSError(code, reason)))
            with pytest.raises(IndexWriteError, match=f"{reason}.*stays as it was; free some space"):
                index.add(["new"], passages(1))
    again = LateInteractionIndex.open(index.path)
    again.verify()
    assert again.search(query(), k=10) == before
    again.add(["new"], passages(1))
    named = {entry.name for entry in Manifest.read(index.path).segments}
    assert {file.name.split("-")[1].split(".")[0] for file in index.path.glob("segment-*")} == named
    assert not list(index.path.glob("*.tmp"))


def test_readers_keep_their_snapshot_and_a_second_writer_is_told(index: LateInteractionIndex) -> None:
    reader = LateInteractionIndex.open(index.path)
    before = reader.search(query(), k=10)
    index.delete(names(60))
    index.compact()
    assert reader.search(query(), k=10) == before
    with pytest.raises(ValueError, match="changed by another process; open it again"):
        reader.delete(["p100"])


def changes_until_killed(path: Path, codec: Codec) -> None:
    """Adds passage after passage of a known series, deletes every third, merges now and then."""
    index = LateInteractionIndex.open(path)
    for step in range(len(series(index.ids)), 10_000):
        if step % 3 == 2:
            index.delete([f"s{step - 1}"])
            index.add([f"s{step}"], passages(1, seed=step))
        else:
            index.add([f"s{step}"], passages(1, seed=step))
        if step % 7 == 0:
            index.stored = index.stored.merge()


def series(ids: list[str]) -> range:
    """The steps that led to these ids."""
    return range(max((int(item[1:]) for item in ids), default=-1) + 1)


def possible(ids: list[str]) -> bool:
    """Whether these are the ids after some commit of the series."""
    steps = series(ids)
    return ids == [f"s{step}" for step in steps if not (step % 3 == 1 and step + 1 in steps)]


def kill_at_random_moments(path: Path, codec: Codec, times: int) -> Iterator[int]:
    clock = random.Random(0)
    for _ in range(times):
        child = os.fork()
        if child == 0:
            try:
                changes_until_killed(path, codec)
            finally:
                os._exit(1)
        time.sleep(clock.uniform(0.0, 0.15))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the writer ended by itself"
        index = LateInteractionIndex.open(path)
        index.verify()
        assert possible(index.ids), index.ids
        yield len(index)


@pytest.mark.parametrize("times", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_the_index_is_as_before_or_as_after(tmp_path: Path, codec8: Codec, times: int) -> None:
    LateInteractionIndex.create(tmp_path / "index", codec8, fingerprint="f")
    sizes = list(kill_at_random_moments(tmp_path / "index", codec8, times))
    assert sizes[-1] > 0, "nothing was ever committed"
    index = LateInteractionIndex.open(tmp_path / "index")
    assert same(index.search(query(), k=5, n_candidates=10**6), maxsim_over_decoded(index, query(), 5))
    index.add(["last"], passages(1))
    named = {entry.name for entry in index.stored.manifest.segments}
    assert {file.name.split("-")[1].split(".")[0] for file in index.path.glob("segment-*")} == named
