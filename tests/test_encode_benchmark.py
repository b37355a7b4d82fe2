from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from benchmarks import encode
from benchmarks.plot import bars
from retriever.encoder import Encoder

TEXTS = ["The bridge, which is long, was built in 1901.", "Short.", "Who? What - where; when!"]


def test_the_published_way_and_the_encoder_give_the_same_rows() -> None:
    from retriever.checkpoints import load_processor
    from retriever.configuration import FLMRConfig, FLMRTextConfig
    from retriever.modeling import FLMRModelForRetrieval

    torch.manual_seed(0)
    shape = FLMRTextConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
    processor = load_processor(encode.CHECKPOINT)
    config = FLMRConfig(use_vision_encoder=False, text_config=shape)
    model = FLMRModelForRetrieval(config, token_ids=processor.token_ids()).eval()
    with torch.inference_mode():
        plain = encode.published_way(model, processor, TEXTS)
    ours = Encoder(model, processor, identify=lambda: "x").encode_passages(TEXTS)
    assert [len(rows) for rows in plain] == [len(rows) for rows in ours]
    assert len(plain[0]) > len(plain[1]) > 0
    for left, right in zip(plain, ours, strict=True):
        torch.testing.assert_close(left, right, atol=1e-4, rtol=0)


def test_it_measures_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--n", "2", "--layers", "1", "--rounds", "1", "--threads", "1", "--output", str(tmp_path)]
    assert encode.main(options) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "encode.json").read_text())
    assert report["passages"] == 2
    for name, numbers in report["variants"].items():
        assert name in printed
        assert numbers["passages_a_second"] == pytest.approx(2 / numbers["seconds"])
        assert numbers["lowest_cosine"] > 0.9
    ElementTree.parse(tmp_path / "encode.svg")


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(bars({"a & b": 2.0, "c": 8.0}, title="<t>"))
    lengths = [float(item.get("width", 0)) for item in root.iter() if item.tag.endswith("rect")][1:]
    assert lengths[1] == pytest.approx(4 * lengths[0])
