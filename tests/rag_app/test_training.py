"""`train` says at once what it lacks; text is learnt before there is a vision encoder."""

from __future__ import annotations

import gzip
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from knowledge_bases.world_flags.country import load_countries
from rag_app import retriever_training
from rag_app.cli import main
from rag_app.devices import resolve_placement
from rag_app.retriever_training import choose_stages, make_retriever
from retriever.training.flag_atlas import FlagAtlas
from retriever.training.initial import minilm_folder
from retriever.training.pictures import PictureRenderer


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("--start", "has no config.json; give the folder of a BLIP-2-mini"),
        ("--text-pairs", "is missing; give JSON"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, advice: str) -> None:
    missing = str(tmp_path / "nothing")
    assert main(["train", "blip2", option, missing, "--output", str(tmp_path / "out"), "--runs", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert missing in captured.err
    assert advice in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["retriever", "reader"])
def test_passages_that_cannot_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    cut = tmp_path / "passages.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"text": "The bridge stands."}\n' * 1000)[:-20])
    for path in (tmp_path / "nothing.jsonl", cut):
        arguments = ["train", what, "--text-pairs", str(path), "--runs", str(tmp_path / "runs")]
        assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"error: cannot read passages from {path}")
    assert not (tmp_path / "out").exists()


def test_stages_that_see_pictures_need_a_vision_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "retriever", "--stages", "0-text", "1-mapping", "--runs", str(tmp_path)]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    assert "vision.safetensors is missing; run `python -m rag_app train vision` first" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_text_is_learnt_without_a_vision_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    countries = list(load_countries())
    own = torch.arange(len(countries))
    pixels = torch.zeros(3, len(countries), 3, 12, 16, dtype=torch.uint8)
    atlas = FlagAtlas(codes=tuple(countries), pixels=pixels, classes=own, drawings=own[:, None])
    monkeypatch.setattr(retriever_training, "flag_atlas", lambda *_args, **_kwargs: atlas)
    monkeypatch.setattr(retriever_training, "with_invented_flags", lambda *_args: (atlas, ()))
    monkeypatch.setattr(retriever_training, "PictureRenderer", partial(PictureRenderer, n_backgrounds=64))
    where = resolve_placement("cpu")
    (stage,) = choose_stages(["0-text"], where.device, steps=1)
    stage = replace(stage, passage_share=1.0, passage_batch=3)
    output = tmp_path / "text"
    make_retriever(tmp_path, output, [stage], where, start=None, vision=None, extra=[])
    weights, minilm = load_file(output / "model.safetensors"), load_file(minilm_folder() / "model.safetensors")
    layer = "encoder.layer.0.attention.self.query.weight"
    (trained,) = (value for name, value in weights.items() if name.endswith(layer))
    moved = (trained.float() - minilm[layer].float()).abs().max()
    assert 0 < moved < 0.01
