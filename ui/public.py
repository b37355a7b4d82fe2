"""What makes the page safe where everybody can reach it: a gate before gradio."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_app.progress import duration
from rag_app.serving import PROXY_VARIABLE, PageSettings
from ui.public_bodies import counted, replayed, whole
from ui.public_limits import RateLimiter, visitor_of
from ui.public_requests import MAX_BODY_BYTES, RefusedError, checked_body, is_open_route, is_part_of_page, names_event
from ui.public_uploads import stored_bytes
from ui.queues import MODELS

__all__ = ["PublicGate", "believe", "gate"]

_MODELS = MODELS["concurrency_id"]
_UPLOAD = "/gradio_api/upload"
_JOIN = "/gradio_api/queue/join"
_SLACK = 16 * 1024  # bytes of an upload that are not the file: boundaries and names


def believe(proxies: Sequence[str]) -> None:
    """Has uvicorn take a visitor's address from what these say, and from nobody else; before the page is served."""
    os.environ[PROXY_VARIABLE] = ",".join(proxies)


def gate(page: gr.Blocks, settings: PageSettings, uploads: Path) -> Middleware:
    """What stands before gradio's application."""
    return Middleware(PublicGate, page=page, settings=settings, uploads=uploads)


class PublicGate:
    """Takes only requests that the page needs, in measure; an ASGI middleware.

    Refusals are JSON, `{"detail": ...}`, which the page shows as they are; with `Retry-After` where waiting helps.
    """

    def __init__(self, app: ASGIApp, *, page: gr.Blocks, settings: PageSettings, uploads: Path) -> None:
        """Stands before `app`.

        Args:
            app: gradio's.
            page: tells which events make the models work.
            settings: the limits.
            uploads: folder of uploaded files.
        """
        self._app = app
        self._page = page
        self._settings = settings
        self._uploads = uploads
        self._questions = RateLimiter(settings.questions)
        self._pictures = RateLimiter(settings.uploads)
        self._logins = RateLimiter(settings.logins)
        self._requests = RateLimiter(settings.requests)
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or hands it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # the page has no websockets
        visitor = visitor_of(scope.get("client"))
        reply = _Reply(send)
        self._open[visitor] += 1
        try:
            await self._pass(scope, receive, reply, visitor)
        except RefusedError as refused:
            if not reply.started:
                await _refuse(send, refused)
        finally:
            self._open[visitor] -= 1
            if not self._open[visitor]:
                del self._open[visitor]

    async def _pass(self, scope: Scope, receive: Receive, reply: _Reply, visitor: str) -> None:
        path, method = scope["path"].removeprefix(scope.get("root_path", "")), scope["method"]
        if not is_open_route(method, path):
            raise RefusedError(404, "there is nothing here")
        if is_part_of_page(method, path):
            await self._app(scope, receive, reply)
            return
        if self._open[visitor] > self._settings.max_open_requests:
            raise RefusedError(429, "you have too many requests open at once; close some pages", wait=10)
        _take(self._requests, visitor, "requests")
        if method != "POST":
            await self._app(scope, receive, reply)
        elif path == _UPLOAD:
            self._check_room()
            _take(self._pictures, visitor, "uploads")
            await self._app(scope, counted(receive, self._settings.max_upload_bytes + _SLACK), reply)
        elif path.startswith("/login"):
            _take(self._logins, visitor, "tries to log in")
            await self._app(scope, counted(receive, MAX_BODY_BYTES), reply)
        else:
            await self._pass_event(scope, receive, reply, visitor, path)

    async def _pass_event(self, scope: Scope, receive: Receive, reply: _Reply, visitor: str, path: str) -> None:
        body = await whole(receive)
        value = checked_body(body)
        if names_event(path) and not self._has_event(path, value):
            raise RefusedError(404, "there is no such event; “Use via API” on the page names those there are")
        asks = self._makes_models_work(path, value)
        if asks:
            _take(self._questions, visitor, "questions")
        await self._app(scope, replayed(body, receive), reply)
        if asks and reply.status == 503:  # the queue was full
            self._questions.give_back(visitor)

    def _has_event(self, path: str, body: object) -> bool:
        """Whether there is the event that a request names, by number or in its path: gradio would fail on any other."""
        number = body.get("fn_index") if isinstance(body, dict) else None
        if number is not None:
            return str(number).strip().isdecimal() and int(str(number)) in self._page.fns
        name = path.rstrip("/").rpartition("/")[2]
        return path != _JOIN and any(fn.api_name == name for fn in self._page.fns.values())

    def _makes_models_work(self, path: str, body: object) -> bool:
        """Whether an event does. In the queue, one that is not known for certain counts as if it did."""
        if path == _JOIN:
            number = body.get("fn_index") if isinstance(body, dict) else None
            known = self._page.fns.get(number) if type(number) is int else None
            return known is None or known.concurrency_id == _MODELS
        name = path.rstrip("/").rpartition("/")[2]
        return any(fn.api_name == name and fn.concurrency_id == _MODELS for fn in self._page.fns.values())

    def _check_room(self) -> None:
        """Makes sure of room for one more file.

        Raises:
            RefusedError: there is none.
        """
        stored = stored_bytes(self._uploads)
        if stored + self._settings.max_upload_bytes > self._settings.max_stored_bytes:
            wait = self._settings.cache_seconds[0]
            raise RefusedError(503, "there is no room for more pictures now; try again in some minutes", wait=wait)


class _Reply:
    """Sends on, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    @property
    def started(self) -> bool:
        return self.status != 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-content-type-options", b"nosniff")]}
        await self._send(message)


def _take(limiter: RateLimiter, visitor: str, what: str) -> None:
    wait = limiter.take(visitor)
    if wait:
        told = duration(math.ceil(wait))
        raise RefusedError(429, f"You have sent many {what} in a short time. Wait {told} and try again.", wait=wait)


async def _refuse(send: Send, refused: RefusedError) -> None:
    body = json.dumps({"detail": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.wait:
        headers.append((b"retry-after", str(math.ceil(refused.wait)).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
