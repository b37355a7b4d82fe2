from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from retriever.index.codec import Codec, CodecSettings
from retriever.index.compressed import LateInteractionIndex
from retriever.index.exact import ExactIndex
from retriever.index.fine_codes import N_FINE, fine_codes
from retriever.index.manifest import sha256
from retriever.index.metric import even, metric_of, roots_of

DIM = 16


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return functional.normalize(random(*shape, seed=seed), dim=-1)


def padded_queries(n: int) -> list[Tensor]:
    """Queries of 8 rows of their own and 24 that are alike and the same in all of them."""
    padding = unit(1, DIM, seed=99).expand(24, DIM)
    return [
        functional.normalize(
            torch.cat([unit(8, DIM, seed=seed), padding + 0.02 * random(24, DIM, seed=50 + seed)]), dim=1
        )
        for seed in range(n)
    ]


def test_the_metric_weighs_what_alike_rows_share() -> None:
    metric = metric_of(padded_queries(10), DIM)
    assert np.allclose(metric, metric.T)
    assert np.trace(metric) == pytest.approx(DIM, rel=1e-2)
    values, vectors = np.linalg.eigh(metric)
    padding = unit(1, DIM, seed=99).numpy()[0]
    assert abs(vectors[:, -1] @ padding) > 0.99
    assert values[-1] > 5 * values[-2]
    assert values[0] > 0.4, "no direction is free of cost"
    assert (metric.astype(np.float16) == metric).all(), "what is stored is what is used"
    assert (metric_of([], DIM) == even(DIM)).all()


def test_after_its_root_distances_squared_are_costs() -> None:
    metric = metric_of(padded_queries(10), DIM)
    forth, back = roots_of(metric, torch.device("cpu"))
    errors = random(5, DIM)
    costs = torch.einsum("ij,jk,ik->i", errors, torch.from_numpy(metric), errors)
    assert torch.allclose((errors @ forth).pow(2).sum(dim=1), costs, rtol=1e-4)
    assert torch.allclose(forth @ back, torch.eye(DIM), atol=1e-4)


def test_fine_codes_are_the_nearest_without_queries_and_cost_less_with_them() -> None:
    left, codebooks = random(300, DIM), torch.zeros(2 * N_FINE, DIM)
    codebooks[:N_FINE, : DIM // 2], codebooks[N_FINE:, DIM // 2 :] = random(2, N_FINE, DIM // 2, seed=1)
    plain = fine_codes(left, codebooks, torch.eye(DIM))
    for part, where in enumerate((slice(0, DIM // 2), slice(DIM // 2, DIM))):
        books = codebooks[part * N_FINE : (part + 1) * N_FINE, where]
        assert (plain[:, part] == torch.cdist(left[:, where], books).argmin(dim=1)).all()
    metric = torch.from_numpy(metric_of(padded_queries(10), DIM))
    costs = []
    for codes in (plain, fine_codes(left, codebooks, metric)):
        error = left - codebooks[codes[:, 0]] - codebooks[N_FINE + codes[:, 1]]
        costs.append(float(torch.einsum("ij,jk,ik->", error, metric, error)))
    assert costs[1] < 0.8 * costs[0]


@pytest.mark.parametrize("n_bits", [8, 4])
def test_a_codec_that_knows_the_queries_errs_less_in_what_they_share(n_bits: int, tmp_path: Path) -> None:
    rows = unit(4000, DIM, seed=3)
    settings = CodecSettings(n_bits=n_bits, n_centroids=64)
    metric, padding = metric_of(padded_queries(10), DIM), unit(1, DIM, seed=99)[0]
    along = []
    for codec in (Codec.train(rows, settings), Codec.train(rows, settings, metric=metric)):
        encoded = codec.encode(rows)
        scored = codec.approximate(encoded) if n_bits == 8 else codec.decode(encoded)
        along.append(float((torch.from_numpy(scored) - rows).matmul(padding).pow(2).mean()))
        path = tmp_path / f"{len(along)}.npz"
        path.write_bytes(codec.save())
        again = Codec.load(path, checksum=sha256(codec.save()))
        assert (again.metric == codec.metric).all()
        assert all((again.encode(rows)[name] == field).all() for name, field in encoded.items())
    assert along[1] < 0.4 * along[0]


@pytest.mark.parametrize("n_bits", [8, 4])
def test_an_index_that_is_built_with_queries_keeps_what_they_need(n_bits: int, tmp_path: Path) -> None:
    lengths = torch.randint(3, 20, (300,), generator=torch.Generator().manual_seed(4)).tolist()
    passages = [unit(length, DIM, seed=100 + number) for number, length in enumerate(lengths)]
    exact = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f")
    exact.add([f"p{number}" for number in range(300)], passages)
    queries = padded_queries(12)
    expected = [{name for name, _ in exact.search(query, k=20)} for query in queries[8:]]
    index = LateInteractionIndex.convert(exact, CodecSettings(n_bits=n_bits, n_centroids=64), queries=queries[:8])
    assert {entry.n_rows for entry in index.stored.manifest.calibration} == {32, 320}  # long ones made up
    assert (index.codec.metric == metric_of(queries[:8], DIM)).all()
    found = [{name for name, _ in index.search(query, k=20, target_recall=0.98)} for query in queries[8:]]
    assert np.mean([len(one & other) / 20 for one, other in zip(found, expected, strict=True)]) > 0.9
    index.compact()
    assert (index.codec.metric == metric_of(queries[:8], DIM)).all()
    with pytest.raises(ValueError, match=r"a query has rows of shape \(3, 5\) and the index takes"):
        LateInteractionIndex.convert(exact, queries=[random(3, 5)])
