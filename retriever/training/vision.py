"""Before the stages: a small CLIP vision encoder learns from nothing to tell flags apart.

The published models start from CLIP; PreFLMR-mini's encoder starts here. Plain classification of rendered pictures,
from the [CLS] row and, weakly, from the mean of the penultimate layer's patches, which the mapping network reads.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from retriever.images import CLIP_MEAN, CLIP_STD
from retriever.training.flag_atlas import FlagAtlas
from retriever.training.loop import Resumable, RunLog, parameter_groups, set_rate
from retriever.training.pictures import PictureRenderer, PictureSettings

__all__ = ["GPU_VISION", "VisionSettings", "normalise", "train_vision"]


@dataclass(frozen=True, kw_only=True)
class VisionSettings:
    """Sizes and schedule. The network is `CLIPVisionModel`, so any size of the family can be asked for."""

    hidden_size: int = 192
    layers: int = 6
    heads: int = 3
    image_size: int = 112
    patch_size: int = 16
    steps: int = 26_000
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    label_smoothing: float = 0.05
    patch_weight: float = 0.3  # of the loss from the penultimate patches
    empty_share: float = 0.02  # pictures without any flag
    other_drawings: float = 0.75  # of the pictures
    outline_share: float = 0.12  # of the flags
    closer_share: float = 0.5  # pictures that are cut as the region head would
    hard_from: float = 0.25  # part of the training over which pictures grow harder
    average: float = 0.998  # decay of the moving average of weights, which is what is kept
    seed: int = 1
    save_every: int = 500
    log_every: int = 50
    amp: bool = False  # bfloat16 autocast; pays only where the processor multiplies it in hardware

    def clip_config(self) -> CLIPVisionConfig:
        """The encoder's configuration."""
        config = CLIPVisionConfig(
            hidden_size=self.hidden_size,
            intermediate_size=4 * self.hidden_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            image_size=self.image_size,
            patch_size=self.patch_size,
        )
        config._attn_implementation = "eager"  # sdpa's backward pass on a CPU takes twice as long for so few patches
        return config


GPU_VISION = VisionSettings(steps=8000, batch_size=512, amp=True)


def normalise(pictures: Tensor) -> Tensor:
    """CLIP's normalisation of (n, 3, h, w) pictures in 0..1."""
    mean, std = pictures.new_tensor(CLIP_MEAN)[:, None, None], pictures.new_tensor(CLIP_STD)[:, None, None]
    return (pictures - mean) / std


class _Classifier(nn.Module):
    def __init__(self, config: CLIPVisionConfig, n_classes: int) -> None:
        super().__init__()
        self.encoder = CLIPVisionModel(config)
        width = config.hidden_size
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_classes))
        self.patch_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_classes))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_classes) logits from the [CLS] row and from the penultimate patches."""
        hidden = self.encoder(pixel_values=normalise(pictures), output_hidden_states=True).hidden_states
        return self.head(hidden[-1][:, 0]), self.patch_head(hidden[-2][:, 1:].mean(dim=1))


def _harder(done: float, settings: VisionSettings) -> PictureSettings:
    """How varied pictures are when a part `done` (0..1) of the easy phase has passed."""
    full = PictureSettings(
        other_drawings=settings.other_drawings,
        outline_share=settings.outline_share,
        clutter_share=0.6,
        closer_share=settings.closer_share,
    )
    done = min(done, 1.0)
    return replace(
        full,
        flat_share=0.5 + (full.flat_share - 0.5) * done,
        min_scale=0.7 + (full.min_scale - 0.7) * done,
        cover_share=full.cover_share * done,
    )


def _draw_flags(atlas: FlagAtlas, n: int, empty_share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flags drawn evenly over classes, some -1 (no flag), and their class numbers."""
    order = torch.randperm(len(atlas.codes), generator=generator)
    one_of = torch.zeros(atlas.n_classes, dtype=torch.int64)
    one_of[atlas.classes[order]] = order
    classes = torch.randint(atlas.n_classes, (n,), generator=generator)
    empty = torch.rand(n, generator=generator) < empty_share
    return torch.where(empty, -1, one_of[classes]), torch.where(empty, atlas.n_classes, classes)


def train_vision(
    atlas: FlagAtlas,
    folder: Path,
    settings: VisionSettings,
    *,
    start_from: Mapping[str, Tensor] | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a constant
) -> Path:
    """Trains the encoder, going on from `folder` where an earlier run stopped.

    Args:
        atlas: the flags.
        folder: of the run's state.
        settings: how to train.
        start_from: a trained encoder (`CLIPVisionModel` keys) to begin with; pictures are hard from the beginning then.
        device: where it is trained, and pictures are drawn.
    Returns:
        The safetensors file with the averaged encoder (`CLIPVisionModel` keys).
    """
    torch.manual_seed(settings.seed)
    folder.mkdir(parents=True, exist_ok=True)
    atlas = atlas.to(device)
    model = _Classifier(settings.clip_config(), atlas.n_classes + 1)
    if start_from is not None:
        model.encoder.load_state_dict(start_from)
    model = model.to(device)
    averaged = copy.deepcopy(model).requires_grad_(False)
    groups = parameter_groups(dict(model.named_parameters()), settings.weight_decay)
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
    state = Resumable(folder / "state.pt", {"model": model, "averaged": averaged, "optimiser": optimiser})
    start = state.load()
    generator = torch.Generator(device).manual_seed(settings.seed + start)
    renderer = PictureRenderer(atlas, generator, settings.image_size)
    (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=1))
    log = RunLog(folder / "log.jsonl", settings.log_every)
    for step in range(start, settings.steps):
        set_rate(optimiser, step, steps=settings.steps, warmup=settings.warmup, peak=settings.learning_rate)
        with device:
            flags, classes = _draw_flags(atlas, settings.batch_size, settings.empty_share, generator)
        done = 1.0 if start_from is not None else step / (settings.hard_from * settings.steps)
        pictures = renderer.render(flags, _harder(done, settings))
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.amp):
            logits, patch_logits = model(pictures)
        loss = F.cross_entropy(logits.float(), classes, label_smoothing=settings.label_smoothing)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss + settings.patch_weight * F.cross_entropy(patch_logits.float(), classes))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(settings.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, now in zip(averaged.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        log.add(step + 1, loss=loss.detach(), right=(logits.argmax(1) == classes).float().mean())
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            state.save(step + 1)
            save_file(averaged.encoder.state_dict(), folder / "vision.safetensors")
    return folder / "vision.safetensors"
