"""What goes up to a Space, its settings, and the upload itself to a server that speaks as the hub does."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rag_app.cli import main
from rag_app.config import CHECKOUT, load_preset, preset_names
from rag_app.errors import InputError
from rag_app.space import INCLUDED, SpaceFile, hub_checkpoints, space_files, space_readme
from rag_app.space_app import demo_arguments, trust_the_proxy

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
TOKEN = "hf_" + "s3cret" * 5


def front_matter(readme: str) -> dict[str, str]:
    head = readme.split("---\n")[1]
    return dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with what must never go up."""
    folder = tmp_path / "checkout"
    for name in INCLUDED:
        path = folder / name
        if "." in name or name == "LICENSE":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(README if name == "README.md" else f"{name}\n", encoding="utf-8")
        else:
            (path / "__pycache__").mkdir(parents=True)
            (path / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
            (path / "part.py").write_text(f'"""Of {name}: 首都."""\n', encoding="utf-8")
            (path / ".env").write_text("SECRET", encoding="utf-8")
    (folder / "requirements-gpu.txt").write_text("torch==2.13.0\n", encoding="utf-8")
    for outside in (".env", ".git/config", "var/store.sqlite", "runs/x", "tests/t.py", "mine.toml"):
        (folder / outside).parent.mkdir(parents=True, exist_ok=True)
        (folder / outside).write_text("SECRET", encoding="utf-8")
    (folder / "ui" / "link").symlink_to(folder / ".env")
    return folder


EXPECTED = sorted(name if "." in name or name == "LICENSE" else f"{name}/part.py" for name in INCLUDED)


def test_front_matter_holds_what_is_pinned() -> None:
    settings = front_matter(README)
    pins = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    assert re.findall(r"^gradio==(\S+)$", pins, flags=re.MULTILINE) == [settings["sdk_version"]]
    assert settings["sdk"] == "gradio"
    assert (CHECKOUT / settings["app_file"]).is_file()
    assert settings["license"] == "apache-2.0"
    assert "Apache License" in (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
    assert tuple(map(int, settings["python_version"].strip('"').split("."))) >= (3, 10)
    assert len(settings["short_description"]) <= 60
    assert settings["suggested_hardware"] == "cpu-basic"
    assert space_readme(README, load_preset("embedded")).count("suggested_hardware") == 1


def test_hardware_and_downloads_follow_the_preset() -> None:
    from huggingface_hub import SpaceHardware

    known = {hardware.value for hardware in SpaceHardware}
    for name in preset_names():
        preset = load_preset(name)
        readme = space_readme(README, preset)
        settings = front_matter(readme)
        assert settings["suggested_hardware"] in known
        assert (settings["suggested_hardware"] == "cpu-basic") == (preset.gpu_gb == 0)
        assert bool(hub_checkpoints(preset)) == bool(preset.download_gb) == ("preload_from_hub:" in readme)
        assert readme.endswith(README.split("---\n", 2)[2])
    assert hub_checkpoints(load_preset("preflmr-l-blip2")) == [
        "LinWeizheDragon/PreFLMR_ViT-L",
        "Salesforce/blip2-flan-t5-xl",
    ]
    with pytest.raises(InputError, match="no front matter"):
        space_readme("# A title\n", load_preset("embedded"))


def test_only_what_is_needed_goes_up(checkout: Path) -> None:
    files = space_files(load_preset("embedded"), checkout)
    assert [file.path for file in files] == EXPECTED
    contents = {file.path: content(file) for file in files}
    assert not any(b"SECRET" in one for one in contents.values())
    assert contents["requirements.txt"].endswith(b"requirements.txt\n")
    assert b"download.pytorch.org/whl/cpu" in contents["requirements.txt"]
    assert all(file.size == len(contents[file.path]) for file in files)
    gpu = {file.path: content(file) for file in space_files(load_preset("preflmr-l-blip2"), checkout)}
    assert gpu["requirements.txt"] == b"torch==2.13.0\n"
    assert b"preload_from_hub:\n- LinWeizheDragon/PreFLMR_ViT-L\n" in gpu["README.md"]
    (checkout / "ui" / "part.py").unlink()
    (checkout / "app.py").unlink()
    with pytest.raises(InputError, match=r"app\.py is missing; push from a whole checkout"):
        space_files(load_preset("embedded"), checkout)


def content(file: SpaceFile) -> bytes:
    return file.source if isinstance(file.source, bytes) else file.source.read_bytes()


def test_a_dry_run_lists_everything_and_needs_no_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was used"))
    assert main(["space", "push", "--repo", "ann/flags", "--dry-run"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    listed = {line.split(maxsplit=1)[1]: int(line.split()[0].replace(",", "")) for line in lines}
    tracked = set(
        subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True).stdout.split("\0")
    )
    made = {"README.md", "requirements.txt"}
    assert {"app.py", "ui/app.py", "generator/checkpoints/reader-mini/model.safetensors"} | made <= set(listed)
    for path, size in listed.items():
        assert path in made or size == (CHECKOUT / path).stat().st_size
    missing = {path for path in tracked if path.split("/")[0] in INCLUDED and "/." not in path} - set(listed)
    assert [path for path in missing if (CHECKOUT / path).exists()] == []
    assert int(total.split()[0].replace(",", "")) == sum(listed.values())
    assert total.endswith(f"bytes in {len(listed):,} files")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repo", "flags"], "--repo must be user/name"),
        (["--repo", "ann/flags", "--preset", "none"], "choose one of embedded"),
        (["--repo", "ann/flags", "--preset", "remote"], "which a Space cannot reach"),
    ],
)
def test_pushes_that_make_no_sense(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["space", "push", "--dry-run", *arguments]) == 2
    assert message in capsys.readouterr().err


@dataclass
class Hub:
    """What a server that speaks as the hub does was asked."""

    address: str = ""
    refuses: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, token
    made: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        space = "/api/spaces/ann/flags"
        if self.refuses:
            return 403, {"error": "You may not write here"}
        if path == "/api/repos/create":
            self.made = json.loads(body)
            return 200, {"url": f"{self.address}/spaces/ann/flags", "name": "ann/flags", "id": "1"}
        if path == f"{space}/variables":
            given = json.loads(body)
            self.variables[given["key"]] = given["value"]
            return 200, {given["key"]: {"value": given["value"]}}
        if path == "/api/validate-yaml":  # of the README's front matter
            return 200, {"errors": [], "warnings": []}
        if path.startswith(f"{space}/preupload/"):
            wanted = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return 200, {"files": wanted}
        if path.startswith(f"{space}/tree/"):
            return 200, [
                {"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in ("old.py", ".gitattributes")
            ]
        if path.startswith(f"{space}/revision/") or path == space:
            siblings = [{"rfilename": "old.py"}, {"rfilename": ".gitattributes"}]
            return 200, {"id": "ann/flags", "sha": "0" * 40, "siblings": siblings}
        if path.startswith(f"{space}/commit/"):
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                elif entry["key"] == "deletedFile":
                    self.deleted.append(entry["value"]["path"])
            return 200, {
                "commitUrl": f"{self.address}/spaces/ann/flags/commit/1",
                "commitOid": "1" * 40,
                "hookOutput": "",
            }
        return 404, {"error": f"{method} {path}"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            path = self.path.partition("?")[0]
            hub.asked.append((self.command, path, self.headers.get("Authorization", "")))
            status, value = hub.answer(self.command, path, body)
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_HEAD = _answer

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()


PUSH = """
import sys
from pathlib import Path
from rag_app.config import load_preset
from rag_app.errors import InputError
from rag_app.space import push, space_files
preset = load_preset("embedded")
try:
    print(push(space_files(preset, Path(sys.argv[1])), "ann/flags", preset, private=True))
except InputError as error:
    sys.exit(f"error: {error}")
"""


def run_push(checkout: Path, hub: Hub, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **more}
    return subprocess.run(
        [sys.executable, "-c", PUSH, str(checkout)], cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )


def test_a_push_over_http(checkout: Path, hub: Hub, tmp_path: Path) -> None:
    run = run_push(checkout, hub, tmp_path / "home", HF_TOKEN=TOKEN)
    assert run.returncode == 0, (run.stderr, hub.asked)
    assert run.stdout.strip() == f"{hub.address}/spaces/ann/flags"
    assert (hub.made["type"], hub.made["sdk"], hub.made["visibility"]) == ("space", "gradio", "private")
    assert hub.variables == {"RAG_APP_PRESET": "embedded"}
    expected = space_files(load_preset("embedded"), checkout)
    assert hub.files == {file.path: content(file) for file in expected}
    assert hub.deleted == ["old.py"]
    assert {token for method, _, token in hub.asked if method == "POST"} == {f"Bearer {TOKEN}"}
    assert TOKEN not in run.stdout + run.stderr


def test_pushes_that_the_hub_refuses(checkout: Path, hub: Hub, tmp_path: Path) -> None:
    run = run_push(checkout, hub, tmp_path / "home")
    assert run.returncode == 1
    assert "nobody is logged in to the hub" in run.stderr
    assert hub.asked == []
    hub.refuses = True
    run = run_push(checkout, hub, tmp_path / "home", HF_TOKEN=TOKEN)
    assert run.returncode == 1
    assert "ann/flags was not pushed" in run.stderr
    assert "Traceback" not in run.stderr
    assert TOKEN not in run.stdout + run.stderr


def test_arguments_from_the_environment_of_a_space() -> None:
    assert demo_arguments({}) == ["demo", "--host", "127.0.0.1", "--port", "7860", "--preset", "embedded"]
    space = {"SPACE_ID": "ann/flags", "RAG_APP_PRESET": "preflmr-l-blip2", "RAG_APP_KB": "notes"}
    told = demo_arguments({**space, "GRADIO_SERVER_NAME": "10.0.0.5", "GRADIO_SERVER_PORT": "80"})
    assert told == [
        *["demo", "--host", "10.0.0.5", "--port", "80", "--preset", "preflmr-l-blip2", "--kb", "notes", "--public"]
    ]
    assert demo_arguments({"SPACE_ID": "ann/flags"})[2] == "0.0.0.0"


def test_only_a_space_trusts_proxies_of_itself() -> None:
    environment: dict[str, str] = {}
    trust_the_proxy(environment)
    assert environment == {}
    environment["SPACE_ID"] = "ann/flags"
    trust_the_proxy(environment)
    assert "10.0.0.0/8" in environment["FORWARDED_ALLOW_IPS"]
    environment["FORWARDED_ALLOW_IPS"] = "192.0.2.1"
    trust_the_proxy(environment)
    assert environment["FORWARDED_ALLOW_IPS"] == "192.0.2.1"
