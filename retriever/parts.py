"""Which rows a query or passage is made of: its text, its picture, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

__all__ = ["Parts", "RowChoice", "choose_rows"]


class Parts(str, Enum):
    """The parts whose rows count."""

    TEXT = "text"
    IMAGE = "image"
    TEXT_AND_IMAGE = "text+image"

    @property
    def has_text(self) -> bool:
        """Whether text rows count."""
        return self is not Parts.IMAGE

    @property
    def has_image(self) -> bool:
        """Whether picture rows count."""
        return self is not Parts.TEXT

    @classmethod
    def of(cls, *, text: bool, image: bool) -> Parts:
        """The parts that two flags name.

        Raises:
            ValueError: both flags are False.
        """
        if not text and not image:
            raise ValueError("neither text nor image rows were asked for; ask for at least one of them")
        return cls.TEXT_AND_IMAGE if text and image else cls.TEXT if text else cls.IMAGE


@dataclass(frozen=True)
class RowChoice:
    """What comes out of one call.

    Attributes:
        text: whether there are text rows.
        image: whether there are picture rows.
        per_item: the parts of each item of the batch where they differ; the other rows are kept as zeros.
    """

    text: bool
    image: bool
    per_item: tuple[Parts, ...] | None = None

    def text_mask(self, mask: Tensor) -> Tensor:
        """Narrows a (batch, n_text_rows) bool mask to the items whose text counts."""
        return mask if self.per_item is None else mask & self._flags([p.has_text for p in self.per_item], mask)

    def image_mask(self, mask: Tensor) -> Tensor:
        """Narrows a (batch, n_picture_rows) bool mask to the items whose picture counts."""
        return mask if self.per_item is None else mask & self._flags([p.has_image for p in self.per_item], mask)

    @staticmethod
    def _flags(flags: list[bool], mask: Tensor) -> Tensor:
        if len(flags) != mask.shape[0]:
            raise ValueError(f"parts names {len(flags)} items and the batch has {mask.shape[0]}")
        return torch.tensor(flags, device=mask.device)[:, None]


def choose_rows(
    parts: Parts | Sequence[Parts] | None, *, has_text: bool, has_image: bool, text_default: bool, image_default: bool
) -> RowChoice:
    """Settles which rows come out.

    Args:
        parts: what was asked for; None is what the configuration says, as far as it was given.
        has_text: whether token ids were given.
        has_image: whether pixels or image features were given.
        text_default: whether the configuration wants text rows.
        image_default: whether the configuration wants picture rows.
    Raises:
        ValueError: a part was asked for and not given, or nothing is left.
    """
    if parts is None:
        text, image = has_text and text_default, has_image and image_default
        if not text and not image:
            raise ValueError("nothing to encode: give input_ids, pixel_values or both, and say in `parts` which count")
        return RowChoice(text, image)
    per_item = (parts,) if isinstance(parts, Parts) else tuple(parts)
    if any(item.has_text for item in per_item) and not has_text:
        raise ValueError("text rows were asked for without input_ids")
    if any(item.has_image for item in per_item) and not has_image:
        raise ValueError("picture rows were asked for without pixel_values or image_features")
    if isinstance(parts, Parts):
        return RowChoice(parts.has_text, parts.has_image)
    return RowChoice(has_text, has_image, per_item)
