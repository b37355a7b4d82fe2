"""The remote generator against a small server of our own, which runs in a process of its own."""

from __future__ import annotations

import base64
import io
import time
from typing import Any

import pytest
from PIL import Image

from generator.modes import ReadingMode
from generator.protocol import Candidate, Generator
from generator.remote import RemoteError, RemoteGenerator, RemoteSettings
from generator.streaming import StreamingGenerator
from knowledge_bases.records import Passage, VisualQuestion
from tests.generator.chat_server import ChatServer

QUESTION = VisualQuestion(text="which city?")
PASSAGES = [Passage(passage_id="1", text="Paris is a city."), Passage(passage_id="2", text="Rome is a city.")]


def generator(server: ChatServer | str, **options: Any) -> RemoteGenerator:  # noqa: ANN401
    address = server if isinstance(server, str) else server.address
    return RemoteGenerator(RemoteSettings(address=address, model="m", **{"first_wait": 0.01, **options}))


def test_each_passage_is_asked_with_the_picture(server: ChatServer) -> None:
    server.behave(logprobs=[-0.5, -1.5])
    remote = generator(server, api_key="key", max_image_side=32)
    assert isinstance(remote, Generator)
    image = Image.new("RGBA", (64, 16), (255, 0, 0, 128))
    found = remote.propose(VisualQuestion(text="which city?", image=image), PASSAGES)
    assert [(c.answer, c.passage_index, c.log_likelihood) for c in found] == [("Paris", 0, -2.0), ("unknown", 1, -2.0)]
    request = server.requests[0]
    assert (request["path"], request["model"], request["temperature"]) == ("/v1/chat/completions", "m", 0)
    url = next(p for p in request["messages"][0]["content"] if p["type"] == "image_url")["image_url"]["url"]
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (32, 8)
    assert request["logprobs"] is True
    assert [one["key"] for one in server.requests] == ["Bearer key"] * 2


def test_without_passages_or_picture_or_logprobs(server: ChatServer) -> None:
    (candidate,) = generator(server).propose(VisualQuestion(text="which city?"), [])
    assert (candidate.answer, candidate.passage_index, candidate.log_likelihood) == ("unknown", None, 0.0)
    (request,) = server.requests
    assert [part["type"] for part in request["messages"][0]["content"]] == ["text"]
    assert request["key"] is None


@pytest.mark.parametrize(
    ("status", "raw", "message"),
    [
        (401, '{"error": "bad\n key"}', r'refused the request \(401\): \{"error": "bad key"\}'),
        (200, "<html>", "did not answer with JSON"),
        (200, "[1]", "did not answer like a chat-completions server"),
        (200, '{"choices": []}', "did not answer like a chat-completions server"),
        (200, '{"choices": [{"message": {"content": 5}}]}', "did not answer like a chat-completions server"),
    ],
)
def test_odd_replies_are_one_clear_line(server: ChatServer, status: int, raw: str, message: str) -> None:
    server.behave(status=status, raw=raw)
    with pytest.raises(RemoteError, match=message) as caught:
        generator(server).propose(VisualQuestion(text="q"), [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(server: ChatServer, status: int) -> None:
    server.behave(busy=2, busy_status=status)
    (candidate,) = generator(server, first_wait=0.01).propose(VisualQuestion(text="q"), PASSAGES[:1])
    assert candidate.answer == "Paris"
    assert len(server.requests) == 3


def test_a_server_may_say_how_long_it_is_busy(server: ChatServer) -> None:
    server.behave(busy=1, busy_status=429, retry_after="0")
    began = time.monotonic()
    generator(server, first_wait=30.0).propose(VisualQuestion(text="q"), PASSAGES[:1])
    assert time.monotonic() - began < 10


def test_a_server_that_stays_busy_is_given_up(server: ChatServer) -> None:
    server.behave(busy=99)
    with pytest.raises(RemoteError, match=r"refused the request \(503\)"):
        generator(server, retries=1, first_wait=0.01).propose(VisualQuestion(text="q"), PASSAGES[:1])
    assert len(server.requests) == 2


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9/v1 cannot be reached .*check address and server"):
        generator("http://127.0.0.1:9/v1", timeout=2.0).propose(VisualQuestion(text="q"), [])


def test_only_web_addresses_are_taken() -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        RemoteSettings(address="file:///etc", model="m")


def streamed(remote: RemoteGenerator, passages: list[Passage]) -> tuple[list[str], list[Candidate]]:
    """The texts, after which every candidate came once; and all candidates."""
    parts, shown = remote.stream(VisualQuestion(text="which city?"), passages), []
    while True:
        try:
            shown.append(next(parts))
        except StopIteration as end:
            found: list[Candidate] = end.value
            break
    texts = [part for part in shown if isinstance(part, str)]
    candidates = [part for part in shown if isinstance(part, Candidate)]
    assert shown == [*texts, *candidates]
    assert candidates[0] == found[0]
    assert sorted(candidates, key=lambda one: one.passage_index or 0) == found
    return texts, found


def test_the_answer_from_the_first_passage_is_seen_as_it_grows(server: ChatServer) -> None:
    remote = generator(server)
    assert isinstance(remote, StreamingGenerator)
    texts, found = streamed(remote, PASSAGES)
    assert texts == ["P", "Pa", "Par", "Pari", "Paris", "Paris"]
    assert [(c.answer, c.passage_index, c.log_likelihood) for c in found] == [("Paris", 0, -3.5), ("unknown", 1, 0.0)]
    assert sorted(bool(request.get("stream")) for request in server.requests) == [False, True]


def test_a_server_that_does_not_stream_answers_at_once(server: ChatServer) -> None:
    server.behave(streams=False)
    texts, found = streamed(generator(server), PASSAGES[:1])
    assert texts == []
    assert [candidate.answer for candidate in found] == ["Paris"]


def test_a_stream_that_breaks_off_is_an_error(server: ChatServer) -> None:
    server.behave(breaks_off=True)
    with pytest.raises(RemoteError, match="did not answer with JSON"):
        streamed(generator(server), PASSAGES[:1])


def test_a_busy_server_is_asked_for_the_stream_again(server: ChatServer) -> None:
    server.behave(busy=1)
    assert streamed(generator(server), PASSAGES[:1])[0][-1] == "Paris"
    assert len(server.requests) == 2


def test_a_long_context_is_one_request(server: ChatServer) -> None:
    (candidate,) = generator(server, mode=ReadingMode.LONG_CONTEXT).propose(VisualQuestion(text="which?"), PASSAGES)
    assert (candidate.answer, candidate.passage_index) == ("Paris", None)
    (request,) = server.requests
    assert "Knowledge: [1] Paris is a city.\n[2] Rome is a city.\n" in request["messages"][0]["content"][0]["text"]


def asked(server: ChatServer, passages: list[Passage], **options: Any) -> list[Candidate]:  # noqa: ANN401
    return generator(server, **options).propose(QUESTION, passages)


def test_an_answer_may_come_in_parts(server: ChatServer) -> None:
    server.behave(parts=True)
    assert [one.answer for one in asked(server, PASSAGES)] == ["Paris", "unknown"]
    server.behave(parts=True, streams=False)
    assert [one.answer for one in streamed(generator(server), PASSAGES)[1]] == ["Paris", "unknown"]
