from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks import growth, peers
from benchmarks.corpus import Corpus, noisy_copies
from benchmarks.plot import scatter
from benchmarks.search import Worker


def corpus() -> Corpus:
    rows = functional.normalize(torch.randn(60, 128, generator=torch.Generator().manual_seed(0)), dim=1)
    return Corpus(
        ids=[f"p{place}" for place in range(12)],
        embeddings=rows.half(),
        lengths=np.full(12, 5),
        short=[rows[5:10]],
        long=[rows[10:30]],
        gold=[1],
    )


def test_copies_are_near_their_originals_and_not_equal() -> None:
    one = corpus()
    more = noisy_copies(one, 2)
    assert len(more.ids) == len(set(more.ids)) == 36
    assert more.embeddings.shape == (180, 128)
    assert torch.equal(more.embeddings[:60], one.embeddings)
    copy = more.embeddings[60:120].float()
    assert torch.allclose(copy.norm(dim=1), torch.ones(60), atol=1e-2)
    cosine = (copy * one.embeddings.float()).sum(dim=1)
    assert 0.5 < float((cosine > 0.8).float().mean()) < 0.9


def test_blocks_grow_the_corpus_by_copies_to_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "BLOCK", 7)
    one = corpus()
    parts = list(growth.blocks(one, 31))
    assert [name for ids, _ in parts for name in ids] == [str(number) for number in range(31)]
    rows = [passage for _, passages in parts for passage in passages]
    assert [len(passage) for passage in rows] == [5] * 31
    assert torch.equal(torch.cat(rows[:12]), one.embeddings)
    assert not torch.equal(rows[12], rows[0])
    assert not torch.equal(rows[24], rows[12])
    cosine = (torch.cat(rows[12:24]).float() * one.embeddings.float()).sum(dim=1)
    assert 0.5 < float((cosine > 0.8).float().mean()) < 0.9


def test_growth_measures_and_plots_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = replace(corpus(), short=corpus().short * 3, long=corpus().long * 3, gold=[1] * 3)
    monkeypatch.setattr(growth, "load_corpus", lambda *_, **__: one)
    places = ["--output", str(tmp_path / "out"), "--plots", str(tmp_path)]
    numbers = ["--sizes", "12,30", "--queries", "2", "--samples", "1", "--exact", "1", "--threads", "1"]
    threads = torch.get_num_threads()
    assert growth.main(["--passages", "none.jsonl", *places, *numbers]) == 0
    torch.set_num_threads(threads)
    table = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["12", "30"]
    sizes = json.loads((tmp_path / "out" / "growth.json").read_text())["sizes"]
    for size in sizes:
        assert size["tokens"] == 5 * size["passages"]
        assert size["short_r100"] == size["long_r100"] == 1, "everything is among the best hundred"
        assert 10 < size["search_own_mb"] < 2000
        assert 10 < size["build_own_mb"] < 4000
    for what in ("time", "memory", "recall"):
        drawn = (tmp_path / f"growth-{what}.svg").read_text()
        assert drawn == (tmp_path / "out" / f"growth-{what}.svg").read_text()
        assert drawn.count("<circle") >= 4


@pytest.mark.parametrize("engine", ["exact", "ours 8 bit", "ours 4 bit"])
def test_an_engine_in_its_own_process_finds_the_passage(tmp_path: Path, engine: str) -> None:
    data = corpus()
    path = tmp_path / "corpus.npz"
    np.savez(path, embeddings=data.embeddings.numpy(), lengths=data.lengths)
    np.savez(path.with_suffix(".queries.npz"), short=torch.stack(data.short), long=torch.stack(data.long))
    worker = Worker(engine, Path(sys.executable), path, tmp_path, 1)
    built: dict[str, Any] = worker.ask(do="build")
    worker.ask(do="open")
    answer = worker.ask(do="search", queries="short", numbers=[0], setting={}, batch=1)
    worker.close()
    assert answer["found"][0][0] == data.gold[0]
    assert len(answer["ms"]) == len(answer["processor_ms"]) == 1
    assert 0 < answer["own_mb"] < answer["peak_mb"]
    assert built["peak_mb"] > 10


def test_an_engine_that_ends_is_told(tmp_path: Path) -> None:
    worker = Worker("exact", Path("/bin/false"), tmp_path, tmp_path, 1)
    with pytest.raises(RuntimeError, match="exact ended with status 1"):
        worker.ask(do="build")
    worker.close()


def test_a_peer_that_cannot_be_had_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="unknown peer 'x'; choose from fast-plaid, plaid"):
        peers.environment("x", tmp_path)
    nowhere = peers.Peer(("--no-index", "no-such-package-anywhere==1.0"))
    monkeypatch.setitem(peers.PEERS, "fast-plaid", nowhere)
    with pytest.raises(RuntimeError, match=r"fast-plaid could not be installed: .*no-such-package-anywhere"):
        peers.environment("fast-plaid", tmp_path)
    assert not (tmp_path / "fast-plaid" / ".made").exists()


def test_a_peer_beside_ours_sees_our_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip has nothing to install then: what is asked for is there already."""
    monkeypatch.setitem(peers.PEERS, "plaid", peers.Peer(("--no-index", f"numpy=={np.__version__}"), beside_ours=True))
    python = peers.environment("plaid", tmp_path)
    program = "import numpy, sys; print(numpy.__version__, sys.prefix)"
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [np.__version__, str(tmp_path / "plaid")]


def test_a_plot_is_well_formed() -> None:
    drawn = scatter({"a & b": [(0.5, 3.0), (0.9, 40.0)], "c": [(1.0, 700.0)]}, title="<t>", x="R@100", y="ms")
    root = ElementTree.fromstring(drawn)
    circles = [(float(one.get("cx", 0)), float(one.get("cy", 0))) for one in root.iter() if one.tag.endswith("circle")]
    assert len(circles) == 3
    assert circles[0][0] < circles[1][0] < circles[2][0]
    assert circles[0][1] > circles[1][1] > circles[2][1]
