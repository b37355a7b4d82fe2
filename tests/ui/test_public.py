"""The page for everybody, over HTTP: limits, what is refused, what is never read, fetched or shown."""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from rag_app.assembly import Application
from rag_app.config import CHECKOUT
from rag_app.serving import PageSettings, Rate, public_page
from tests.ports import free_port
from tests.rag_app.test_pictures import huge_png
from tests.tiny import save_picture

QUESTION = "what is the capital?"
PATIENCE = 300  # seconds


@dataclass(frozen=True)
class Page:
    """A page that is served, and its folder of uploads."""

    port: int
    uploads: Path

    def send(
        self, method: str, path: str, body: bytes | None = None, *, visitor: str = "127.0.0.1", **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """One request from an address of this machine: status, headers with small letters, text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE, source_address=(visitor, 0))
        with closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            text = response.read().decode("utf-8", errors="replace")
            return response.status, {name.lower(): value for name, value in response.getheaders()}, text

    def post(self, path: str, value: object, **more: str) -> tuple[int, dict[str, str], str]:
        """One request with JSON."""
        return self.send("POST", path, json.dumps(value).encode(), **{"Content_Type": "application/json", **more})

    def ask(self, *, visitor: str = "127.0.0.1", picture: str | None = None, wait: bool = True) -> tuple[int, str]:
        """Asks, and waits for the answer: the status, and the answer's event or the reason of the refusal."""
        given = {"path": picture, "meta": {"_type": "gradio.FileData"}} if picture else None
        status, _, text = self.post(
            "/gradio_api/call/v2/ask", {"picture": given, "question": QUESTION}, visitor=visitor
        )
        if status != 200 or not wait:
            return status, text
        event = json.loads(text)["event_id"]
        status, _, text = self.send("GET", f"/gradio_api/call/ask/{event}", visitor=visitor)
        return status, text

    def upload(self, file: Path, *, name: str | None = None, visitor: str = "127.0.0.1") -> tuple[int, str]:
        """Uploads a file: the status, and its path on the server or the reason of the refusal."""
        head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name or file.name}"\r\n'
        body = head.encode() + b"Content-Type: image/png\r\n\r\n" + file.read_bytes() + b"\r\n--b--\r\n"
        status, _, text = self.send(
            "POST", "/gradio_api/upload", body, visitor=visitor, Content_Type="multipart/form-data; boundary=b"
        )
        return status, json.loads(text)[0] if status == 200 else text


@contextmanager
def served(application: Application, settings: PageSettings) -> Iterator[Page]:
    from ui.app import serve

    before = os.environ.get("GRADIO_TEMP_DIR")
    port = free_port()
    page = serve(application, settings=settings, host="127.0.0.1", port=port, wait=False)
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    try:
        yield Page(port, uploads)
    finally:
        page.close()
        shutil.rmtree(uploads)
        os.environ.pop("GRADIO_TEMP_DIR")
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


EXAMPLE = CHECKOUT / "knowledge_bases" / "world_flags" / "examples" / "jp-waving.png"
PLENTY = Rate(burst=1000, per_minute=1000)


def knowing(application: Application, **changed: Any) -> Application:  # noqa: ANN401 - attributes of any type
    """The application with something else about its knowledge base."""
    return replace(application, knowledge=tuple(replace(one, **changed) for one in application.knowledge))


@pytest.fixture(scope="module")
def page(application: Application) -> Iterator[Page]:
    """With the limits of the real page but for the rates, so that tests do not wait for each other."""
    settings = replace(public_page(), questions=PLENTY, uploads=PLENTY, max_upload_bytes=200_000, max_pixels=1_000_000)
    with served(knowing(application, examples=((EXAMPLE, QUESTION),)), settings) as page:
        yield page


