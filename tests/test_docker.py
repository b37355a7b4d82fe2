"""What the Dockerfile names exists, and its commands are commands; there is no docker here to run it."""

from __future__ import annotations

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

from rag_app.cli import main

ROOT = Path(__file__).resolve().parent.parent
STEPS = [
    line.split(maxsplit=1)
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
COPIED = [path for name, rest in STEPS if name == "COPY" for path in rest.split()[:-1]]
OURS = "-m rag_app "


def commands() -> list[list[str]]:
    """Arguments of each command of the application that the Dockerfile runs."""
    found = [shlex.split(rest.split(OURS)[1]) for name, rest in STEPS if name == "RUN" and OURS in rest]
    (started,) = (json.loads(rest) for name, rest in STEPS if name == "CMD")
    assert started[:3] == ["python", "-m", "rag_app"]
    return [*found, started[3:]]


def test_what_is_copied_exists_and_is_all_that_the_application_imports() -> None:
    assert COPIED
    assert [path for path in COPIED if not (ROOT / path).exists()] == []
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"knowledge_bases", "retriever", "generator"}
    assert packages - {"tests", "benchmarks"} <= set(COPIED)


def test_its_commands_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert [arguments[0] for arguments in commands()] == ["kb", "demo"]
    for arguments in commands():
        assert main([*arguments, "--help"]) == 0, arguments
    started = commands()[-1]
    assert "--public" in started
    assert started[started.index("--host") + 1] == "0.0.0.0"
    assert main([*started, "--preset", "none"], serve=lambda *_: None) == 2  # the arguments are understood
    assert "unknown preset 'none'" in capsys.readouterr().err


def test_it_runs_without_rights_and_listens_where_it_says() -> None:
    names = [name for name, _ in STEPS]
    (user,) = (rest for name, rest in STEPS if name == "USER")
    assert user != "root"
    assert any(name == "RUN" and rest.startswith("useradd") and rest.endswith(user) for name, rest in STEPS)
    assert names.index("USER") > max(number for number, name in enumerate(names) if name == "COPY")
    assert ["EXPOSE", "7860"] in STEPS
    (check,) = (rest for name, rest in STEPS if name == "HEALTHCHECK")
    program = json.loads(check.partition("CMD ")[2])[-1]
    compile(program, "HEALTHCHECK", "exec")
    assert "127.0.0.1:7860" in program


def test_the_python_version_is_that_of_the_space() -> None:
    (version,) = re.findall(r"^FROM python:([\d.]+)-slim$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert f'python_version: "{version}"' in (ROOT / "README.md").read_text(encoding="utf-8")


def test_only_what_is_copied_reaches_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    def sent(path: str) -> bool:
        """The last line that matches decides; a line also stands for what lies below it."""
        kept = True
        for line in lines:
            pattern = line.removeprefix("!").removeprefix("**/")
            anywhere = line.startswith("**/")
            parts = path.split("/")
            places = parts if anywhere else ["/".join(parts[: n + 1]) for n in range(len(parts))]
            if any(fnmatch(place, pattern) for place in places):
                kept = line.startswith("!")
        return kept

    assert all(sent(path) for path in COPIED)
    assert sent("rag_app/presets/embedded.toml")
    assert sent("retriever/checkpoints/preflmr-mini/model.safetensors")
    for path in (".git/config", ".venv/bin/python", "var/stores/a.sqlite", "runs/x", "tests/tiny.py", "rag_app/.env"):
        assert not sent(path), path
    assert not sent("ui/__pycache__/app.cpython-311.pyc")
