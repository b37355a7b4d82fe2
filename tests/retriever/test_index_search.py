from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from retriever.index.calibration import Counts, candidates_for
from retriever.index.codec import Codec, CodecSettings
from retriever.index.compressed import LateInteractionIndex
from retriever.index.manifest import Calibration
from retriever.index.pooling import MOST_POOLED, pooled
from retriever.index.search import Searcher

DIM, N = 32, 400
GENERATOR = torch.Generator().manual_seed(11)
CENTRES = functional.normalize(torch.randn(40, DIM, generator=GENERATOR), dim=1)


def near_centres(n: int, noise: float = 0.2) -> torch.Tensor:
    picks = CENTRES[torch.randint(len(CENTRES), (n,), generator=GENERATOR)]
    return functional.normalize(picks + torch.randn(n, DIM, generator=GENERATOR) * noise, dim=1)


def long_query(n_rows: int = 320) -> NDArray[np.float32]:
    """Rows in fours that are alike, as patches of a picture are."""
    groups = near_centres(n_rows // 4).repeat_interleave(4, dim=0)
    return functional.normalize(groups + torch.randn(n_rows, DIM, generator=GENERATOR) * 0.05, dim=1).numpy()


@pytest.fixture(scope="module", params=[8, 4])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LateInteractionIndex:
    lengths = torch.randint(1, 40, (N,), generator=GENERATOR).tolist()
    passages = [near_centres(length) for length in lengths]
    codec = Codec.train(torch.cat(passages), CodecSettings(n_bits=request.param, n_centroids=64))
    index = LateInteractionIndex.create(tmp_path_factory.mktemp("index") / "index", codec, fingerprint="f")
    index.add([f"p{place}" for place in range(N // 2)], passages[: N // 2])
    index.add([f"p{place}" for place in range(N // 2, N)], passages[N // 2 :])
    return index


def test_alike_rows_are_pooled_and_counted() -> None:
    distinct = near_centres(MOST_POOLED - 4, noise=0.5).numpy()
    rows = np.repeat(distinct, 5, axis=0)[np.random.default_rng(0).permutation(5 * len(distinct))]
    sums, counts = pooled(rows)
    assert sums.shape == (len(counts), DIM)
    assert counts.tolist() == [5] * len(distinct)
    cosines = sums @ distinct.T / 5
    assert cosines.max(axis=0).min() > 0.9999, "each distinct row is one of the means"
    np.testing.assert_allclose(sums.sum(axis=0), rows.sum(axis=0), atol=1e-3)


@pytest.mark.parametrize(("n_rows", "few"), [(1, 1), (16, 16), (20, 16), (81, 41), (320, MOST_POOLED)])
def test_a_query_is_pooled_to_half_its_rows_within_bounds(n_rows: int, few: int) -> None:
    rows = near_centres(n_rows, noise=0.5).numpy()
    sums, counts = pooled(rows)
    assert len(sums) == few
    assert counts.sum() == n_rows
    assert n_rows > 16 or (sums == rows).all()


def test_pooled_rows_score_at_most_maxsim_and_nearly_as_much(index: LateInteractionIndex) -> None:
    searcher = Searcher(index.stored, index.codec, n_threads=1)
    everything = np.arange(N)
    query = long_query()
    whole, few = searcher.rescore(query, everything), searcher.rescore_pooled(query, everything)
    assert (few <= whole + 1e-2).all()
    assert (few < whole - 1e-2).any()
    assert np.corrcoef(whole, few)[0, 1] > 0.98
    best = set(np.argsort(-whole)[:20].tolist())
    assert len(best & set(np.argsort(-few)[:30].tolist())) >= 19


def test_thinning_loses_little_and_changes_no_score(index: LateInteractionIndex) -> None:
    found = []
    for _ in range(10):
        query = long_query()
        exact = Searcher(index.stored, index.codec, n_threads=1).search_batch([query], 10, [N], [N])[0]
        thinned = Searcher(index.stored, index.codec, n_threads=2).search_batch([query], 10, [120], [30])[0]
        scores = dict(exact)
        assert all(score == pytest.approx(scores[item], abs=5e-3) for item, score in thinned if item in scores)
        found.append(len(scores.keys() & dict(thinned).keys()) / 10)
    assert np.mean(found) > 0.95


def test_calibration_measures_both_steps(index: LateInteractionIndex) -> None:
    again = LateInteractionIndex.open(index.path)
    again.calibrate(seed=3)
    entries = again.stored.manifest.calibration
    assert {entry.n_rows for entry in entries} == {32, 320}
    for entry in entries:
        assert entry.n_candidates >= 80
        assert entry.n_rescored >= 80
        assert entry.n_rescored <= N
    for n_rows in (32, 320):
        counts = [(entry.n_candidates, entry.n_rescored) for entry in entries if entry.n_rows == n_rows]
        assert counts == sorted(counts)
        assert [rescored for _, rescored in counts] == sorted(rescored for _, rescored in counts)


def test_counts_come_from_the_nearest_calibration() -> None:
    entries = [
        Calibration(32, 0.9, 700, 1000, 700),
        Calibration(320, 0.9, 300, 1000, 130),
        Calibration(320, 0.98, 600, 1000, 180),
    ]
    assert candidates_for(entries, 300, 1000, 0.9, k=100) == Counts(300, 150)
    assert candidates_for(entries, 300, 2000, 0.95, k=100) == Counts(1200, 180), "as much more as passages"
    assert candidates_for(entries, 300, 1000, 0.98, k=5) == Counts(600, 85), "what must be spare, behind fewer"
    assert candidates_for(entries, 300, 1000, 0.98, k=200) == Counts(600, 360)
    assert candidates_for(entries, 300, 1000, 1.0, k=5) == Counts(1000, 1000)
    assert candidates_for([], 300, 100_000, 0.9, k=100) == Counts(5000, 400)
    assert candidates_for([], 300, 100, 0.9, k=5) == Counts(500, 32)
    with pytest.raises(ValueError, match=r"target_recall is 1\.5; give a share above 0"):
        candidates_for(entries, 32, 1000, 1.5, k=5)


def test_an_index_of_an_older_version_says_what_to_do(tmp_path: Path) -> None:
    codec = Codec.train(near_centres(200), CodecSettings(n_centroids=16))
    index = LateInteractionIndex.create(tmp_path / "index", codec, fingerprint="f")
    path = index.path / index.stored.manifest.codec
    with np.load(path) as arrays:
        older: dict[str, Any] = {name: array for name, array in arrays.items() if name != "metric"}
    np.savez(path, **older)
    from retriever.index.manifest import IndexDamagedError, sha256

    with pytest.raises(IndexDamagedError, match=r"of an older version; build the index again"):
        Codec.load(path, checksum=sha256(path.read_bytes()))
