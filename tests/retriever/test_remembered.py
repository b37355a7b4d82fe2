from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
import torch
from PIL import Image
from torch import Tensor

from knowledge_bases.records import VisualQuestion
from retriever.checkpoints import load_retriever
from retriever.encoder import Encoder
from retriever.remembered import RememberedPictures
from tests.tiny import TINY_RETRIEVER


class Counting:
    """The mean and the rows of pictures, and how many it was asked for."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        self.batches.append(len(pixels))
        return pixels.mean(dim=(1, 2, 3)), pixels[:, 0]


def pictures(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_each_picture_is_computed_once_and_found_in_its_place() -> None:
    compute, remembered, pixels = Counting(), RememberedPictures(), pictures(3)
    means, rows = remembered.of(pixels[[0, 1, 0]], compute)
    assert compute.batches == [2]
    assert torch.equal(means, pixels[[0, 1, 0]].mean(dim=(1, 2, 3)))
    assert torch.equal(rows, pixels[[0, 1, 0], 0])
    assert torch.equal(remembered.of(pixels[[2, 1]], compute)[1], pixels[[2, 1], 0])
    assert compute.batches == [2, 1]
    remembered.forget()
    remembered.of(pixels, compute)
    assert compute.batches == [2, 1, 3]


def test_what_was_used_longest_ago_leaves() -> None:
    compute, pixels = Counting(), pictures(3)
    remembered = RememberedPictures(most_bytes=2 * 4 * (1 + 16))
    remembered.of(pixels[:2], compute)
    remembered.of(pixels[:1], compute)
    remembered.of(pixels[2:], compute)  # the second leaves
    remembered.of(pixels[[0, 2]], compute)
    assert compute.batches == [2, 1]
    remembered.of(pixels[1:2], compute)
    assert compute.batches == [2, 1, 1]
    nothing = RememberedPictures(most_bytes=0)
    for _ in range(2):
        assert torch.equal(nothing.of(pixels, compute)[1], pixels[:, 0])
    assert compute.batches[3:] == [3, 3]


def test_threads_may_share_it() -> None:
    compute, pixels = Counting(), pictures(16)
    remembered = RememberedPictures(most_bytes=5 * 4 * 17)

    def ask(seed: int) -> bool:
        few = torch.randint(16, (4,), generator=torch.Generator().manual_seed(seed))
        return torch.equal(remembered.of(pixels[few], compute)[1], pixels[few, 0])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_retriever(str(TINY_RETRIEVER), device=torch.device("cpu"), dtype=torch.float32)


def test_a_second_question_about_a_picture_looks_it_up(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.effect_noise((50, 40), 90).convert("RGB")
    first, second = (VisualQuestion(text=text, image=image) for text in ("what is it", "who rules it"))
    expected = encoder.encode_queries([second])[0]
    encoder.forget_pictures()
    encoder.encode_queries([first])
    vision = Mock(wraps=encoder.model.vision_encoder.forward)
    monkeypatch.setattr(encoder.model.vision_encoder, "forward", vision)
    assert torch.equal(encoder.encode_queries([second])[0], expected)
    vision.assert_not_called()
    encoder.forget_pictures()
    assert torch.equal(encoder.encode_queries([second])[0], expected)
    vision.assert_called_once()
