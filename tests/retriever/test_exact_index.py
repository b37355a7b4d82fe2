from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from retriever.index.exact import ExactIndex, IndexDamagedError, IndexMismatchError
from retriever.index.manifest import Manifest
from retriever.late_interaction import maxsim

DIM = 8


def passages(n: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (n,), generator=generator).tolist()
    return [functional.normalize(torch.randn(length, DIM, generator=generator), dim=1) for length in lengths]


def query(seed: int = 7, rows: int = 5) -> Tensor:
    return functional.normalize(torch.randn(rows, DIM, generator=torch.Generator().manual_seed(seed)), dim=1)


def names(n: int, start: int = 0) -> list[str]:
    return [f"p{number}" for number in range(start, start + n)]


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16 first"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a processor without bfloat16 arithmetic does, and one with."""
    monkeypatch.setattr("retriever.index.exact.multiply_dtype", lambda: request.param)


@pytest.fixture
def index(tmp_path: Path) -> ExactIndex:
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f1")
    index.add(names(40), passages(40))
    return index


def oracle(ids: list[str], rows: list[Tensor], asked: Tensor, k: int) -> list[tuple[str, float]]:
    scores = [float(maxsim(asked, row.half()[None], torch.ones(1, len(row), dtype=torch.bool))) for row in rows]
    order = sorted(range(len(ids)), key=lambda place: (-scores[place], place))
    return [(ids[place], scores[place]) for place in order[:k]]


