"""How many tokens a picture takes in a LLaVA's prompt, for processors whose files do not say so."""

from __future__ import annotations

from typing import Any

__all__ = ["tell_picture_tokens"]

_CLASS_TOKENS = {"clip_vision_model": 1, "siglip_vision_model": 0}  # beside the patches, in the vision encoder's output


def tell_picture_tokens(processor: Any, config: Any) -> None:  # noqa: ANN401  (transformers ships no types)
    """Sets what the processor counts a picture's tokens by, from the model's own configuration.

    Checkpoints that were saved before transformers 4.47 have no such numbers in `processor_config.json`, or no such
    file. An unknown vision encoder is left to what the files say.

    Args:
        processor: of LLaVA-1.5, LLaVA-1.6 or LLaVA-OneVision.
        config: of the model.
    """
    vision = config.vision_config
    if vision.model_type not in _CLASS_TOKENS:
        return
    processor.vision_feature_select_strategy = config.vision_feature_select_strategy
    if hasattr(processor, "num_image_tokens"):
        processor.num_image_tokens = (vision.image_size // vision.patch_size) ** 2
    else:
        processor.patch_size = vision.patch_size
        processor.num_additional_image_tokens = _CLASS_TOKENS[vision.model_type]
