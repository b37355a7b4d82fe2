"""Where in a picture the object is that a question is about, so that the retriever can look closer.

FLMR cut regions of interest out of pictures with an object detector of its own (arXiv 2309.17133). Here a small head on
the patches of the vision encoder's first layers estimates one box. What is in it takes the picture's place; where the
head sees no object the whole picture stays. The published PreFLMR checkpoints have no such head.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from retriever.configuration import read_json_object
from retriever.images import ImageProcessor
from retriever.layers import VisionEncoder
from retriever.remembered import RememberedPictures
from retriever.weights import WEIGHTS_FILE, read_weights, stored_names

__all__ = [
    "REGION_FOLDER",
    "REGION_MARGIN",
    "Box",
    "Look",
    "RegionFinder",
    "RegionHead",
    "RegionSettings",
    "Regions",
    "load_region_head",
    "patch_centres",
    "save_region_head",
]

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, as Pillow counts them

REGION_FOLDER = "region_head"  # in the folder of a checkpoint
REGION_MARGIN = 0.05  # what is cut out beyond each edge, as a part of the box
_LEAST_SIDE = 8  # pixels of a box; in a smaller one there is nothing to see


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """Sizes of a head.

    Attributes:
        vision_size: width of the vision encoder's rows.
        side: patches in a line and in a column of what the encoder sees.
        vision_layer: after how many of the encoder's layers the patches are read; later ones know what is shown, and
            no longer where.
        hidden_size, layers, heads: of the head's own transformer.
        least_score: log odds of an object above which the picture is cut.
    """

    vision_size: int
    side: int
    vision_layer: int = 3
    hidden_size: int = 160
    layers: int = 3
    heads: int = 4
    least_score: float = 0.0


@dataclass(frozen=True)
class Regions:
    """What a head sees in pictures.

    Attributes:
        boxes: (n_pictures, 4) left, top, right and bottom in 0..1 of what the encoder sees.
        object_logits: (n_pictures,) of there being an object.
        patch_logits: (n_pictures, n_patches) of a patch being within the box.
    """

    boxes: Tensor
    object_logits: Tensor
    patch_logits: Tensor


class RegionHead(nn.Module):
    """A small transformer over the patches of a picture, each of which says where it thinks the edges are."""

    def __init__(self, settings: RegionSettings) -> None:
        super().__init__()
        self.settings = settings
        width, n_patches = settings.hidden_size, settings.side**2
        self.input = nn.Sequential(nn.LayerNorm(settings.vision_size), nn.Linear(settings.vision_size, width))
        self.positions = nn.Parameter(0.02 * torch.randn(n_patches, width))
        layer = nn.TransformerEncoderLayer(
            width, settings.heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 6))

    def forward(self, patches: Tensor) -> Regions:
        """Estimates a box a picture.

        Args:
            patches: (n_pictures, n_patches, vision_size), the vision encoder's rows after `vision_layer` layers.
        """
        said: Tensor = self.output(self.layers(self.input(patches) + self.positions))
        distances, weights, inside = said[..., :4], said[..., 4].softmax(dim=1), said[..., 5]
        centres = patch_centres(self.settings.side).to(said)
        edges = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)
        boxes = (weights[..., None] * edges).sum(dim=1)
        boxes = torch.cat([torch.minimum(boxes[:, :2], boxes[:, 2:]), torch.maximum(boxes[:, :2], boxes[:, 2:])], dim=1)
        return Regions(boxes, (inside.softmax(dim=1) * inside).sum(dim=1), inside)


def patch_centres(side: int) -> Tensor:
    """(side * side, 2) x and y in 0..1, line by line."""
    line = (torch.arange(side) + 0.5) / side
    return torch.stack([line.repeat(side), line.repeat_interleave(side)], dim=1)


@dataclass(frozen=True)
class Look:
    """What to look at in one picture.

    Attributes:
        box: of the object, with a margin, within the picture; None looks at the whole picture.
        object_score: log odds that there is an object.
    """

    box: Box | None
    object_score: float

    def cut(self, picture: Image.Image) -> Image.Image:
        """The part of that picture that is looked at."""
        return picture if self.box is None else picture.crop(self.box)


class RegionFinder:
    """Tells which part of a picture to look at.

    Args:
        head: estimates the box.
        vision: the encoder whose patches it reads.
        images: the encoder's own processor of pictures.
    """

    def __init__(self, head: RegionHead, vision: VisionEncoder, images: ImageProcessor) -> None:
        self._head, self._vision, self._images = head, vision, images
        self._remembered = RememberedPictures()

    def forget(self) -> None:
        """Forgets what was estimated for pictures that were seen before."""
        self._remembered.forget()

    @torch.inference_mode()
    def find(self, pictures: Sequence[Image.Image]) -> list[Look]:
        """What to look at in each picture; the whole of it where no object is likely."""
        boxes, scores = self._remembered.of(self._images(pictures), self._estimate)
        return [
            Look(self._pixels(box, picture) if score > self._head.settings.least_score else None, score)
            for box, score, picture in zip(boxes.tolist(), scores.tolist(), pictures, strict=True)
        ]

    def _estimate(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n_pictures, 4) boxes in 0..1 and (n_pictures,) log odds of an object, float32."""
        like = self._head.positions
        patches = self._vision.patches_after(self._head.settings.vision_layer, pixels.to(like.device, like.dtype))
        regions = self._head(patches)
        return regions.boxes.float().clamp(0, 1), regions.object_logits.float()

    def _pixels(self, box: Sequence[float], picture: Image.Image) -> Box | None:
        seen = self._images.seen(*picture.size)
        edges = []
        for axis, length in enumerate(picture.size):
            start, extent = seen[axis], seen[axis + 2] - seen[axis]
            margin = REGION_MARGIN * (box[axis + 2] - box[axis])
            edges.append(max(0, round(start + (box[axis] - margin) * extent)))
            edges.append(min(length, round(start + (box[axis + 2] + margin) * extent)))
        left, right, top, bottom = edges
        if (
            right - left < _LEAST_SIDE
            or bottom - top < _LEAST_SIDE
            or (left, top, right, bottom) == (0, 0, *picture.size)
        ):
            return None
        return left, top, right, bottom


def save_region_head(head: RegionHead, folder: Path) -> None:
    """Writes config.json and the weights, in half precision, into a folder that may exist."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().half().contiguous() for name, tensor in head.state_dict().items()}
    save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(asdict(head.settings), indent=2) + "\n", encoding="utf-8")


def load_region_head(folder: Path, *, device: torch.device, dtype: torch.dtype) -> RegionHead:
    """Reads what `save_region_head` wrote.

    Raises:
        ValueError: a file is missing or damaged, or keys or shapes are not those of config.json.
    """
    values = read_json_object(folder / "config.json")
    try:
        with torch.device("meta"):
            head = RegionHead(RegionSettings(**values))
    except (TypeError, ValueError, RuntimeError, AssertionError, ZeroDivisionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{folder / 'config.json'} is damaged ({reason}); fetch the checkpoint again") from error
    shapes = {name: tensor.shape for name, tensor in head.state_dict().items()}
    files = stored_names([folder / WEIGHTS_FILE])
    differing = sorted(shapes.keys() ^ files.keys())
    if differing:
        raise ValueError(
            f"{folder / WEIGHTS_FILE}: {differing[0]} is missing or unexpected; fetch the checkpoint again"
        )
    names = {name: name for name in shapes}
    head.load_state_dict(read_weights(names, files, shapes, device=device, dtype=dtype), assign=True)
    return head.eval()
