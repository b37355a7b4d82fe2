"""The processor of LLaVA-OneVision for pictures alone.

transformers' own also opens a processor of videos, which needs torchvision; nothing here looks at videos.
"""

from __future__ import annotations

from typing import Any

from transformers import LlavaOnevisionProcessor
from transformers.processing_utils import ProcessorMixin

__all__ = ["OnevisionPictureProcessor"]


class OnevisionPictureProcessor(LlavaOnevisionProcessor):
    """`LlavaOnevisionProcessor` without videos; opened by `from_pretrained` from the same files."""

    def __init__(
        self,
        image_processor: Any = None,  # noqa: ANN401  (transformers ships no types)
        tokenizer: Any = None,  # noqa: ANN401
        num_image_tokens: int | None = None,
        vision_feature_select_strategy: str | None = None,
        chat_template: str | None = None,
        image_token: str = "<image>",
        vision_aspect_ratio: str = "anyres_max_9",
        **_: object,
    ) -> None:
        """Takes what transformers reads from a checkpoint; see there."""
        self.num_image_tokens = num_image_tokens
        self.vision_feature_select_strategy = vision_feature_select_strategy
        self.image_token = getattr(tokenizer, "image_token", image_token)
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.vision_aspect_ratio = vision_aspect_ratio
        base: Any = ProcessorMixin
        base.__init__(self, image_processor, tokenizer, chat_template=chat_template)
