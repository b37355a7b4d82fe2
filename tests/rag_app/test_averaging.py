from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rag_app.averaging import average_checkpoints
from rag_app.cli import main
from rag_app.errors import InputError


def checkpoint(folder: Path, value: float, **changed: torch.Tensor) -> Path:
    folder.mkdir()
    tensors = {
        "layer.weight": torch.full((2, 3), value, dtype=torch.float16),
        "embeddings.word_embeddings.weight": torch.full((4, 3), value),
        "positions": torch.arange(3),
    }
    save_file(tensors | changed, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(f'{{"value": {value}}}')
    return folder


def test_weights_are_averaged_and_the_rest_is_the_last_ones(tmp_path: Path) -> None:
    words = torch.full((9, 3), 5.0)  # another vocabulary
    first = checkpoint(tmp_path / "a", 1.0)
    second = checkpoint(tmp_path / "b", 4.0, **{"embeddings.word_embeddings.weight": words})
    assert main(["train", "average", str(first), str(second), "--output", str(tmp_path / "mean")]) == 0
    mean = load_file(tmp_path / "mean" / "model.safetensors")
    assert torch.equal(mean["layer.weight"], torch.full((2, 3), 2.5, dtype=torch.float16))
    assert torch.equal(mean["embeddings.word_embeddings.weight"], words)
    assert torch.equal(mean["positions"], torch.arange(3))
    assert (tmp_path / "mean" / "config.json").read_text() == (second / "config.json").read_text()


def test_checkpoints_that_do_not_fit_are_named(tmp_path: Path) -> None:
    first = checkpoint(tmp_path / "a", 1.0)
    second = checkpoint(tmp_path / "b", 1.0, **{"layer.weight": torch.zeros(5)})
    out = tmp_path / "mean"
    with pytest.raises(InputError, match=r"differ in layer\.weight"):
        average_checkpoints([first, second], out)
    with pytest.raises(InputError, match="two or more"):
        average_checkpoints([first], out)
    (second / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot read"):
        average_checkpoints([first, second], out)
    with pytest.raises(InputError, match="cannot read"):
        average_checkpoints([first, tmp_path / "none"], out)
    assert not out.exists()
    with pytest.raises(InputError, match="exists"):
        average_checkpoints([first, first], tmp_path)
