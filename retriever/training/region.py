"""The region head learns where the flag is, from the patches of a vision encoder that stands still."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retriever.layers import VisionEncoder
from retriever.region import RegionHead, Regions, RegionSettings, patch_centres
from retriever.training.loop import Resumable, RunLog, parameter_groups, set_rate
from retriever.training.pictures import PictureRenderer, PictureSettings
from retriever.training.vision import normalise

__all__ = ["RegionTrainingSettings", "box_overlap", "train_region_head"]

_PICTURES = PictureSettings(
    flat_share=0.1, max_scale=1.2, other_drawings=0.75, outline_share=0.12, clutter_share=0.6, closer_share=0.1
)
_LEAST_SEEN = 0.12  # sides of a box, in the frame; of less than this nothing can be told


@dataclass(frozen=True, kw_only=True)
class RegionTrainingSettings:
    """The schedule."""

    steps: int = 4500
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 40
    empty_share: float = 0.25
    seed: int = 1
    save_every: int = 200
    log_every: int = 50
    amp: bool = False  # bfloat16 autocast; pays only where the processor multiplies it in hardware


def box_overlap(ones: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and its generalised form (arXiv 1902.09630), of (n, 4) boxes; (n,) each."""
    low, high = torch.maximum(ones[:, :2], others[:, :2]), torch.minimum(ones[:, 2:], others[:, 2:])
    both = (high - low).clamp(min=0).prod(dim=1)
    areas = (ones[:, 2:] - ones[:, :2]).prod(dim=1) + (others[:, 2:] - others[:, :2]).prod(dim=1)
    union = (areas - both).clamp(min=1e-6)
    around = torch.maximum(ones[:, 2:], others[:, 2:]) - torch.minimum(ones[:, :2], others[:, :2])
    hull = around.prod(dim=1).clamp(min=1e-6)
    overlap = both / union
    return overlap, overlap - (hull - union) / hull


def _patches_inside(boxes: Tensor, side: int) -> Tensor:
    """(n, n_patches) 1.0 at patches whose centre is within the box."""
    centres = patch_centres(side).to(boxes)
    inside = (centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:])
    return inside.all(dim=2).float()


def train_region_head(
    vision: VisionEncoder,
    renderer: PictureRenderer,
    n_flags: int,
    folder: Path,
    settings: RegionTrainingSettings,
    shape: RegionSettings,
) -> RegionHead:
    """Trains a head, going on from `folder` where an earlier run stopped.

    Args:
        vision: the encoder whose patches it reads; not changed. The head is trained on its device.
        renderer: draws the pictures, at the encoder's size.
        n_flags: how many flags the renderer's atlas has.
        folder: of the run's state.
        settings: how to train.
        shape: of the head; it has to fit the encoder.
    """
    torch.manual_seed(settings.seed)
    device = vision.clip.embeddings.class_embedding.device
    head = RegionHead(shape).to(device)
    groups = parameter_groups(dict(head.named_parameters()), settings.weight_decay)
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
    state = Resumable(folder / "state.pt", {"head": head, "optimiser": optimiser})
    start = state.load()
    generator = torch.Generator(device).manual_seed(settings.seed + start)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=1))
    log = RunLog(folder / "log.jsonl", settings.log_every)
    for step in range(start, settings.steps):
        set_rate(optimiser, step, steps=settings.steps, warmup=settings.warmup, peak=settings.learning_rate)
        with device:
            flags = torch.randint(n_flags, (settings.batch_size,), generator=generator)
            flags[torch.rand(settings.batch_size, generator=generator) < settings.empty_share] = -1
        pictures, boxes = renderer.render_with_boxes(flags, _PICTURES)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.amp):
            with torch.no_grad():
                patches = vision.patches_after(head.settings.vision_layer, normalise(pictures))
            said = head(patches)
        regions = Regions(said.boxes.float(), said.object_logits.float(), said.patch_logits.float())
        shown = flags >= 0
        seen = shown & ((boxes[:, 2:] - boxes[:, :2]).amin(dim=1) > _LEAST_SEEN)
        clear = seen | ~shown
        overlap, generalised = box_overlap(regions.boxes[seen], boxes[seen])
        placed = (1 - generalised).mean() + 2 * F.l1_loss(regions.boxes[seen], boxes[seen])
        inside = _patches_inside(boxes[clear], head.settings.side)
        loss = (
            placed
            + F.binary_cross_entropy_with_logits(regions.object_logits[clear], shown[clear].float())
            + F.binary_cross_entropy_with_logits(regions.patch_logits[clear], inside)
        )
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        told = ((regions.object_logits > 0) == shown)[clear].float().mean()
        log.add(step + 1, loss=loss.detach(), overlap=overlap.mean().detach(), told=told)
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            state.save(step + 1)
    return head.eval()
