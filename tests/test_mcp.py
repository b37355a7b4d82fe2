"""`demo --mcp` as an agent meets it: a process that serves tools, and the protocol's requests over HTTP."""

from __future__ import annotations

import base64
import json
import os
import site
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag_app.serving import MCP_INSTALL
from tests.ports import free_port
from tests.tiny import PASSAGES, save_passages, save_picture, save_preset, save_reader, tiny_preset

pytestmark = pytest.mark.mcp

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300  # seconds
VERSION = "2025-06-18"  # of the protocol


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the package mcp: this one, or a new environment that has all of this one's packages as well."""
    if find_spec("mcp") is not None:
        return Path(sys.executable)
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    own = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True
    )
    (Path(own.stdout.strip()) / "others.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    package = MCP_INSTALL.split("'")[1]
    install = [str(python), "-m", "pip", "install", "-q", "--constraint", str(ROOT / "requirements.txt"), package]
    subprocess.run(install, check=True)
    return python


@pytest.fixture(scope="module")
def address(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page with its tools, served by a process of its own on a free port."""
    folder = tmp_path_factory.mktemp("served")
    preset = tiny_preset(save_reader(folder / "reader"), save_passages(folder / "passages.jsonl"))
    file = save_preset(folder / "tiny.toml", preset)
    port = free_port()
    command = [str(python), "-m", "rag_app", "demo", "--mcp", "--port", str(port), "--preset", str(file)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "uploads"), "OMP_NUM_THREADS": "1"}
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--var", str(folder / "var")], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        where, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
        while not is_up(where):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield where
    finally:
        server.terminate()
        server.wait(60)


def is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/config", timeout=10).is_success
    except httpx.TransportError:
        return False


class Agent:
    """Speaks the Model Context Protocol by its streamable HTTP."""

    def __init__(self, address: str) -> None:
        self._address = f"{address}/gradio_api/mcp/"
        self._headers = {"Accept": "application/json, text/event-stream"}
        said = self.ask(
            "initialize",
            {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "a test", "version": "1"}},
        )
        self.server = said["serverInfo"]["name"]
        self._headers["MCP-Protocol-Version"] = said["protocolVersion"]
        self._send({"method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, object]) -> dict[str, Any]:
        """The result of a request."""
        response = self._send({"id": 1, "method": method, "params": params})
        (message,) = [one for one in messages(response) if one.get("id") == 1]
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def call(self, tool: str, **arguments: object) -> tuple[str, bool]:
        """What a tool gives, as text, and whether that says what is wrong."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        (content,) = result["content"]
        return content["text"], result["isError"]

    def _send(self, message: dict[str, object]) -> httpx.Response:
        body = {"jsonrpc": "2.0", **message}
        response = httpx.post(self._address, json=body, headers=self._headers, timeout=PATIENCE, follow_redirects=True)
        assert response.is_success, response.text
        if session := response.headers.get("Mcp-Session-Id"):
            self._headers["Mcp-Session-Id"] = session
        return response


def messages(response: httpx.Response) -> list[dict[str, Any]]:
    """Of an answer in JSON, or of a stream of events."""
    if "text/event-stream" not in response.headers.get("Content-Type", ""):
        return [response.json()]
    return [json.loads(line.removeprefix("data:")) for line in response.text.splitlines() if line.startswith("data:")]


@pytest.fixture(scope="module")
def agent(address: str) -> Agent:
    return Agent(address)


def given(called: tuple[str, bool]) -> dict[str, Any]:
    """The value that a tool gave, in JSON."""
    text, wrong = called
    assert not wrong, text
    value: dict[str, Any] = json.loads(text)
    return value


def as_data(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def test_the_endpoints_are_tools_that_say_what_they_do(agent: Agent) -> None:
    assert agent.server == "Ask about a picture"
    tools = {one["name"].removeprefix("Ask_about_a_picture_"): one for one in agent.ask("tools/list", {})["tools"]}
    assert {"ask", "explain", "entities", "correct", "kb_search", "kb_import", "compare_evaluations"} <= set(tools)
    ask = tools["ask"]
    assert "Answers a question about a picture from the knowledge base" in ask["description"]
    assert set(ask["inputSchema"]["properties"]) == {"picture", "question", "instruction", "k"}
    assert ask["inputSchema"]["properties"]["k"]["description"].startswith("passages to find and read")
    assert all(one.get("description") for one in tools.values())


def test_a_question_about_a_picture_is_answered(agent: Agent, tmp_path: Path) -> None:
    picture = as_data(save_picture(tmp_path / "red.png"))
    answer = given(agent.call("ask", picture=picture, question="what is the capital?", k=2))
    assert (answer["preset"], answer["knowledge_base"]) == ("tiny", "passages")
    assert len(answer["passages"]) == 2
    assert {one["passage_id"] for one in answer["passages"]} <= {one["passage_id"] for one in PASSAGES}
    assert 0 <= answer["confidence"] <= 1
    assert [one["passage_id"] for one in answer["candidates"]] == [one["passage_id"] for one in answer["passages"]]
    names = given(agent.call("entities", question="what is the capital?"))["entities"]
    again = given(agent.call("correct", question="what is the capital?", k=5, entity=names[1]))
    assert again["recognised"] == names[1]


def test_results_keep_their_letters_and_files_are_addresses(agent: Agent) -> None:
    text = "It’s “São Tomé”, \\ and 'so'."
    given(agent.call("kb_add", name="mine", passage_id="one", title="", text=text, source=""))
    shown = given(agent.call("kb_show", name="mine", passage_id="one"))
    assert (shown["text"], shown["has_picture"]) == (text, False)
    address, wrong = agent.call("kb_export", name="mine", kind="jsonl")
    assert not wrong
    assert json.loads(httpx.get(address).text)["text"] == text


def test_what_cannot_be_asked_is_said(agent: Agent) -> None:
    said, wrong = agent.call("ask", question=" ")
    assert wrong
    assert "The question is empty" in said
