"""Pictures to pixel values, as CLIP's image processor does it, with Pillow and NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

__all__ = ["CLIP_MEAN", "CLIP_STD", "ImageProcessor"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
WIDEST_RATIO = 16  # a picture longer than this is cropped to its middle before it is resized, to bound memory


@dataclass(frozen=True, kw_only=True)
class ImageProcessor:
    """Resize, centre crop, normalise.

    Attributes:
        height, width: pixels that the model takes.
        shortest_edge: length that the shorter side is resized to before the centre crop; None squashes the whole
            picture to `height` x `width` instead.
        resample: Pillow's resampling filter.
        rescale_factor: what a byte is multiplied by.
        mean, std: of each channel, after rescaling; None does not normalise.
    """

    height: int = 224
    width: int = 224
    shortest_edge: int | None = 224
    resample: int = int(Image.Resampling.BICUBIC)
    rescale_factor: float = 1 / 255
    mean: tuple[float, ...] | None = CLIP_MEAN
    std: tuple[float, ...] | None = CLIP_STD

    @classmethod
    def for_size(cls, image_size: int) -> ImageProcessor:
        """CLIP's own settings at one resolution."""
        return cls(height=image_size, width=image_size, shortest_edge=image_size)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], image_size: int) -> ImageProcessor:
        """Reads a preprocessor_config.json.

        Raises:
            ValueError: it asks for something that CLIP models do not do, or for another size than the model's.
        """
        for step in ("do_resize", "do_rescale"):
            if not values.get(step, True):
                raise ValueError(f"preprocessor_config.json switches {step} off, which is not supported")
        size = values.get("size", {"shortest_edge": image_size})
        crop = values.get("crop_size", {"height": image_size, "width": image_size})
        size = {"shortest_edge": size} if isinstance(size, int) else dict(size)
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else dict(crop)
        squash = "height" in size
        if not squash and not values.get("do_center_crop", True):
            raise ValueError("preprocessor_config.json keeps the aspect ratio and does not crop: pictures have no size")
        target = crop if values.get("do_center_crop", True) else size
        if (target["height"], target["width"]) != (image_size, image_size):
            raise ValueError(f"preprocessor_config.json gives {target} pixels and the model takes {image_size}")
        if squash and (size["height"], size["width"]) != (target["height"], target["width"]):
            raise ValueError("preprocessor_config.json squashes to one size and crops to another; not supported")
        normalise = values.get("do_normalize", True)
        return cls(
            height=target["height"],
            width=target["width"],
            shortest_edge=None if squash else size["shortest_edge"],
            resample=int(values.get("resample", Image.Resampling.BICUBIC)),
            rescale_factor=float(values.get("rescale_factor", 1 / 255)),
            mean=tuple(values.get("image_mean", CLIP_MEAN)) if normalise else None,
            std=tuple(values.get("image_std", CLIP_STD)) if normalise else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """The object of a preprocessor_config.json, as transformers writes it too."""
        target = {"height": self.height, "width": self.width}
        return {
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": target if self.shortest_edge is None else {"shortest_edge": self.shortest_edge},
            "resample": self.resample,
            "do_center_crop": self.shortest_edge is not None,
            "crop_size": target,
            "do_rescale": True,
            "rescale_factor": self.rescale_factor,
            "do_normalize": self.mean is not None,
            "image_mean": list(self.mean or CLIP_MEAN),
            "image_std": list(self.std or CLIP_STD),
        }

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        """Pictures of any size and mode -> (n_pictures, 3, height, width) float32."""
        pixels = np.stack([self._pixels(image) for image in images])
        return torch.from_numpy(pixels)

    def seen(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The part of a picture that the model sees, in the picture's pixels.

        Args:
            width: of the picture, in pixels.
            height: likewise.

        Returns:
            (left, top, right, bottom); it reaches beyond the picture where black is added.
        """
        if self.shortest_edge is None:
            return 0.0, 0.0, float(width), float(height)
        scale = min(width, height) / self.shortest_edge
        left, top = (width - self.width * scale) / 2, (height - self.height * scale) / 2
        return left, top, width - left, height - top

    def _pixels(self, image: Image.Image) -> NDArray[np.float32]:
        image = self._resize(image.convert("RGB"))
        values: NDArray[np.float32] = np.asarray(image, dtype=np.float32) * np.float32(self.rescale_factor)
        if self.mean is not None and self.std is not None:
            mean, std = np.asarray(self.mean, dtype=np.float32), np.asarray(self.std, dtype=np.float32)
            values = np.divide(values - mean, std, dtype=np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)

    def _resize(self, image: Image.Image) -> Image.Image:
        resample = Image.Resampling(self.resample)
        if self.shortest_edge is None:
            return image.resize((self.width, self.height), resample)
        short, long = sorted(image.size)
        if long > WIDEST_RATIO * short:
            kept = tuple(min(side, WIDEST_RATIO * short) for side in image.size)
            image = _centre(image, *kept)
            short, long = sorted(image.size)
        scaled = int(self.shortest_edge * long / short)
        edges = (self.shortest_edge, scaled) if image.width <= image.height else (scaled, self.shortest_edge)
        return _centre(image.resize(edges, resample), self.width, self.height)


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a picture; black where it is smaller."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
