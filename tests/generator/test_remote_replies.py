"""What servers send beside answers: errors in bodies of status 200, thoughts, and log-probabilities that are null."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generator.remote import PromptRefusedError, RemoteError
from tests.generator.chat_server import ChatServer
from tests.generator.test_remote import PASSAGES, asked, generator, streamed

ERRORS = [
    (
        {"error": {"message": "upstream\nis overloaded", "code": 503}},
        3,
        r"refused the request \(503\): upstream is over",
    ),
    ({"error": {"message": "too long", "code": 400}}, 1, r"refused the request \(400\): too long"),
    ({"error": {"message": "no model", "code": "model_not_found"}}, 1, "reports an error: no model"),
    ({"error": "Input validation error", "error_type": "validation"}, 1, "reports an error: Input validation error"),
    ({"object": "error", "message": "too long", "code": 400}, 1, r"refused the request \(400\): too long"),
]


@pytest.mark.parametrize(("body", "requests", "message"), ERRORS)
def test_an_error_in_the_body_is_told(server: ChatServer, body: dict[str, Any], requests: int, message: str) -> None:
    server.behave(raw=json.dumps(body))
    with pytest.raises(RemoteError, match=message) as caught:
        asked(server, PASSAGES[:1], retries=2)
    assert isinstance(caught.value, PromptRefusedError) == ("400" in message)
    assert len(server.requests) == requests


@pytest.mark.parametrize(("body", "requests", "message"), ERRORS)
def test_an_error_in_a_stream_is_told(server: ChatServer, body: dict[str, Any], requests: int, message: str) -> None:
    said = json.dumps({"choices": [{"delta": {"content": "Pa"}}]})
    server.behave(events=[said, json.dumps(body)])
    with pytest.raises(RemoteError, match=message):
        streamed(generator(server), PASSAGES[:1])
    assert len(server.requests) == 1  # what was shown is not taken back


def choice(part: str, *, logprob: float | None, **said: object) -> str:
    tokens = {"content": [{"token": "x", "logprob": logprob}]}
    return json.dumps({"choices": [{part: {"role": "assistant", **said}, "logprobs": tokens}]})


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_thoughts_are_no_part_of_the_answer_nor_of_its_score(server: ChatServer, key: str) -> None:
    server.behave(raw=choice("message", logprob=-1.0, content="Paris", **{key: "hm"}))
    (candidate,) = asked(server, PASSAGES[:1])
    assert (candidate.answer, candidate.log_likelihood) == ("Paris", 0.0)
    thinking = choice("delta", logprob=-5.0, content=None, **{key: "hm"})
    server.behave(events=[thinking, choice("delta", logprob=-1.0, content="Paris"), "[DONE]"])
    texts, (candidate,) = streamed(generator(server), PASSAGES[:1])
    assert texts == ["Paris"]
    assert (candidate.answer, candidate.log_likelihood) == ("Paris", -1.0)


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_thoughts_without_an_answer_are_an_error(server: ChatServer, content: dict[str, object]) -> None:
    message = "thoughts and no answer within 20 tokens; take a model that answers at once"
    server.behave(raw=choice("message", logprob=-1.0, reasoning_content="hm", **content))
    with pytest.raises(PromptRefusedError, match=message):
        asked(server, PASSAGES[:1])
    server.behave(events=[choice("delta", logprob=-1.0, reasoning_content="hm", **content), "[DONE]"])
    with pytest.raises(PromptRefusedError, match=message):
        streamed(generator(server), PASSAGES[:1])


def test_half_a_character_is_none(server: ChatServer) -> None:
    server.behave(raw='{"choices": [{"message": {"content": "Paris \\ud83d"}}]}')
    assert [one.answer for one in asked(server, PASSAGES[:1])] == ["Paris \ufffd"]
    halves = [choice("delta", logprob=-1.0, content=half) for half in ("Paris \ud83d", "\ude00")]
    server.behave(events=[*halves, "[DONE]"])
    texts, (candidate,) = streamed(generator(server), PASSAGES[:1])
    assert (texts, candidate.answer) == (["Paris \ufffd", "Paris \U0001f600"], "Paris \U0001f600")


def test_a_log_probability_may_be_null(server: ChatServer) -> None:
    server.behave(raw=choice("message", logprob=None, content="Paris"))
    (candidate,) = asked(server, PASSAGES[:1])
    assert (candidate.answer, candidate.log_likelihood) == ("Paris", 0.0)


def test_thoughts_that_are_spelled_in_the_answer_are_taken_out(server: ChatServer) -> None:
    server.behave(raw=choice("message", logprob=-1.0, content="<think>\nhm, Rome?\n</think>\n\nParis"))
    (candidate,) = asked(server, PASSAGES[:1])
    assert (candidate.answer, candidate.log_likelihood) == ("Paris", 0.0)
    pieces = ["<thi", "nk>hm", "</think>", "Pa", "ris"]
    server.behave(events=[*(choice("delta", logprob=-1.0, content=piece) for piece in pieces), "[DONE]"])
    texts, (candidate,) = streamed(generator(server), PASSAGES[:1])
    assert texts == ["Pa", "Paris"]
    assert (candidate.answer, candidate.log_likelihood) == ("Paris", 0.0)
    server.behave(raw=choice("message", logprob=-1.0, content="<think>hm, and then"))
    with pytest.raises(PromptRefusedError, match="wrote thoughts and no answer"):
        asked(server, PASSAGES[:1])