def test_a_picture_is_asked_about(page: Page, tmp_path: Path) -> None:
    status, path = page.upload(save_picture(tmp_path / "red.png"))
    assert status == 200
    assert page.uploads in Path(path).parents
    assert page.uploads.stat().st_mode & 0o077 == 0
    status, text = page.ask(picture=path)
    assert status == 200
    assert text.startswith("event: complete")
    assert len(json.loads(text.split("data: ", 1)[1])[0]["passages"]) == 3
    status, headers, _ = page.send("GET", f"/gradio_api/file={path}")
    assert (status, headers["x-content-type-options"]) == (200, "nosniff")


def test_what_the_page_does_not_need_is_not_there(page: Page) -> None:
    for path in ("/monitoring", "/gradio_api/proxy=https://x.hf.space/", "/gradio_api/vibe-code/", "/gradio_api/runs"):
        assert page.send("GET", path)[0] == 404, path
    for path in ("/gradio_api/component_server", "/gradio_api/vibe-code/", "/gradio_api/mcp/sse"):
        assert page.post(path, {})[0] == 404, path
    for path in ("call/gone", "call/v2/gone", "run/gone", "api/gone", "call/ask/gone"):
        assert page.post(f"/gradio_api/{path}", {"data": []})[0] == 404, path
    for number in (99_999, "99999", -1, None, "x", [1], True):
        join = {"data": [], "fn_index": number, "session_hash": "abc"}
        assert page.post("/gradio_api/queue/join", join)[0] == 404, number
    assert page.post("/gradio_api/run/ask", {"data": [], "fn_index": 99_999})[0] == 404
    config = json.loads(page.send("GET", "/config")[2])
    assert not config["analytics_enabled"]
    assert not config.get("mcp_server")
    assert all(one["api_visibility"] == "private" or one["queue"] for one in config["dependencies"])