def same(got: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    close = all(abs(a[1] - b[1]) < 1e-5 for a, b in zip(got, expected, strict=True))
    return close and [item for item, _ in got] == [item for item, _ in expected]


def test_contributions_add_up_to_the_score(index: ExactIndex) -> None:
    for name, score in index.search(query(), k=5):
        shares = index.contributions(query(), name)
        assert shares.shape == (5,)
        assert float(shares.sum()) == pytest.approx(score, abs=1e-5)
    with pytest.raises(KeyError):
        index.contributions(query(), "nobody")


@pytest.mark.usefixtures("either_way")
def test_search_is_exact_maxsim(index: ExactIndex) -> None:
    assert same(index.search(query(), k=7), oracle(names(40), passages(40), query(), 7))
    assert len(index.search(query(), k=1000)) == 40
    several = index.search_batch([query(1), query(2, rows=3), query(3)], k=5)
    alone = [index.search(query(1), k=5), index.search(query(2, rows=3), k=5), index.search(query(3), k=5)]
    assert all(same(together, one) for together, one in zip(several, alone, strict=True))


@pytest.mark.usefixtures("either_way")
def test_what_bfloat16_cannot_tell_apart_is_still_in_order(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    alike = functional.normalize(torch.randn(6, 64, generator=generator), dim=1)
    rows = [functional.normalize(alike + 3e-3 * torch.randn(6, 64, generator=generator), dim=1) for _ in range(30)]
    rows += [functional.normalize(torch.randn(5, 64, generator=generator), dim=1) for _ in range(300)]
    index = ExactIndex.create(tmp_path / "index", dim=64, fingerprint="f1")
    index.add(names(200), rows[:200])
    index.add(names(130, 200), rows[200:])
    index.delete(["p3", "p250"])
    left = [place for place in range(330) if place not in (3, 250)]
    asked = functional.normalize(alike + 0.1 * torch.randn(6, 64, generator=generator), dim=1)
    expected = oracle([f"p{place}" for place in left], [rows[place] for place in left], asked, 10)
    assert same(index.search(asked, k=10), expected)
    rough = [float(maxsim(asked.bfloat16(), rows[place].bfloat16()[None], torch.ones(1, 6) > 0)) for place in range(30)]
    order = sorted(set(range(30)) - {3}, key=lambda place: -rough[place])[:10]
    assert [f"p{place}" for place in order] != [name for name, _ in expected]  # that alone would not do


def test_products_in_bfloat16_have_few_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN keeps what it prepared for each: hundreds of megabytes with as many shapes as lengths of passages."""
    monkeypatch.setattr("retriever.index.exact.multiply_dtype", lambda: torch.bfloat16)
    lengths = [length for length in range(1, 161) for _ in range(1 + 7 * (length % 9))]
    together = functional.normalize(torch.randn(sum(lengths), DIM, generator=torch.Generator().manual_seed(3)), dim=1)
    rows = list(torch.split(together, lengths))
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f1")
    index.add(names(len(rows)), rows)
    multiply, shapes = torch.Tensor.__matmul__, []

    def noted(left: Tensor, right: Tensor) -> Tensor:
        if left.dtype == torch.bfloat16:
            shapes.append(tuple(left.shape))
        return multiply(left, right)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "__matmul__", noted)
        found = index.search(query(), k=5)
    assert same(found, oracle(names(len(rows)), rows, query(), 5))
    assert len(shapes) >= 160
    assert len(set(shapes)) <= 6
    assert max(shape[0] for shape in shapes) == 8192


@pytest.mark.usefixtures("either_way")
def test_ties_come_in_the_order_of_insertion(tmp_path: Path) -> None:
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f1")
    row = passages(1)[0]
    index.add(["long", "b"], [torch.cat([row, row, row]), row])
    index.add(["a"], [row])
    assert [item for item, _ in index.search(query(), k=3)] == ["long", "b", "a"]
    assert [item for item, _ in index.search(query(), k=2)] == ["long", "b"]


def test_reopened_is_identical_and_verifies(index: ExactIndex) -> None:
    again = ExactIndex.open(index.path, fingerprint="f1")
    again.verify()
    assert again.ids == index.ids == names(40)
    assert again.search(query(), k=40) == index.search(query(), k=40)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_sequence_of_adds_and_deletes_equals_a_fresh_index(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    index = ExactIndex.create(tmp_path_factory.mktemp("any") / "index", dim=DIM, fingerprint="f")
    kept: dict[str, Tensor] = {}
    start = 0
    for step in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()) and kept:
            gone = data.draw(st.lists(st.sampled_from(sorted(kept)), unique=True, min_size=1))
            index.delete(gone)
            kept = {item: rows for item, rows in kept.items() if item not in gone}
        else:
            count = data.draw(st.integers(1, 12))
            new = dict(zip(names(count, start), passages(count, step), strict=True))
            start += count
            index.add(list(new), list(new.values()))
            kept.update(new)
        reopened = ExactIndex.open(index.path)
        assert reopened.ids == list(kept)
        assert len(reopened) == len(kept)
        assert same(reopened.search(query(), k=5), oracle(list(kept), list(kept.values()), query(), 5))


def test_small_additions_do_not_pile_up_segments(tmp_path: Path) -> None:
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f")
    for number, rows in enumerate(passages(60)):
        index.add([f"p{number}"], [rows])
    assert len(list(index.path.glob("*.f16"))) < 12
    assert same(index.search(query(), k=5), oracle(names(60), passages(60), query(), 5))


def test_a_crash_before_the_manifest_changes_nothing(index: ExactIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    before = index.search(query(), k=40)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "commit", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            index.add(["new"], passages(1))
    again = ExactIndex.open(index.path)
    again.verify()
    assert again.search(query(), k=40) == before
    again.add(["new"], passages(1))
    named = {entry.name for entry in Manifest.read(index.path).segments}
    assert {file.name.split("-")[1].split(".")[0] for file in index.path.glob("segment-*")} == named


def test_a_second_writer_is_told(index: ExactIndex) -> None:
    other = ExactIndex.open(index.path)
    other.delete(["p1"])
    with pytest.raises(ValueError, match="changed by another process; open it again"):
        index.delete(["p2"])


def test_another_checkpoint_is_a_mismatch(index: ExactIndex) -> None:
    with pytest.raises(IndexMismatchError, match="built with checkpoint f1 and f2 is loaded; build the index again"):
        ExactIndex.open(index.path, fingerprint="f2")


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "cut", "altered"])
@pytest.mark.parametrize("pattern", ["manifest.json", "segment-*.f16", "segment-*.json"])
def test_damage_is_found_before_an_answer_is_given(index: ExactIndex, pattern: str, how: str) -> None:
    damage(next(index.path.glob(pattern)), how)
    with pytest.raises(IndexDamagedError) as caught:
        ExactIndex.open(index.path).search(query(), k=1)
    assert "\n" not in str(caught.value)
    assert str(index.path) in str(caught.value)
    with pytest.raises(IndexDamagedError):
        index.verify()


def test_an_altered_manifest_is_found_even_if_it_reads_well(index: ExactIndex) -> None:
    path = index.path / "manifest.json"
    values = json.loads(path.read_text())
    values["fingerprint"] = "f2"
    path.write_text(json.dumps(values))
    with pytest.raises(IndexDamagedError, match="wrong checksum"):
        ExactIndex.open(index.path, fingerprint="f2")


def test_wrong_additions_change_nothing(index: ExactIndex) -> None:
    bad = torch.full((2, DIM), float("nan"))
    cases = [
        (["p1"], passages(1), "in the index already"),
        (["a", "a"], passages(2), "in the index already"),
        (["a"], [], "1 ids and 0 embeddings"),
        (["a"], [torch.zeros(0, DIM)], "has rows of shape"),
        (["a"], [torch.zeros(2, DIM + 1)], "has rows of shape"),
        (["a"], [bad], "not finite"),
    ]
    for ids, rows, message in cases:
        with pytest.raises(ValueError, match=message):
            index.add(ids, rows)
    with pytest.raises(ValueError, match="not in the index"):
        index.delete(["p1", "unknown"])
    with pytest.raises(ValueError, match="at least 1"):
        index.search(query(), k=0)
    with pytest.raises(ValueError, match="the index takes"):
        index.search(torch.zeros(2, 3), k=1)
    assert len(ExactIndex.open(index.path)) == 40


def test_create_refuses_an_existing_path_and_open_a_folder_that_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="exists already"):
        ExactIndex.create(tmp_path, dim=DIM, fingerprint="f")
    with pytest.raises(IndexDamagedError, match="is no index"):
        ExactIndex.open(tmp_path)


def test_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = ExactIndex.create(tmp_path / "index", dim=DIM, fingerprint="f")
    assert index.search(query(), k=3) == []
    index.add(names(2), passages(2))
    index.delete(names(2))
    assert index.search(query(), k=3) == []
    assert index.ids == []
    assert os.listdir(index.path) == ["manifest.json"]
