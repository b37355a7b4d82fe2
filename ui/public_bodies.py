"""Bodies of requests, bounded."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from ui.public_requests import MAX_BODY_BYTES, RefusedError

__all__ = ["counted", "replayed", "whole"]


def counted(receive: Receive, most: int) -> Receive:
    """Hands a body on piece by piece.

    Raises:
        RefusedError: when called after more than `most` bytes have come.
    """
    come = 0

    async def bounded() -> Message:
        nonlocal come
        message = await receive()
        come += len(message.get("body", b""))
        if come > most:
            raise RefusedError(413, f"this is more than {most / 1e6:.0f} MB; send a smaller file")
        return message

    return bounded


async def whole(receive: Receive) -> bytes:
    """The body of a request.

    Raises:
        RefusedError: it is too long, comes too slowly, or the visitor went away.
    """
    parts: list[bytes] = []
    while True:
        try:
            message = await asyncio.wait_for(receive(), timeout=30)
        except asyncio.TimeoutError as error:
            raise RefusedError(408, "the request did not come to its end") from error
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the request was broken off")
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > MAX_BODY_BYTES:
            raise RefusedError(413, f"this request is too long; at most {MAX_BODY_BYTES // 1024} KB are read")
        if not message.get("more_body"):
            return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read, once more; after it, what else comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
