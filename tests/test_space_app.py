"""app.py as a Space runs it: another user, files that cannot be written, only the home and temporary folders can."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rag_app.space import INCLUDED
from tests.chromium import opened_page
from tests.ports import free_port
from tests.tiny import save_passages, save_picture, save_preset, save_reader, tiny_preset

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534
PATIENCE = 900  # seconds


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the page shows of an answer."""

    answer: str
    passages: list[str]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What goes up to a Space, where nothing can be written; outside pytest's folders, which others cannot enter."""
    folder = Path("/tmp") / f"space-{os.getpid()}"
    folder.mkdir()
    left_out = shutil.ignore_patterns("__pycache__", ".*")
    for name in INCLUDED:
        source, copy = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=left_out, copy_function=linked)  # weights are not copied
        else:
            shutil.copyfile(source, copy)
    change_rights(folder, writable=False)
    yield folder
    change_rights(folder, writable=True)
    shutil.rmtree(folder)


def linked(source: str, copy: str) -> None:
    """The same file under another name, where the file system can."""
    try:
        os.link(source, copy)
    except OSError:
        shutil.copyfile(source, copy)


def change_rights(folder: Path, *, writable: bool) -> None:
    """Of folders alone: files of the checkout are links to those of this one."""
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        path.chmod(0o755 if writable else 0o555)


@contextmanager
def space(python: Path, checkout: Path, home: Path, **more: str) -> Iterator[tuple[str, Path]]:
    """app.py with the environment of a Space: its address and what it has printed so far."""
    temporary = home / "tmp"
    temporary.mkdir(parents=True)
    port = free_port()
    environment = {
        **{"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"},
        **{"HOME": str(home), "TMPDIR": str(temporary), "SYSTEM": "spaces", "SPACE_ID": "ann/flags"},
        **{"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1", **more},
    }
    log = home / "log"
    with log.open("w") as output:
        command = [*as_nobody(home), str(python), "app.py"]
        server = subprocess.Popen(command, cwd=checkout, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE
        while not is_up(address):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield address, log
    finally:
        server.terminate()
        server.wait(60)


def as_nobody(home: Path) -> list[str]:
    """Gives a folder to a user without rights, who may read everything (Python may lie in root's home) and write
    nothing else; without root, this user is as good, since the files are read-only."""
    if os.geteuid() != 0:
        return []
    for path in [home, *home.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *reading]


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/config", timeout=10):
            return True
    except OSError:
        return False


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path("/tmp") / f"home-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def asked(address: str, picture: Path, question: str) -> dict[str, object]:
    from gradio_client import Client, handle_file  # type: ignore[import-untyped]

    client = Client(address, verbose=False)
    answer: dict[str, object] = client.predict(handle_file(str(picture)), question, api_name="/ask")
    return answer


def asked_on_the_page(address: str, picture: Path, question: str, shown: Path, profile: Path) -> Seen:
    """Asks as a visitor does, in a real Chromium, and gives what the page then says: the answer, and the passages."""
    from playwright.sync_api import expect

    with opened_page(address, profile, shown) as page:
        page.goto(address)
        page.locator("#picture input[type=file]").first.set_input_files(picture)
        expect(page.locator("#picture img")).to_be_visible(timeout=PATIENCE * 1000)
        page.locator("#question textarea").fill(question)
        page.locator("#ask").click()
        answer = page.locator("#answer [data-state=answered], #answer [data-state=abstained]")
        expect(answer).to_be_visible(timeout=PATIENCE * 1000)
        return Seen(answer=answer.inner_text(), passages=page.locator("#passages .passage").all_inner_texts())


def refused(log: Path) -> list[str]:
    """Lines that say that something could not be written."""
    words = ("PermissionError", "Permission denied", "Read-only file system", "cannot be written")
    return [line for line in log.read_text().splitlines() if any(word in line for word in words)]


def written(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.name == "__pycache__" or path.suffix in {".pyi", ".pyc"}]


def test_a_space_with_tiny_checkpoints(checkout: Path, home: Path) -> None:
    preset = tiny_preset(save_reader(home / "reader"), save_passages(home / "passages.jsonl"))
    file = save_preset(home / "tiny.toml", preset)
    flag = checkout / "knowledge_bases" / "world_flags" / "examples" / "jp-waving.png"
    with space(Path(sys.executable), checkout, home, RAG_APP_PRESET=str(file)) as (address, log):
        answer = asked(address, flag, "what is the capital?")
        assert answer["preset"] == "tiny"
        assert len(answer["passages"]) == 3  # type: ignore[arg-type]
        with pytest.raises(OSError, match="404"):
            urllib.request.urlopen(f"{address}/monitoring")
    assert not refused(log)
    assert list((home / ".cache" / "ask-about-a-picture" / "indexes").iterdir())
    assert written(checkout) == []


@pytest.mark.browser
def test_a_question_through_the_page_of_a_space(checkout: Path, home: Path, tmp_path: Path, screenshots: Path) -> None:
    preset = tiny_preset(save_reader(home / "reader"), save_passages(home / "passages.jsonl"))
    file = save_preset(home / "tiny.toml", preset)
    picture = save_picture(tmp_path / "red.png")
    with space(Path(sys.executable), checkout, home, RAG_APP_PRESET=str(file)) as (address, log):
        shown = screenshots / "test_space_app-tiny.png"
        seen = asked_on_the_page(address, picture, "what is the capital?", shown, tmp_path / "profile")
        assert "% sure" in seen.answer
        assert len(seen.passages) == 3
    assert not refused(log)
    assert written(checkout) == []


def test_a_preset_that_there_is_not(checkout: Path) -> None:
    environment = {**os.environ, "SPACE_ID": "ann/flags", "RAG_APP_PRESET": "none", "GRADIO_SERVER_PORT": "17862"}
    run = subprocess.run([sys.executable, "app.py"], cwd=checkout, env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert "unknown preset 'none'; choose one of embedded" in run.stderr.splitlines()[-1]


@pytest.mark.space
def test_a_space_from_its_requirements_alone(
    checkout: Path, home: Path, tmp_path_factory: pytest.TempPathFactory, screenshots: Path
) -> None:
    """A new environment with requirements.txt and nothing else, the embedded checkpoints, World Flags; asked through
    the page and over HTTP."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(checkout / "requirements.txt")], check=True)
    subprocess.run([str(python), "-m", "pip", "check"], check=True)
    flag = checkout / "knowledge_bases" / "world_flags" / "examples" / "jp-waving.png"
    with space(python, checkout, home) as (address, log):
        answer = asked(address, flag, "What is the capital of this country?")
        assert "Tokyo" in json.dumps(answer)
        assert answer["knowledge_base"] == "world_flags"
        question, shown = "Which currency do people pay with here?", screenshots / "test_space_app-embedded.png"
        seen = asked_on_the_page(address, flag, question, shown, tmp_path_factory.mktemp("profile"))
        assert "yen" in seen.answer.lower()
        assert any("Japan" in passage for passage in seen.passages)
    assert not refused(log)
    assert written(checkout) == []
