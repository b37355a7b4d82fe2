"""Who counts as one visitor, how much a visitor may do, and which requests are taken at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.serving import Rate
from ui.public_limits import MOST_VISITORS, RateLimiter, visitor_of
from ui.public_requests import RefusedError, checked_body, is_open_route


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_a_steady_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(Rate(burst=3, per_minute=6), clock=clock)
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a") == pytest.approx(10)
    assert limiter.take("b") == 0
    clock.now += 4
    assert limiter.take("a") == pytest.approx(6)
    clock.now += 6
    assert limiter.take("a") == 0
    assert limiter.take("a") == pytest.approx(10)
    limiter.give_back("a")
    assert limiter.take("a") == 0
    clock.now += 3600
    assert [limiter.take("a") == 0 for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 5), st.floats(0.5, 120))
def test_never_more_than_the_rate_and_waiting_helps(pauses: list[float], burst: int, per_minute: float) -> None:
    clock = Clock()
    limiter = RateLimiter(Rate(burst=burst, per_minute=per_minute), clock=clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        wait = limiter.take("a")
        taken += wait == 0
        assert taken <= burst + (clock.now - 100) * per_minute / 60 + 1e-6
        if wait:
            clock.now += wait + 1e-6
            assert limiter.take("a") == 0
            taken += 1


def test_memory_of_visitors_is_bounded() -> None:
    limiter = RateLimiter(Rate(burst=1, per_minute=1))
    for number in range(MOST_VISITORS + 50):
        limiter.take(str(number))
    assert len(limiter) == MOST_VISITORS
    assert limiter.take(str(MOST_VISITORS + 49)) > 0  # the newest are remembered
    assert limiter.take("0") == 0


def test_who_is_one_visitor() -> None:
    assert visitor_of(("192.0.2.7", 1)) == "192.0.2.7"
    assert visitor_of(("::ffff:192.0.2.7", 1)) == "192.0.2.7"
    assert visitor_of(("2001:db8:1:2::9", 1)) == visitor_of(("2001:db8:1:2:ffff::1", 1))
    assert visitor_of(("2001:db8:1:2::9", 1)) != visitor_of(("2001:db8:1:3::9", 1))
    assert visitor_of(None) == visitor_of(("a name", 1)) == "unknown"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/config"),
        ("GET", "/assets/index-a1.js"),
        ("GET", "/gradio_api/queue/data"),
        ("GET", "/gradio_api/heartbeat/abc12"),
        ("GET", "/gradio_api/call/ask/0f1e"),
        ("GET", "/gradio_api/file=/tmp/uploads-1/a b.png"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/call/v2/ask"),
        ("POST", "/gradio_api/upload"),
        ("POST", "/login"),
    ],
)
def test_what_the_page_needs_is_open(method: str, path: str) -> None:
    assert is_open_route(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
        ("GET", "/gradio_api/proxy=https://x.hf.space/"),
        ("GET", "/gradio_api/file=http://127.0.0.1/"),
        ("GET", "/gradio_api/file= HTTPS://example.org/a.png"),
        ("GET", "/gradio_api/file=//example.org/a.png"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/gradio_api/vibe-code/"),
        ("POST", "/gradio_api/vibe-code/"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/mcp/"),
        ("PUT", "/config"),
        ("DELETE", "/"),
        ("GET", "/config\n"),
    ],
)
def test_all_else_is_closed(method: str, path: str) -> None:
    assert not is_open_route(method, path)


@pytest.mark.parametrize(
    "path", ["http://127.0.0.1/a.png", " HTTPS://x.org", "file:///etc/passwd", "//x.org/a", "data:,a"]
)
def test_no_address_in_place_of_a_file(path: str) -> None:
    body = {"data": [{"x": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}]}
    with pytest.raises(RefusedError, match="upload the file itself") as caught:
        checked_body(json.dumps(body).encode())
    assert caught.value.status == 400


def test_bodies_that_are_no_json() -> None:
    assert checked_body(b"") is None
    sound = {"data": [{"path": "/tmp/uploads-1/a.png", "url": "http://here/gradio_api/file=/tmp/a.png"}], "fn_index": 1}
    assert checked_body(json.dumps(sound).encode()) == sound
    for broken in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(RefusedError, match="not JSON"):
            checked_body(broken)
