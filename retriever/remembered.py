"""What was computed of pictures, so that a picture that is asked about again is not encoded again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor

__all__ = ["RememberedPictures"]

Features = tuple[Tensor, ...]  # of one picture


class RememberedPictures:
    """Features by the checksum of a picture's pixels; what was used longest ago leaves. Safe to use from threads."""

    def __init__(self, *, most_bytes: int = 64 << 20) -> None:
        """Starts with nothing.

        Args:
            most_bytes: of all features that are kept.
        """
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, Features] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def of(self, pixels: Tensor, compute: Callable[[Tensor], Features]) -> Features:
        """The features of pictures; each different one that is not known is computed, all of these together.

        Args:
            pixels: (n_pictures, channels, height, width), at least one, on the CPU.
            compute: the features of such pixels, a row a picture; the same function at every call.
        """
        keys = [blake2b(one.contiguous().numpy(), digest_size=16).digest() for one in pixels]
        with self._lock:
            known = {key: self._kept[key] for key in keys if key in self._kept}
            for key in known:
                self._kept.move_to_end(key)
        missing = {key: place for place, key in enumerate(keys) if key not in known}
        if missing:
            computed = compute(pixels[list(missing.values())])
            new = {key: tuple(part[row].clone() for part in computed) for row, key in enumerate(missing)}
            self._keep(new)
            known |= new
        return tuple(torch.stack(parts) for parts in zip(*(known[key] for key in keys), strict=True))

    def forget(self) -> None:
        """Forgets all pictures."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _keep(self, new: dict[bytes, Features]) -> None:
        with self._lock:
            for key, features in new.items():
                if key not in self._kept:
                    self._kept[key] = features
                    self._bytes += _size(features)
            while self._bytes > self._most_bytes:
                self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(features: Features) -> int:
    return sum(part.nbytes for part in features)
