"""Which requests a page that everybody can reach takes at all. Everything that the page does not need is refused."""

from __future__ import annotations

import json
import re

__all__ = ["MAX_BODY_BYTES", "RefusedError", "checked_body", "is_open_route", "is_part_of_page", "names_event"]

MAX_BODY_BYTES = 256 * 1024  # of a request that is no upload: a question has at most a few thousand characters

_API = "/gradio_api"
_READ = (  # what a browser or a client of gradio reads
    r"/",
    r"/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|login_check|logout)/?",
    r"/pwa_icon(/\d+)?",
    r"/(assets|static|svelte)/.+",
    rf"{_API}/(info|openapi\.json|app_id|startup-events|theme\.css|login_check|user|token)/?",
    rf"{_API}/queue/(data|status)",
    rf"{_API}/heartbeat/[\w-]+",
    rf"{_API}/upload_progress",
    rf"{_API}/call/(v2/)?[\w-]+/[\w-]+",
    rf"{_API}/file=.+",
)
_WRITE = (
    r"/login/?",
    rf"{_API}/(queue/join|upload|cancel|reset/?)",
    rf"{_API}/(call|call/v2|run|api)/[\w-]+/?",
)
_EVENT = re.compile(rf"{_API}/(queue/join|(call|call/v2|run|api)/[\w-]+/?)")
_READABLE, _WRITABLE = (re.compile("|".join(f"(?:{one})" for one in routes)) for routes in (_READ, _WRITE))
_ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]*:|//|\\\\)", flags=re.IGNORECASE)


class RefusedError(Exception):
    """A request is not taken; the message says why, the status is HTTP's."""

    def __init__(self, status: int, message: str, *, wait: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.wait = wait  # seconds until it will be taken


def is_open_route(method: str, path: str) -> bool:
    """Whether the page needs a request of this kind.

    Args:
        method: of HTTP.
        path: decoded, without the query. Files that lie on other hosts are no files of the page.
    """
    if method in {"GET", "HEAD"}:
        named = path.partition("/file=")[2]
        return _READABLE.fullmatch(path) is not None and not _ADDRESS.match(named)
    return method == "POST" and _WRITABLE.fullmatch(path) is not None


def is_part_of_page(method: str, path: str) -> bool:
    """Whether it reads one of the many small files that a browser loads at once to show the page."""
    return method == "GET" and path.startswith(("/assets/", "/static/", "/svelte/"))


def names_event(path: str) -> bool:
    """Whether a request that is sent names an event of the page."""
    return _EVENT.fullmatch(path) is not None


def checked_body(body: bytes) -> object:
    """The JSON of a request.

    Raises:
        RefusedError: it is no JSON, or names an address on the network where a file is expected: gradio would fetch
            it.
    """
    try:
        value = json.loads(body or b"null")
        _check(value)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "this request is not JSON that can be read") from error
    return value


def _check(value: object) -> None:
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and _ADDRESS.match(path):
            raise RefusedError(400, "files are not fetched from addresses; upload the file itself")
        for inner in value.values():
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)
