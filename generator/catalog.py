"""Published generators by short names, and what is known of them before they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

__all__ = ["EMBEDDED_READER", "PRESETS", "GeneratorPreset", "Quantization"]

EMBEDDED_READER = Path(__file__).parent / "checkpoints" / "reader-mini"


class Quantization(str, Enum):
    """Weights in fewer bits, by bitsandbytes."""

    FOUR_BIT = "4-bit"
    EIGHT_BIT = "8-bit"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class GeneratorPreset:
    """A checkpoint by a short name."""

    checkpoint: str
    description: str
    quantization: Quantization | None = None


PRESETS: dict[str, GeneratorPreset] = {
    "reader-mini": GeneratorPreset(
        checkpoint=str(EMBEDDED_READER), description="extractive reader with our own weights; two CPU cores"
    ),
    "blip2-flan-t5-xl": GeneratorPreset(
        checkpoint="Salesforce/blip2-flan-t5-xl", description="the generator of RA-VQA-v2; 8 GB of GPU memory in bf16"
    ),
    "blip2-flan-t5-xl-4bit": GeneratorPreset(
        checkpoint="Salesforce/blip2-flan-t5-xl",
        description="the same in 4 bits",
        quantization=Quantization.FOUR_BIT,
    ),
    "blip2-flan-t5-xxl": GeneratorPreset(checkpoint="Salesforce/blip2-flan-t5-xxl", description="BLIP-2, the largest"),
    "blip2-opt-2.7b": GeneratorPreset(checkpoint="Salesforce/blip2-opt-2.7b", description="BLIP-2 with OPT"),
    "blip2-opt-6.7b": GeneratorPreset(checkpoint="Salesforce/blip2-opt-6.7b", description="BLIP-2 with a larger OPT"),
    "llava-1.5-7b": GeneratorPreset(checkpoint="llava-hf/llava-1.5-7b-hf", description="LLaVA-1.5"),
    "llava-1.5-7b-4bit": GeneratorPreset(
        checkpoint="llava-hf/llava-1.5-7b-hf", description="LLaVA-1.5 in 4 bits", quantization=Quantization.FOUR_BIT
    ),
    "llava-1.5-13b": GeneratorPreset(checkpoint="llava-hf/llava-1.5-13b-hf", description="LLaVA-1.5, the larger"),
    "llava-1.6-mistral-7b": GeneratorPreset(
        checkpoint="llava-hf/llava-v1.6-mistral-7b-hf", description="LLaVA-1.6 (NeXT)"
    ),
    "llava-1.6-mistral-7b-8bit": GeneratorPreset(
        checkpoint="llava-hf/llava-v1.6-mistral-7b-hf",
        description="LLaVA-1.6 (NeXT) in 8 bits",
        quantization=Quantization.EIGHT_BIT,
    ),
    "llava-onevision-0.5b": GeneratorPreset(
        checkpoint="llava-hf/llava-onevision-qwen2-0.5b-ov-hf", description="LLaVA-OneVision, the smallest"
    ),
    "llava-onevision-7b": GeneratorPreset(
        checkpoint="llava-hf/llava-onevision-qwen2-7b-ov-hf", description="LLaVA-OneVision"
    ),
}
