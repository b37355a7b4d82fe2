"""What stands between a remote generator and its server: requests that are made again, errors in one line, the key."""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from generator.deadlines import open_by

__all__ = ["PromptRefusedError", "RemoteError", "Server", "clean_key"]

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
MOST_WAIT = 60.0  # seconds between two attempts, whatever the server says
_MOST_DETAIL = 300  # characters of what a server says in an error
_TEMPORARY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_OF_EVERY_PROMPT = {  # key, money, address, model: the next prompt would fare no better
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.PAYMENT_REQUIRED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.GONE,
    HTTPStatus.UPGRADE_REQUIRED,
}
_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "; give its key in the variable RAG_APP_API_KEY",
    HTTPStatus.NOT_FOUND: "; check the address, which ends in /v1 for most servers, and the model's name after #",
}


class RemoteError(RuntimeError):
    """The server could not be reached, refused, or answered with something else."""


class PromptRefusedError(RemoteError):
    """The server refused one prompt, for example as too long; it may well answer others.

    Attributes:
        status: of the response, 4xx.
        detail: what the server said, without the key.
    """

    def __init__(self, message: str, *, status: int, detail: str) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class _TemporaryError(Exception):
    """What may go away by itself."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def clean_key(key: str | None) -> str | None:
    """The key without white space around it; None where nothing is left.

    Raises:
        ValueError: it holds something that a header cannot; the message does not show the key.
    """
    key = (key or "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise ValueError(
            "the API key holds a line break, a space or another character that no key has; copy it again, on one line"
        )
    return key or None


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where requests go, and with how much patience.

    Attributes:
        address: what requests are sent to, and what errors call it.
        path: where below the address.
        api_key: sent as a bearer token if given; *** stands for it in errors and logs.
        timeout: seconds for one request, from connecting to the last byte of the answer.
        retries: how often a request is sent again when the server is busy or fails.
        first_wait: seconds before the first of them, doubled each time; a server's `Retry-After` counts instead.
    """

    address: str
    path: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float
    retries: int
    first_wait: float

    def ask(self, body: dict[str, Any], read: Callable[[HTTPResponse], _Result]) -> _Result:
        """What `read` makes of the response to a JSON body; both are done again where that may help.

        Raises:
            PromptRefusedError: the server refused this body.
            RemoteError: it gave no usable answer.
        """

        def attempt() -> _Result:
            with self._opened(body) as response, self.reading():
                return read(response)

        return self._patiently(attempt)

    def open(self, body: dict[str, Any]) -> HTTPResponse:
        """The response to a JSON body, to be closed, and to be read within `reading`; raises as `ask` does."""
        return self._patiently(lambda: self._opened(body))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns what may go wrong in reading a response into a `RemoteError`, or what `ask` takes for temporary."""
        try:
            yield
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, HTTPException) as error:
            raise _TemporaryError(f"{self.address} broke off its answer ({self._shown(error)})") from error

    @contextmanager
    def once(self) -> Iterator[None]:
        """Makes an error final where what was read already cannot be taken back."""
        try:
            yield
        except _TemporaryError as error:
            raise RemoteError(str(error)) from error

    def _patiently(self, attempt: Callable[[], _Result]) -> _Result:
        """The result of an attempt, which is made again where the server is busy, fails or cannot be reached."""
        number = 0
        while True:
            try:
                return attempt()
            except _TemporaryError as error:
                if number == self.retries:
                    raise RemoteError(str(error)) from error
                wait = self.first_wait * 2**number if error.wait is None else error.wait
                logger.info("%s; trying again in %.1f s", error, wait)
            time.sleep(min(wait, MOST_WAIT))
            number += 1

    def _opened(self, body: dict[str, Any]) -> HTTPResponse:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        url = f"{self.address.rstrip('/')}/{self.path}"
        request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
        try:
            return open_by(request, time.monotonic() + self.timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None  # the error may name what was sent
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise self._late() from error
            message = f"{self.address} cannot be reached ({self._shown(reason)}); check address and server"
            raise _TemporaryError(message) from None

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        """What an answer that is not 2xx means."""
        if error.code < HTTPStatus.BAD_REQUEST:
            host = _host(urljoin(error.url, error.headers.get("Location") or ""))
            return RemoteError(
                f"{self.address} redirects to {self._shown(host)} ({error.code}), which is not followed, since the key "
                "would go along; give the address that answers itself"
            )
        text = b""
        with suppress(OSError, HTTPException):
            text = error.read(65_536)
        said = text.decode("utf-8", "replace")
        return self._refused(error.code, said, wait=_seconds(error.headers.get("Retry-After")))

    def refusal_in(self, error: object) -> Exception:
        """What the `error` of a body means that came as if all were well, as routers send it and streams must.

        Args:
            error: an object with a `message` and perhaps the `code` of a status, or a text.
        """
        told = error if isinstance(error, dict) else {"message": error}
        code, said = told.get("code"), str(told.get("message") or error)
        if isinstance(code, int) and code >= HTTPStatus.BAD_REQUEST:
            return self._refused(code, said)
        return RemoteError(f"{self.address} reports an error: {self._shown(said)[:_MOST_DETAIL]}")

    def _refused(self, code: int, said: str, *, wait: float | None = None) -> Exception:
        detail = self._shown(said)
        told = detail and f": {detail[:_MOST_DETAIL]}"
        refused = f"{self.address} refused the request ({code}){told}{_ADVICE.get(code, '')}"
        if code in _TEMPORARY or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _TemporaryError(refused, wait=wait)
        if code in _OF_EVERY_PROMPT:
            return RemoteError(refused)
        return PromptRefusedError(refused, status=code, detail=detail)

    def _late(self) -> RemoteError:
        return RemoteError(
            f"{self.address} gave no answer within {self.timeout:g} s; one that is slow, or still loads its model, "
            "needs more (--set server_timeout=SECONDS)"
        )

    def _shown(self, said: object) -> str:
        """What somebody else said, on one line and without the key."""
        text = " ".join(str(said).split())
        if self.api_key:
            text = text.replace(self.api_key, "***")
        return "".join(character if character.isprintable() else "?" for character in text)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or "another address"
    except ValueError:
        return "another address"


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds; None where it is absent or a date."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else None
