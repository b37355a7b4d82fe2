"""The key, redirects, deadlines and refusals, against a server in a process of its own."""

from __future__ import annotations

import logging
import time

import pytest

from generator.remote import PromptRefusedError, RemoteError, RemoteSettings
from tests.generator.chat_server import ChatServer, serving_chat
from tests.generator.test_remote import PASSAGES, QUESTION, asked, generator, streamed

KEY = "sk-SECRET"


@pytest.mark.parametrize("key", [f"{KEY}\n", f"  {KEY}\r\n"])
def test_a_key_may_end_in_a_line_break(server: ChatServer, key: str) -> None:
    asked(server, [], api_key=key)
    assert server.requests[0]["key"] == f"Bearer {KEY}"
    asked(server, [], api_key=" \n")
    assert server.requests[1]["key"] is None


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY} x", f"{KEY}\x00", f"{KEY}\u2026"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match=r"API key holds .*copy it again") as caught:
        RemoteSettings(address="http://h/v1", model="m", api_key=key)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 429, 503])
@pytest.mark.parametrize("before", [0, 272])  # the key lies across the end of what is shown
def test_a_servers_error_does_not_show_the_key(
    server: ChatServer, caplog: pytest.LogCaptureFixture, status: int, before: int
) -> None:
    caplog.set_level(logging.DEBUG)
    raw = "x" * before + " no access with {key}, sorry"
    server.behave(status=status, raw=raw, busy=1, busy_status=status)
    with pytest.raises(RemoteError, match=rf"refused the request \({status}\)") as caught:
        asked(server, [], api_key=KEY, retries=1)
    for text in (str(caught.value), caplog.text):
        assert "sk-S" not in text
    assert before or "no access with Bearer ***, sorry" in str(caught.value)
    assert len(caplog.records) == (1 if status in (429, 503) else 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_here_is_asked_without_a_proxy(server: ChatServer, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    address = server.address.replace("127.0.0.1", host)
    (candidate,) = generator(address, retries=0).propose(QUESTION, PASSAGES[:1])
    assert candidate.answer == "Paris"
    with pytest.raises(RemoteError, match="cannot be reached"):
        generator("http://192.0.2.1/v1", retries=0).propose(QUESTION, [])


def test_a_redirect_is_not_followed(server: ChatServer) -> None:
    with serving_chat() as other:
        server.behave(redirect=other.address)
        with pytest.raises(RemoteError, match=r"redirects to 127\.0\.0\.1 \(302\).*; give the address that"):
            asked(server, [], api_key=KEY)
        assert other.requests == []
    assert len(server.requests) == 1


def test_a_server_that_knows_no_logprobs_is_asked_without(server: ChatServer) -> None:
    server.behave(knows_logprobs=False)
    remote = generator(server, parallel=1)
    found = remote.propose(QUESTION, PASSAGES)
    assert [(one.answer, one.log_likelihood) for one in found] == [("Paris", 0.0), ("unknown", 0.0)]
    assert streamed(remote, PASSAGES[:1])[0][-1] == "Paris"
    assert [request.get("logprobs", False) for request in server.requests] == [True, False, False, False]
    server.behave(knows_logprobs=False)
    assert streamed(generator(server), PASSAGES[:1])[0][-1] == "Paris"
    assert [request.get("logprobs", False) for request in server.requests] == [True, False]


def test_a_refusal_for_another_reason_is_not_taken_for_one_of_logprobs(server: ChatServer) -> None:
    server.behave(refused="Paris")
    remote = generator(server)
    with pytest.raises(PromptRefusedError, match=r"refused the request \(400\).*maximum context length"):
        remote.propose(QUESTION, PASSAGES[:1])
    remote.propose(QUESTION, PASSAGES[1:])
    assert [request["logprobs"] for request in server.requests] == [True, True]


@pytest.mark.parametrize(
    ("status", "of_the_prompt"), [(400, True), (413, True), (422, True), (401, False), (404, False)]
)
def test_what_is_refused_for_one_prompt_only(server: ChatServer, status: int, of_the_prompt: bool) -> None:
    server.behave(status=status, raw="no")
    with pytest.raises(RemoteError) as caught:
        asked(server, [])
    assert isinstance(caught.value, PromptRefusedError) == of_the_prompt
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "(401): no; give its key in the variable RAG_APP_API_KEY"),
        (404, "(404): no; check the address, which ends in /v1 for most servers, and the model's name after #"),
    ],
)
def test_a_refusal_says_what_to_do(server: ChatServer, status: int, advice: str) -> None:
    server.behave(status=status, raw="no")
    with pytest.raises(RemoteError) as caught:
        asked(server, [])
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize("part", ["head", "body"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_trickling_server_is_given_up_in_time(server: ChatServer, part: str, status: int) -> None:
    server.behave(trickle=0.2, trickles=part, status=status, raw="x" * 200)
    began = time.monotonic()
    with pytest.raises(RemoteError, match=r"gave no answer within 1 s|refused the request \(400\)"):
        asked(server, [], timeout=1.0)
    assert time.monotonic() - began < 5


def test_a_trickling_stream_is_given_up_in_time(server: ChatServer) -> None:
    server.behave(trickle=0.05)
    began = time.monotonic()
    with pytest.raises(RemoteError, match="gave no answer within 1 s"):
        streamed(generator(server, timeout=1.0), PASSAGES[:1])
    assert time.monotonic() - began < 5


def test_the_server_is_stopped_with_its_test() -> None:
    servers = []

    def failing() -> None:
        with serving_chat() as server:
            servers.append(server)
            assert asked(server, [])[0].answer == "unknown"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with pytest.raises(RemoteError, match="cannot be reached"):
        asked(servers[0], [], retries=0)
