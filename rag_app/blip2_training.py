"""What BLIP-2-mini sees: the retriever's vision encoder, and rendered flags of the countries it learns about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rag_app.flag_training import flag_atlas
from retriever.images import CLIP_MEAN, CLIP_STD
from retriever.training.pictures import PictureRenderer, PictureSettings
from retriever.training.vision import normalise

if TYPE_CHECKING:
    from generator.training.blip2 import Vision

__all__ = ["retriever_vision"]

_PICTURES = 2  # of each flag


def retriever_vision(clip: Any, runs: Path) -> Vision:  # noqa: ANN401
    """The retriever's vision encoder as BLIP-2's, with pictures of every flag.

    Args:
        clip: its `CLIPVisionModel`.
        runs: folder of states, for the drawings.

    Raises:
        InputError: the drawings cannot be fetched.
    """
    from generator.training.blip2 import Vision
    from generator.training.blip2_model import vision_weights

    atlas = flag_atlas(runs, others=False)
    size = int(clip.config.image_size)
    renderer = PictureRenderer(atlas, torch.Generator().manual_seed(0), size, n_backgrounds=64)
    flags = torch.arange(len(atlas.codes)).repeat_interleave(_PICTURES)
    pictures = normalise(renderer.render(flags, PictureSettings()))
    with torch.no_grad():
        patches = clip.embeddings(pixel_values=pictures[::_PICTURES])[:, 1:]
        spread = float(patches.std(dim=-1, correction=0).mean())
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
    return Vision(
        config={name: getattr(clip.config, name) for name in (*names, "hidden_act", "layer_norm_eps")},
        weights=vision_weights(clip.state_dict(), spread),
        mean=CLIP_MEAN,
        std=CLIP_STD,
        pictures=dict(zip(atlas.codes, torch.split(pictures, _PICTURES), strict=True)),
    )
