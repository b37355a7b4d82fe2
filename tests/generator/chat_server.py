"""A chat-completions server in a process of its own, on a free port of 127.0.0.1.

Run as a program it serves until its standard input ends, so that it never outlives the test that started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Behaviour", "ChatServer", "prompt_of", "serving_chat"]


@dataclass(kw_only=True)
class Behaviour:
    """What the server does with a request.

    Attributes:
        answers: the answer where the prompt holds the key; the first that fits counts.
        otherwise: the answer to all other prompts.
        parts: whether answers come as a list of parts.
        status: of every answer.
        raw: the body of every answer, instead of an answer; {key} becomes what the Authorization header holds.
        logprobs: reported for each answer.
        knows_logprobs: whether a request for them is answered.
        busy: how many requests are turned away first, with `busy_status` and `retry_after`.
        refused: prompts that hold it are answered with `refused_status`.
        streams: whether it streams where it is asked to.
        breaks_off: whether a stream ends in the middle.
        trickle: seconds between two bytes, of "head" or "body" as `trickles` says.
        events: of every stream, instead of an answer's: what stands behind `data:`.
        redirect: where every request is sent on to.
    """

    answers: dict[str, str] = field(default_factory=lambda: {"Paris": " Paris "})
    otherwise: str = "unknown"
    parts: bool = False
    status: int = 200
    raw: str | None = None
    logprobs: list[float] | None = None
    knows_logprobs: bool = True
    busy: int = 0
    busy_status: int = 503
    retry_after: str | None = None
    refused: str | None = None
    refused_status: int = 400
    streams: bool = True
    breaks_off: bool = False
    trickle: float = 0.0
    trickles: str = "body"
    events: list[str] | None = None
    redirect: str | None = None


class ChatServer:
    """The server as a test sees it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}/v1"

    def behave(self, **options: Any) -> None:  # noqa: ANN401
        """Behaves so from here on, and forgets what it was asked."""
        self._call("/behave", asdict(Behaviour(**options)))

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What it was asked so far: the JSON bodies, with the `path` and the `key` that came with them."""
        found: list[dict[str, Any]] = self._call("/requests", {})
        return found

    @property
    def prompts(self) -> list[str]:
        """The texts that it was asked."""
        return [prompt_of(request) for request in self.requests]

    def _call(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            return json.load(response)


@contextmanager
def serving_chat() -> Iterator[ChatServer]:
    """Starts the server, and stops it whatever happens."""
    process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield ChatServer(int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()
        assert process.returncode is not None


def prompt_of(body: dict[str, Any]) -> str:
    return next(str(part["text"]) for part in body["messages"][0]["content"] if part["type"] == "text")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    behaviour = Behaviour()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/behave":
            self.server.behaviour, self.server.asked = Behaviour(**body), []
            self.wfile.write(b"HTTP/1.0 200 X\r\n\r\n{}")
        elif self.path == "/requests":
            self.wfile.write(b"HTTP/1.0 200 X\r\n\r\n" + json.dumps(self.server.asked).encode())
        else:
            self._answer(body)

    def do_GET(self) -> None:
        """What a redirect that is followed ends in."""
        self._answer({"messages": [{"content": [{"type": "text", "text": "GET"}]}]})

    def _answer(self, body: dict[str, Any]) -> None:
        behaviour, key, prompt = self.server.behaviour, self.headers.get("Authorization"), prompt_of(body)
        with self.server.lock:
            self.server.asked.append({"path": self.path, "key": key, **body})
            turned_away, behaviour.busy = behaviour.busy > 0, max(0, behaviour.busy - 1)
        answer = next((said for held, said in behaviour.answers.items() if held in prompt), behaviour.otherwise)
        raw = None if behaviour.raw is None else behaviour.raw.replace("{key}", str(key)).encode()
        if behaviour.redirect is not None:
            self._send(302, b"", Location=behaviour.redirect)
        elif turned_away:
            wait = {} if behaviour.retry_after is None else {"Retry-After": behaviour.retry_after}
            self._send(behaviour.busy_status, raw or b"", **wait)
        elif behaviour.refused is not None and behaviour.refused in prompt:
            self._send(behaviour.refused_status, b'{"error": "maximum context length is 16 tokens"}')
        elif not behaviour.knows_logprobs and body.get("logprobs"):
            self._send(400, b'{"error": "logprobs are not supported"}')
        elif body.get("stream") and behaviour.streams and raw is None:
            self._stream(answer, breaks_off=behaviour.breaks_off)
        else:
            self._send(behaviour.status, raw if raw is not None else self._reply(answer))

    def _reply(self, answer: str) -> bytes:
        behaviour = self.server.behaviour
        parts = [{"type": "thinking", "thinking": "hm"}, *({"type": "text", "text": letter} for letter in answer)]
        choice: dict[str, Any] = {"message": {"content": parts if behaviour.parts else answer}}
        if behaviour.logprobs is not None:
            choice["logprobs"] = {"content": [{"token": "x", "logprob": value} for value in behaviour.logprobs]}
        return json.dumps({"choices": [choice]}).encode()

    def _stream(self, answer: str, *, breaks_off: bool) -> None:
        """One event a letter, as servers send them: a role first, usage last."""
        choices: list[Any] = [{"delta": {"role": "assistant", "content": None}}]
        for letter in answer:
            tokens = {"content": [{"token": letter, "logprob": -0.5}]}
            choices.append({"delta": {"content": letter}, "logprobs": tokens})
        events = [json.dumps({"choices": [choice]}) for choice in choices]
        ending = [json.dumps({"choices": [], "usage": {"total_tokens": 9}}), "[DONE]"]
        events = [*events[:3], "{"] if breaks_off else [*events, *ending]
        events = self.server.behaviour.events or events
        text = "".join(f": a comment\n\ndata: {event}\n\n" for event in events)
        self._send(200, text.encode(), **{"Content-Type": "text/event-stream; charset=utf-8"})

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        behaviour = self.server.behaviour
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pieces = {"head": f"HTTP/1.0 {status} X\r\n{head}\r\n".encode(), "body": body}
        for name, piece in pieces.items():
            if not (behaviour.trickle and behaviour.trickles == name):
                self.wfile.write(piece)
                continue
            for byte in piece:
                time.sleep(behaviour.trickle)
                self.wfile.write(bytes([byte]))
                self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # the client has gone


def _serve() -> None:
    server = _Server()
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    _serve()
