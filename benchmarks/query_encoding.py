"""Query encoding with random weights of ViT-B size, ours beside the straightforward float32 forward, in one run.

    python -m benchmarks.query_encoding [--threads 2] [--batch 1] [--repeats 15]

One query is a picture of 224 pixels and a text of 32 tokens; the same picture again is looked up. The variants take
turns, so that a busy machine slows all of them; medians are compared. An idle machine gives steadier numbers. The
straightforward forward is `benchmarks/straightforward.py`: the whole encoders, eager attention, masks made token by
token.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.straightforward import query_rows
from retriever.configuration import FLMRConfig
from retriever.int8 import use_int8
from retriever.modeling import FLMRModelForRetrieval
from retriever.precision import has_native_bfloat16
from retriever.remembered import RememberedPictures

__all__ = ["main"]

TARGET = 2.0

Encode = Callable[[], Tensor]


def build() -> FLMRModelForRetrieval:
    """PreFLMR ViT-B with random weights."""
    torch.manual_seed(0)
    config = FLMRConfig(
        separate_query_and_context_text_encoder=False,
        mask_instruction_token=":",
        use_transformer_mapping_network=True,
        transformer_mapping_config_base="bert-base-uncased",
        transformer_mapping_num_hidden_layers=1,
    )
    return FLMRModelForRetrieval(config).eval()


def variants(batch: int) -> dict[str, Encode]:
    """Name -> one call that encodes the batch."""
    plain = build()
    plain.set_attention("eager")
    fast = build()
    half = copy.deepcopy(fast).to(torch.bfloat16)
    integer = copy.deepcopy(fast)
    use_int8(integer)
    ids = torch.randint(1500, 30000, (batch, 32))
    ids[:, 0], ids[:, 1], ids[:, 14], ids[:, 24] = 101, 1, 1024, 102
    mask = (torch.arange(32) <= 24).long().expand(batch, 32)
    pixels = torch.randn(batch, 3, 224, 224)
    remembered = RememberedPictures()

    def see(pictures: Tensor) -> tuple[Tensor, Tensor]:
        seen = half.vision_encoder(pictures.bfloat16())
        return seen.global_feature, seen.patches

    def again() -> Tensor:
        features, patches = remembered.of(pixels, see)
        return half.query(ids, mask, image_features=features, patch_features=patches).late_interaction_output.float()

    return {
        "straightforward float32": lambda: query_rows(plain, ids, mask, pixels[:, None]),
        "ours float32": lambda: fast.query(ids, mask, pixels).late_interaction_output,
        "ours bfloat16": lambda: half.query(ids, mask, pixels.bfloat16()).late_interaction_output.float(),
        "- picture seen before": again,
        "ours int8": lambda: integer.query(ids, mask, pixels).late_interaction_output,
    }


def measure(encoders: dict[str, Encode], repeats: int) -> dict[str, float]:
    """Median seconds of each variant; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(repeats):
        for name, encode in encoders.items():
            start = time.perf_counter()
            encode()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main(arguments: list[str] | None = None) -> int:
    """Prints a line a variant; exit status 1 if the low-precision path of this processor misses the target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.query_encoding")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        encoders = variants(options.batch)
        rows = {name: encode() for name, encode in encoders.items()}  # also warms up
        seconds = measure(encoders, options.repeats)
    base = "straightforward float32"
    counted = rows[base].abs().sum(dim=-1) > 0
    for name, median in seconds.items():
        cosine = (rows[name] * rows[base]).sum(dim=-1)[counted]
        print(
            f"{name:<24} {median * 1e3:8.1f} ms  {seconds[base] / median:5.2f}x  cosine to float32: "
            f"mean {cosine.mean():.5f}, lowest {cosine.min():.5f}"
        )
    native = has_native_bfloat16()
    chosen = "ours bfloat16" if native else "ours int8"
    ratio = seconds[base] / seconds[chosen]
    why = "this processor has bfloat16 arithmetic" if native else "this processor has no bfloat16 arithmetic"
    print(f"{chosen}: {ratio:.2f}x the straightforward float32 forward (target {TARGET}x; {why})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
