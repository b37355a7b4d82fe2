"""How much one visitor may do: token buckets by client address."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from rag_app.serving import Rate

__all__ = ["MOST_VISITORS", "RateLimiter", "visitor_of"]

MOST_VISITORS = 10_000  # remembered; who was not seen for longest is forgotten first


def visitor_of(client: tuple[str, int] | None) -> str:
    """Whom requests of an address are counted for.

    A household or a single machine has a whole /64 of IPv6 addresses: these are one visitor.

    Args:
        client: address and port as the server sees them; behind a proxy that is believed
            (`PageSettings.proxies`), what that says. Something that is no address comes from a proxy as well.
    """
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class RateLimiter:
    """A bucket for each visitor, which holds `rate.burst` tokens and is refilled steadily. For one thread."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, visitor: str) -> float:
        """Takes a token.

        Returns:
            0 when there was one, else the seconds until there will be.
        """
        tokens = self._tokens(visitor)
        self._keep(visitor, tokens - 1 if tokens >= 1 else tokens)
        return 0.0 if tokens >= 1 else (1 - tokens) * 60 / self._rate.per_minute

    def give_back(self, visitor: str) -> None:
        """Puts a token back: what it was taken for was not done."""
        self._keep(visitor, min(float(self._rate.burst), self._tokens(visitor) + 1))

    def _tokens(self, visitor: str) -> float:
        full = float(self._rate.burst)
        tokens, when = self._buckets.get(visitor, (full, self._clock()))
        return min(full, tokens + (self._clock() - when) * self._rate.per_minute / 60)

    def _keep(self, visitor: str, tokens: float) -> None:
        self._buckets[visitor] = (tokens, self._clock())
        self._buckets.move_to_end(visitor)
        if len(self._buckets) > MOST_VISITORS:
            self._buckets.popitem(last=False)
