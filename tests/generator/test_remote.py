"""The remote generator against a small server of our own."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from PIL import Image

from generator.modes import ReadingMode
from generator.protocol import Candidate, Generator
from generator.remote import RemoteError, RemoteGenerator, RemoteSettings
from generator.streaming import StreamingGenerator
from knowledge_bases.records import Passage, VisualQuestion


class Server(BaseHTTPRequestHandler):
    requests: ClassVar[list[dict[str, Any]]] = []
    headers_seen: ClassVar[list[str | None]] = []
    status: ClassVar[int] = 200
    raw: ClassVar[bytes | None] = None
    logprobs: ClassVar[list[float] | None] = None
    busy: ClassVar[int] = 0  # requests to turn away
    busy_status: ClassVar[int] = 503
    retry_after: ClassVar[str | None] = None
    streams: ClassVar[bool] = True
    breaks_off: ClassVar[bool] = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).requests.append({"path": self.path, **body})
        type(self).headers_seen.append(self.headers.get("Authorization"))
        text = next(part["text"] for part in body["messages"][0]["content"] if part["type"] == "text")
        answer = " Paris " if "Paris" in text else "unknown"
        choice: dict[str, Any] = {"message": {"content": answer}}
        if self.logprobs is not None:
            choice["logprobs"] = {"content": [{"token": "x", "logprob": value} for value in self.logprobs]}
        reply = self.raw if self.raw is not None else json.dumps({"choices": [choice]}).encode()
        if type(self).busy:
            type(self).busy -= 1
            self.send_response(self.busy_status)
            if self.retry_after is not None:
                self.send_header("Retry-After", self.retry_after)
            self.end_headers()
            return
        if body.get("stream") and self.streams and self.raw is None:
            self._stream(answer)
            return
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(reply)

    def _stream(self, answer: str) -> None:
        """One event a letter, as servers send them: a role first, usage last."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        choices: list[Any] = [{"delta": {"role": "assistant", "content": None}}]
        for letter in answer:
            tokens = {"content": [{"token": letter, "logprob": -0.5}]}
            choices.append({"delta": {"content": letter}, "logprobs": tokens})
        events = [json.dumps({"choices": [choice]}) for choice in choices]
        if self.breaks_off:
            events = [*events[:3], "{"]
        ending = [json.dumps({"choices": [], "usage": {"total_tokens": 9}}), "[DONE]"]
        for event in [*events, *([] if self.breaks_off else ending)]:
            self.wfile.write(f": a comment\n\ndata: {event}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Server.requests, Server.headers_seen = [], []
    Server.status, Server.raw, Server.logprobs, Server.busy = 200, None, None, 0
    Server.streams, Server.breaks_off = True, False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


PASSAGES = [Passage(passage_id="1", text="Paris is a city."), Passage(passage_id="2", text="Rome is a city.")]


def generator(address: str, **options: Any) -> RemoteGenerator:  # noqa: ANN401
    return RemoteGenerator(RemoteSettings(address=address, model="m", **{"first_wait": 0.01, **options}))


def test_each_passage_is_asked_with_the_picture(address: str) -> None:
    Server.logprobs = [-0.5, -1.5]
    remote = generator(address, api_key="key", max_image_side=32)
    assert isinstance(remote, Generator)
    image = Image.new("RGBA", (64, 16), (255, 0, 0, 128))
    found = remote.propose(VisualQuestion(text="which city?", image=image), PASSAGES)
    assert [(c.answer, c.passage_index, c.log_likelihood) for c in found] == [("Paris", 0, -2.0), ("unknown", 1, -2.0)]
    request = Server.requests[0]
    assert (request["path"], request["model"], request["temperature"]) == ("/v1/chat/completions", "m", 0)
    url = next(p for p in request["messages"][0]["content"] if p["type"] == "image_url")["image_url"]["url"]
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (32, 8)
    assert Server.headers_seen == ["Bearer key"] * 2


def test_without_passages_or_picture_or_logprobs(address: str) -> None:
    (candidate,) = generator(address).propose(VisualQuestion(text="which city?"), [])
    assert (candidate.answer, candidate.passage_index, candidate.log_likelihood) == ("unknown", None, 0.0)
    assert [part["type"] for part in Server.requests[0]["messages"][0]["content"]] == ["text"]
    assert Server.headers_seen == [None]


@pytest.mark.parametrize(
    ("status", "raw", "message"),
    [
        (401, b'{"error": "bad\n key"}', r'refused the request \(401\): \{"error": "bad key"\}'),
        (200, b"<html>", "did not answer with JSON"),
        (200, b"[1]", "did not answer like a chat-completions server"),
        (200, b'{"choices": []}', "did not answer like a chat-completions server"),
    ],
)
def test_odd_replies_are_one_clear_line(address: str, status: int, raw: bytes, message: str) -> None:
    Server.status, Server.raw = status, raw
    with pytest.raises(RemoteError, match=message) as caught:
        generator(address).propose(VisualQuestion(text="q"), [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(address: str, status: int) -> None:
    Server.busy, Server.busy_status, Server.retry_after = 2, status, None
    (candidate,) = generator(address, first_wait=0.01).propose(VisualQuestion(text="q"), PASSAGES[:1])
    assert candidate.answer == "Paris"
    assert len(Server.requests) == 3


def test_a_server_may_say_how_long_it_is_busy(address: str) -> None:
    Server.busy, Server.busy_status, Server.retry_after = 1, 429, "0"
    began = time.monotonic()
    generator(address, first_wait=30.0).propose(VisualQuestion(text="q"), PASSAGES[:1])
    assert time.monotonic() - began < 10


def test_a_server_that_stays_busy_is_given_up(address: str) -> None:
    Server.busy, Server.busy_status, Server.retry_after = 99, 503, None
    with pytest.raises(RemoteError, match=r"refused the request \(503\)"):
        generator(address, retries=1, first_wait=0.01).propose(VisualQuestion(text="q"), PASSAGES[:1])
    assert len(Server.requests) == 2


def test_a_server_that_is_not_there(address: str) -> None:
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9/v1 cannot be reached .*check address and server"):
        generator("http://127.0.0.1:9/v1", timeout=2.0).propose(VisualQuestion(text="q"), [])


def test_only_web_addresses_are_taken() -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        RemoteSettings(address="file:///etc", model="m")


def streamed(remote: RemoteGenerator, passages: list[Passage]) -> tuple[list[str], list[Candidate]]:
    parts, texts = remote.stream(VisualQuestion(text="which city?"), passages), []
    while True:
        try:
            texts.append(next(parts))
        except StopIteration as end:
            return texts, end.value


def test_the_answer_from_the_first_passage_is_seen_as_it_grows(address: str) -> None:
    remote = generator(address)
    assert isinstance(remote, StreamingGenerator)
    texts, found = streamed(remote, PASSAGES)
    assert texts == ["P", "Pa", "Par", "Pari", "Paris", "Paris"]
    assert [(c.answer, c.passage_index, c.log_likelihood) for c in found] == [("Paris", 0, -3.5), ("unknown", 1, 0.0)]
    assert sorted(bool(request.get("stream")) for request in Server.requests) == [False, True]


def test_a_server_that_does_not_stream_answers_at_once(address: str) -> None:
    Server.streams = False
    texts, found = streamed(generator(address), PASSAGES[:1])
    assert texts == []
    assert [candidate.answer for candidate in found] == ["Paris"]


def test_a_stream_that_breaks_off_is_an_error(address: str) -> None:
    Server.breaks_off = True
    with pytest.raises(RemoteError, match="did not answer with JSON"):
        streamed(generator(address), PASSAGES[:1])


def test_a_busy_server_is_asked_for_the_stream_again(address: str) -> None:
    Server.busy, Server.busy_status, Server.retry_after = 1, 503, None
    assert streamed(generator(address), PASSAGES[:1])[0][-1] == "Paris"
    assert len(Server.requests) == 2


def test_a_long_context_is_one_request(address: str) -> None:
    (candidate,) = generator(address, mode=ReadingMode.LONG_CONTEXT).propose(VisualQuestion(text="which?"), PASSAGES)
    assert (candidate.answer, candidate.passage_index) == ("Paris", None)
    (request,) = Server.requests
    assert "Knowledge: [1] Paris is a city.\n[2] Rome is a city.\n" in request["messages"][0]["content"][0]["text"]
