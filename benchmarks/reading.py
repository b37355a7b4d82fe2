"""How well generators read, the right passage given: the same exercises for each.

    python -m benchmarks.reading generator/checkpoints/reader-mini runs/blip2-mini [--every 1]

A checkpoint is what `load_generator` opens. Asked are one country in five in the validation phrasings, half of the
questions with a passage that does not hold the answer; the same with about half of the facts exchanged; and the
hand-written colloquial questions. `--every 10` asks every tenth of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import torch

from generator.blip2 import Blip2Generator
from generator.loading import load_generator
from generator.training.evaluation import ReadingCase, colloquial_cases, flag_cases, score_reader
from knowledge_bases.world_flags.country import load_countries

LONGEST = 24  # tokens of a copied answer, as in training; greedy search does for a distribution over so few


def exercises(every: int) -> dict[str, list[ReadingCase]]:
    """The exercises by name, every n-th of each."""
    countries = dict(islice(load_countries().items(), 0, None, 5))
    cases = {
        "validation phrasings": flag_cases(countries, "validation"),
        "facts edited": flag_cases(countries, "validation", edited_seed=1),
        "colloquial": colloquial_cases(),
    }
    return {name: some[::every] for name, some in cases.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores every checkpoint on every exercise; a row each as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--every", type=int, default=1, help="ask every n-th question (default: all)")
    options = parser.parse_args(arguments)
    print("| generator | questions | right | absence noticed | wrongly withheld | seconds |\n|---|---|---|---|---|---|")
    cases = exercises(options.every)
    for checkpoint in options.checkpoints:
        generator = load_generator(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
        if isinstance(generator, Blip2Generator):
            generator.settings = replace(generator.settings, beams=1, max_new_tokens=LONGEST + 1)
        for name, some in cases.items():
            began = time.process_time()
            score = score_reader(generator, some)
            took = time.process_time() - began
            print(
                f"| {checkpoint} | {name}, {len(some)} | {score.right:.3f} | {score.detected:.3f} "
                f"| {score.withheld:.3f} | {took:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
