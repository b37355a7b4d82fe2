"""Published generators by short names, and what is known of them before they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

__all__ = ["EMBEDDED_READER", "PRESETS", "GeneratorPreset", "Quantization", "known_generator"]

EMBEDDED_READER = Path(__file__).parent / "checkpoints" / "reader-mini"


class Quantization(str, Enum):
    """Weights in fewer bits, by bitsandbytes."""

    FOUR_BIT = "4-bit"
    EIGHT_BIT = "8-bit"

    def __str__(self) -> str:
        return self.value


# Of the memory that bfloat16 takes; what is computed does not become smaller.
_SHARE = {Quantization.FOUR_BIT: 0.45, Quantization.EIGHT_BIT: 0.6}


@dataclass(frozen=True, kw_only=True)
class GeneratorPreset:
    """A checkpoint by a short name.

    Attributes:
        checkpoint: a folder or hub id.
        description: one line for people.
        quantization: of its weights.
        download_gb: what it weighs on the hub, about, in gigabytes; 0 when nothing is downloaded.
        gpu_gb: memory of a GPU that it needs beside a small retriever, in gigabytes: its parameters in bfloat16 (or in
            fewer bits), and a quarter more to compute in; 0: runs without, if slowly.
    """

    checkpoint: str
    description: str
    quantization: Quantization | None = None
    download_gb: float = 0.0
    gpu_gb: float = 0.0

    def gpu_gb_in(self, quantization: Quantization | None) -> float:
        """`gpu_gb` with weights in fewer bits than its own; None leaves them."""
        if quantization is None or self.quantization is not None:
            return self.gpu_gb
        return self.gpu_gb * _SHARE[quantization]


PRESETS: dict[str, GeneratorPreset] = {
    "reader-mini": GeneratorPreset(
        checkpoint=str(EMBEDDED_READER), description="extractive reader with our own weights; two CPU cores"
    ),
    "blip2-flan-t5-xl": GeneratorPreset(
        checkpoint="Salesforce/blip2-flan-t5-xl",
        description="the generator of RA-VQA-v2",
        download_gb=15.8,
        gpu_gb=10.0,
    ),
    "blip2-flan-t5-xl-4bit": GeneratorPreset(
        checkpoint="Salesforce/blip2-flan-t5-xl",
        description="the same in 4 bits",
        quantization=Quantization.FOUR_BIT,
        download_gb=15.8,
        gpu_gb=6.0,
    ),
    "blip2-flan-t5-xxl": GeneratorPreset(
        checkpoint="Salesforce/blip2-flan-t5-xxl",
        description="BLIP-2, the largest",
        download_gb=48.9,
        gpu_gb=32.0,
    ),
    "blip2-opt-2.7b": GeneratorPreset(
        checkpoint="Salesforce/blip2-opt-2.7b",
        description="BLIP-2 with OPT",
        download_gb=15.0,
        gpu_gb=10.0,
    ),
    "blip2-opt-6.7b": GeneratorPreset(
        checkpoint="Salesforce/blip2-opt-6.7b",
        description="BLIP-2 with a larger OPT",
        download_gb=31.0,
        gpu_gb=20.0,
    ),
    "llava-1.5-7b": GeneratorPreset(
        checkpoint="llava-hf/llava-1.5-7b-hf",
        description="LLaVA-1.5",
        download_gb=14.2,
        gpu_gb=18.0,
    ),
    "llava-1.5-7b-4bit": GeneratorPreset(
        checkpoint="llava-hf/llava-1.5-7b-hf",
        description="LLaVA-1.5 in 4 bits",
        quantization=Quantization.FOUR_BIT,
        download_gb=14.2,
        gpu_gb=8.0,
    ),
    "llava-1.5-13b": GeneratorPreset(
        checkpoint="llava-hf/llava-1.5-13b-hf",
        description="LLaVA-1.5, the larger",
        download_gb=26.7,
        gpu_gb=32.0,
    ),
    "llava-1.6-mistral-7b": GeneratorPreset(
        checkpoint="llava-hf/llava-v1.6-mistral-7b-hf",
        description="LLaVA-1.6 (NeXT)",
        download_gb=15.1,
        gpu_gb=20.0,
    ),
    "llava-1.6-mistral-7b-8bit": GeneratorPreset(
        checkpoint="llava-hf/llava-v1.6-mistral-7b-hf",
        description="LLaVA-1.6 (NeXT) in 8 bits",
        quantization=Quantization.EIGHT_BIT,
        download_gb=15.1,
        gpu_gb=12.0,
    ),
    "llava-onevision-0.5b": GeneratorPreset(
        checkpoint="llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        description="LLaVA-OneVision, the smallest",
        download_gb=1.8,
    ),
    "llava-onevision-7b": GeneratorPreset(
        checkpoint="llava-hf/llava-onevision-qwen2-7b-ov-hf",
        description="LLaVA-OneVision",
        download_gb=16.1,
        gpu_gb=20.0,
    ),
}


def known_generator(name: str) -> GeneratorPreset | None:
    """The preset of a name, or of a checkpoint, in whole weights where there are several; None where none is known."""
    return PRESETS.get(name) or next((one for one in PRESETS.values() if one.checkpoint == name), None)
