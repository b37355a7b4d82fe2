"""Splits an evaluation among machines or GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from rag_app.errors import InputError

__all__ = ["WHOLE", "Shard", "batches", "launched_shard", "parse_shard"]

_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One part of `count`; `index` runs from 0 to count - 1."""

    index: int
    count: int

    def holds(self, position: int) -> bool:
        """Whether the piece at a position, from 0, belongs to this part."""
        return position % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index or self.count}/{self.count}"


WHOLE = Shard(index=0, count=1)


def parse_shard(text: str) -> Shard:
    """`i/n`, i from 1 to n; 0 names the same part as n, so that counting from 0 covers everything as well.

    Raises:
        InputError: it is no such pair.
    """
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 0 <= int(first) <= int(second) and int(second) > 0):
        raise InputError(f"--shard must be i/n with i from 1 to n, such as 1/4, not {text!r}")
    return Shard(index=int(first) % int(second), count=int(second))


def launched_shard() -> Shard:
    """The part of this process among those that `accelerate launch` or `torchrun` started: $RANK of $WORLD_SIZE.

    Raises:
        InputError: no launcher started it.
    """
    rank, count = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and count.isdecimal() and int(rank) < int(count)):
        raise InputError(
            "--shard auto takes $RANK of $WORLD_SIZE, which are not set; "
            "start it with `accelerate launch --multi_gpu`, or give i/n"
        )
    return Shard(index=int(rank), count=int(count))


def batches(items: Sequence[_Item], size: int, shard: Shard) -> list[Sequence[_Item]]:
    """What a shard asks, in batches.

    A shard takes whole batches of the unsharded run: what else is in a batch can change the last digits of a result, so
    this makes merged shards equal to one run to the last digit. Where there are fewer batches than shards, single items
    are shared out instead, so that no machine idles.
    """
    whole = [items[start : start + size] for start in range(0, len(items), size)]
    if len(whole) >= shard.count:
        return [batch for position, batch in enumerate(whole) if shard.holds(position)]
    own = [item for position, item in enumerate(items) if shard.holds(position)]
    return [own[start : start + size] for start in range(0, len(own), size)]
