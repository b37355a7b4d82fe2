"""HTTP requests that end by a deadline, whatever the server does, and that follow no redirect."""

from __future__ import annotations

import io
import math
import time
import urllib.request
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import urlsplit

__all__ = ["open_by"]

_PIECE = 16_384  # bytes sent at a time: one record of TLS


def open_by(request: urllib.request.Request, ends: float) -> HTTPResponse:
    """Sends a request and returns the response, of which every wait ends at the deadline, also in reading it.

    A server on this machine is asked directly, whatever proxy the environment names. A host with several addresses that
    do not answer may take that long for each of them.

    Args:
        request: what to send.
        ends: the deadline, on the clock of `time.monotonic`.

    Raises:
        TimeoutError: the deadline is past.
        urllib.error.HTTPError: the server answered with an error, or with a redirect.
        OSError, http.client.HTTPException: it cannot be reached, or breaks off.
    """
    direct = [urllib.request.ProxyHandler({})] if _is_here(urlsplit(request.full_url).hostname or "") else []
    opener = urllib.request.build_opener(_Http(ends), _Https(ends), _NoRedirect, *direct)
    response: HTTPResponse = opener.open(request, timeout=_left(ends))
    return response


def _is_here(host: str) -> bool:
    """Whether a host is this machine by its name or address."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _left(ends: float) -> float:
    """Seconds until the deadline; a TimeoutError where it is past."""
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as the error that it then is: following it would send the key to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class _Http(urllib.request.HTTPHandler):
    def __init__(self, ends: float) -> None:
        super().__init__()
        self._ends = ends

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(_connection, _Connection, self._ends), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, ends: float) -> None:
        super().__init__()
        self._ends = ends

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(_connection, _SecureConnection, self._ends), req)


class _Connection(HTTPConnection):
    ends = math.inf

    def connect(self) -> None:
        self.timeout = _left(self.ends)
        super().connect()
        self.sock.settimeout(_left(self.ends))  # a handshake may come next

    def send(self, data: Any) -> None:  # noqa: ANN401 - the base class's signature
        if self.sock is None:
            self.connect()
        for start in range(0, len(data), _PIECE):
            self.sock.settimeout(_left(self.ends))
            super().send(data[start : start + _PIECE])


class _SecureConnection(HTTPSConnection, _Connection):
    """In this order, so that the handshake begins after `_Connection.connect`."""


def _connection(kind: type[_Connection], ends: float, host: str, **options: Any) -> _Connection:  # noqa: ANN401
    connection = kind(host, **options)
    connection.ends = ends
    connection.response_class = partial(_Response, ends)  # type: ignore[assignment]
    return connection


class _Response(HTTPResponse):
    def __init__(self, ends: float, sock: Any, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, ends))


class _Reader(io.RawIOBase):
    """The bytes of a socket, each read of which has until the deadline."""

    def __init__(self, raw: io.RawIOBase, sock: Any, ends: float) -> None:  # noqa: ANN401 - a plain or a TLS socket
        self._raw, self._sock, self._ends = raw, sock, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        self._sock.settimeout(_left(self._ends))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