def test_nothing_outside_the_uploads_is_read(page: Page, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_text("the secret", encoding="utf-8")
    inside = (
        f"{page.uploads}/../{tmp_path.relative_to(page.uploads.parent)}/secret.png"
        if (page.uploads.parent in tmp_path.parents)
        else str(secret)
    )
    for path in (secret, inside, "/etc/passwd", CHECKOUT / "README.md", "README.md", "app.py", "/proc/self/environ"):
        status, _, text = page.send("GET", f"/gradio_api/file={path}")
        assert status in {403, 404}, path
        assert "secret" not in text.replace(str(path), "")
        status, text = page.ask(picture=str(path))
        assert status == 200
        assert text.startswith("event: error"), (path, text)
        assert "root:" not in text


def test_no_address_is_fetched(page: Page) -> None:
    visits = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visits.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{other.server_port}/a.png"
        status, text = page.ask(picture=address)
        assert (status, json.loads(text)["detail"]) == (
            400,
            "files are not fetched from addresses; upload the file itself",
        )
        assert page.send("GET", f"/gradio_api/file={address}")[0] == 404
        other.shutdown()
    assert visits == []


def test_files_are_known_by_their_content(page: Page, tmp_path: Path, broken_picture: Path) -> None:
    (tmp_path / "page.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    (tmp_path / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>', encoding="utf-8")
    for file in (broken_picture, tmp_path / "page.png", tmp_path / "drawing.png"):
        status, path = page.upload(file)
        assert status == 200
        status, text = page.ask(picture=path)
        assert text.startswith("event: error")
        assert "The file is not a picture that can be read; give a PNG, JPEG, WebP or GIF file." in text
        assert not Path(path).exists()
    status, path = page.upload(save_picture(tmp_path / "fine.png"), name="no-picture.txt")
    assert page.ask(picture=path)[1].startswith("event: complete")


def test_large_files_and_pictures_are_refused(page: Page, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(os.urandom(200_001))
    assert page.upload(tmp_path / "large.png")[0] == 413
    (tmp_path / "larger.png").write_bytes(os.urandom(2_000_000))
    status, text = page.upload(tmp_path / "larger.png")
    assert (status, "send a smaller file" in text) == (413, True)
    _, path = page.upload(huge_png(tmp_path / "huge.png", 1001))
    text = page.ask(picture=path)[1]
    assert "The file is 1001 x 1001 pixels; at most 1,000,000 pixels are read. Make it smaller." in text
    status, _, text = page.post("/gradio_api/call/v2/ask", {"picture": None, "question": "a" * 300_000})
    assert (status, json.loads(text)["detail"]) == (413, "this request is too long; at most 256 KB are read")


def test_names_and_passages_are_no_html(application: Application, page: Page, tmp_path: Path) -> None:
    from ui.app import build_app

    name = "<img src=x onerror=alert(1)>.png"
    status, path = page.upload(save_picture(tmp_path / "red.png"), name=name)
    assert status == 200
    assert "<" not in path
    hostile = knowing(application, title="<script>alert(1)</script>", examples=())
    values = json.dumps(
        [block.get_config() for block in build_app(hostile, public_page()).blocks.values()], default=str
    )
    assert "&lt;script&gt;alert(1)" in values
    assert "<script>alert(1)" not in values


def test_a_visitor_is_told_how_long_to_wait(application: Application) -> None:
    settings = replace(public_page(), questions=Rate(burst=3, per_minute=2), uploads=Rate(burst=1, per_minute=1))
    with served(application, settings) as page:
        assert [page.ask()[0] for _ in range(3)] == [200] * 3
        status, headers, text = page.post("/gradio_api/call/v2/ask", {"picture": None, "question": QUESTION})
        assert status == 429
        assert 1 <= int(headers["retry-after"]) <= 30
        assert "You have sent many questions in a short time. Wait" in json.loads(text)["detail"]
        join = {"data": [], "fn_index": "0", "session_hash": "abc"}  # a number that only looks like none
        assert page.post("/gradio_api/queue/join", join)[0] == 429
        assert page.ask(visitor="127.0.0.2")[0] == 200
        flag = application.examples[0][0]
        assert page.upload(flag)[0] == 200
        status, text = page.upload(flag)
        assert (status, "many uploads" in text) == (429, True)


def asked_by(page: Page, forwarded: str, visitor: str = "127.0.0.1") -> int:
    """The status of a question with this X-Forwarded-For."""
    body = {"picture": None, "question": QUESTION}
    return page.post("/gradio_api/call/v2/ask", body, visitor=visitor, X_Forwarded_For=forwarded)[0]


def test_nobody_is_another_visitor_by_saying_so(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # the page's settings have the last word
    once = replace(public_page(), questions=Rate(burst=1, per_minute=1))
    with served(application, once) as page:
        assert [asked_by(page, f"192.0.2.{number}") for number in range(3)] == [200, 429, 429]
        assert page.ask(visitor="127.0.0.2")[0] == 200
    with served(application, replace(once, proxies=("127.0.0.1", "127.0.9.0/24"))) as page:
        assert [asked_by(page, f"192.0.2.{number}") for number in range(3)] == [200] * 3
        # a visitor of the proxy who sends the header himself: the proxy adds the address that it sees
        assert [asked_by(page, f"198.51.100.{number}, 203.0.113.7") for number in range(3)] == [200, 429, 429]
        assert asked_by(page, "198.51.100.1, 203.0.113.8, 127.0.9.1") == 200
        assert asked_by(page, "198.51.100.2, 203.0.113.8, 127.0.9.1") == 429
        # one who does not come through the proxy
        assert [asked_by(page, f"192.0.2.{number}", "127.0.0.3") for number in range(2)] == [200, 429]


def test_the_files_of_the_page_are_not_counted(application: Application) -> None:
    """A browser loads a hundred of them at once."""
    with served(application, replace(public_page(), requests=Rate(burst=4, per_minute=1))) as page:
        assert [page.send("GET", "/static/img/api-logo.svg")[0] for _ in range(20)] == [200] * 20
        statuses = [page.send("GET", "/config", visitor="127.0.0.3")[0] for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2


def test_uploads_are_deleted(application: Application, tmp_path: Path) -> None:
    picture = save_picture(tmp_path / "green.png", "green")  # copies of the examples are kept
    settings = replace(public_page(), cache_seconds=(1, 1), max_stored_bytes=10_050_000)
    with served(application, settings) as page:
        page.send("GET", "/")
        _, path = page.upload(picture)
        assert Path(path).exists()
        deadline = time.monotonic() + PATIENCE
        while Path(path).exists():
            assert time.monotonic() < deadline, "the upload is still there"
            time.sleep(0.2)
        broken_off = page.uploads / "tmp1234"  # as gradio leaves an upload that was broken off
        broken_off.write_bytes(b"0" * 60_000)
        status, text = page.upload(picture)
        assert (status, "no room for more pictures" in text) == (503, True)
        os.utime(broken_off, (0, 0))
        assert page.upload(picture)[0] == 200
        assert not broken_off.exists()


def test_logging_in(application: Application) -> None:
    settings = replace(public_page((("ann", "hunter2"),)), logins=Rate(burst=3, per_minute=1))
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    with served(application, settings) as page:
        assert page.send("GET", "/config")[0] == 401
        assert page.ask()[0] == 401
        assert "hunter2" not in page.send("GET", "/")[2]
        assert page.send("POST", "/login", b"username=ann&password=wrong", **form)[0] == 400
        status, headers, _ = page.send("POST", "/login", b"username=ann&password=hunter2", **form)
        assert status == 200
        assert page.send("GET", "/config", Cookie=headers["set-cookie"].split(";")[0])[0] in {200, 401}
        assert page.send("POST", "/login", b"username=ann&password=wrong", **form)[0] == 400
        status, _, text = page.send("POST", "/login", b"username=ann&password=hunter2", **form)
        assert (status, "many tries to log in" in text) == (429, True)


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_fifty_visitors_at_once(application: Application) -> None:
    """Everybody is answered or told that the queue is full; memory stays what it was."""
    settings = replace(public_page(), max_waiting=20)
    with served(application, settings) as page, ThreadPoolExecutor(50) as visitors:
        page.ask()
        before, peak = resident_bytes(), [0]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                peak[0] = max(peak[0], resident_bytes())

        watching = threading.Thread(target=watch)
        watching.start()
        addresses = [f"127.0.1.{number}" for number in range(1, 51)]
        replies = list(visitors.map(lambda address: page.ask(visitor=address), addresses))
        done.set()
        watching.join()
        statuses = Counter(status for status, _ in replies)
        assert set(statuses) <= {200, 503}
        assert statuses[200] >= settings.max_waiting
        assert all(text.split("event: ")[-1].startswith("complete") for status, text in replies if status == 200)
        assert all("Queue is full" in json.loads(text)["detail"] for status, text in replies if status == 503)
        assert peak[0] - before < 300e6
        assert page.ask(visitor="127.0.1.1")[0] == 200


def joined(page: Page, session: str, event: int, data: list[Any]) -> str:
    """What an event of the page gives a visitor: everything that comes until it is done."""
    body = {"data": data, "fn_index": event, "session_hash": session}
    assert page.post("/gradio_api/queue/join", body)[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        response = connection.getresponse()
        text = ""
        while "close_stream" not in text:
            line = response.readline().decode()
            assert line, text
            text += line
        return text


def test_one_visitor_does_not_see_anothers_questions(page: Page) -> None:
    config = json.loads(page.send("GET", "/config")[2])
    parts = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    events = {event["id"]: event for event in config["dependencies"]}
    clicked = [one for one, event in events.items() if "ask" in [parts.get(part) for part, _ in event["targets"]]]
    (ask,) = (one for one in clicked if "answer" in [parts.get(part) for part in events[one]["outputs"]])
    (refresh,) = (
        one for one, event in events.items() if event["trigger_after"] == ask and not event["trigger_only_on_failure"]
    )
    assert "capital" in joined(page, "first", ask, [None, QUESTION, "", 3])
    blank = [None] * len(events[refresh]["inputs"])
    own, others = (joined(page, session, refresh, blank) for session in ("first", "second"))
    assert QUESTION in own
    assert '"success":true' in others
    assert QUESTION not in others
    assert "The capital of the red land" not in others


def test_examples_of_the_checkout_can_be_tried(page: Page) -> None:
    """They are copies: the checkout itself cannot be read."""
    config = json.loads(page.send("GET", "/config")[2])
    (examples,) = (part["id"] for part in config["components"] if part["type"] == "dataset")
    (event,) = (event for event in config["dependencies"] if examples in [part for part, _ in event["targets"]])
    lines = joined(page, "third", event["id"], [0]).splitlines()
    (completed,) = (json.loads(line.removeprefix("data: ")) for line in lines if "process_completed" in line)
    path = completed["output"]["data"][0]["value"]["path"]
    assert page.uploads in Path(path).parents
    assert page.send("GET", f"/gradio_api/file={path}")[0] == 200
    assert page.send("GET", f"/gradio_api/file={EXAMPLE}")[0] == 403
    assert page.ask(picture=path)[1].startswith("event: complete")


def test_visitors_see_no_other_knowledge_base(
    application: Application, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its name nor a way to change one; not even where it lies."""
    from knowledge_bases.store import PassageStore

    own = application.var / "knowledge_bases" / "diary.sqlite"
    own.parent.mkdir(parents=True, exist_ok=True)
    PassageStore.open(own, create=True)
    shown = "".join(page.send("GET", path)[2] for path in ("/", "/config", "/gradio_api/info"))
    assert "diary" not in shown
    assert str(application.var) not in shown
    named = json.loads(page.send("GET", "/gradio_api/info")[2])["named_endpoints"]
    assert set(named) == {"/ask", "/explain", "/entities", "/correct", "/answer_without_passages"}


def test_no_refusal_tells_a_path_of_the_server(application: Application, page: Page, broken_picture: Path) -> None:
    """Whatever is wrong with what a stranger gives; a passage that there is not is named with advice."""
    good: dict[str, Any] = {"question": QUESTION, "instruction": "", "k": 3, "passage_id": "c1", "entity": "nope"}
    broken = {"path": page.upload(broken_picture)[1], "meta": {"_type": "gradio.FileData"}}
    wrong: list[dict[str, Any]] = [{"passage_id": "nope"}, {"passage_id": "a/b"}, {"passage_id": ""}, {"k": 99}]
    wrong += [{"question": " "}, {"picture": broken}, {"picture": "a.png"}, {"k": 0}, {"k": "abc"}]
    wrong += [{"instruction": "find " * 50}, {"instruction": "a" * 400}]
    named = json.loads(page.send("GET", "/gradio_api/info")[2])["named_endpoints"]
    told = Counter[str]()
    for name, endpoint in named.items():
        taken = {one["parameter_name"] for one in endpoint["parameters"]}
        for changed in wrong:
            given = {"picture": None, **good, **changed}
            _, _, text = page.post(f"/gradio_api/call/v2{name}", {key: given[key] for key in taken})
            event = json.loads(text).get("event_id")
            text = page.send("GET", f"/gradio_api/call{name}/{event}")[2] if event else text
            told[name] += text.startswith("event: error")
            assert str(application.var) not in text
            assert "/stores/" not in text
            if name == "/explain" and "passage_id" in changed:
                assert f"There is no passage {changed['passage_id']!r}; take one that ask gave." in text
    assert min(told.values()) >= 3


def test_models_ask_for_a_gpu_where_spaces_is_installed(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ui.app import build_app

    text = """
from functools import wraps
asked = []
def GPU(*, duration):
    def decorate(function):
        asked.append((function, duration))
        return wraps(function)(lambda *given: function(*given))
    return decorate
"""
    (tmp_path / "spaces.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "ann/flags")
    plain = build_app(application)
    monkeypatch.syspath_prepend(str(tmp_path))
    decorated = build_app(application)
    assert (plain.space_id, decorated.space_id) == (None, "ann/flags")
    import spaces  # type: ignore[import-not-found]

    models = [event for event in decorated.fns.values() if event.concurrency_id == "models"]
    assert len(models) >= 2
    assert len(spaces.asked) == len(models)
    assert all(getattr(event.fn, "__wrapped__", None) in [function for function, _ in spaces.asked] for event in models)
    assert not any(hasattr(event.fn, "__wrapped__") for event in plain.fns.values() if event.concurrency_id == "models")
