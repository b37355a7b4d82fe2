from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
import torch

from rag_app.assembly import Application, open_application
from rag_app.knowledge import find_knowledge
from tests.chromium import opened_page
from tests.ports import free_port
from tests.tiny import save_passages, save_picture, save_reader, tiny_preset

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The server opens files with it, and anyio imports that part when it is first used: deep in a request, where pytest's
# rewriting of the module now and then ends in "AST constructor recursion depth mismatch" (CPython 3.11). So it is here.
assert callable(anyio.open_file)


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    """Tiny checkpoints over the small world, with two examples."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ui")
    preset = tiny_preset(save_reader(folder / "reader"), save_passages(folder / "passages.jsonl"))
    examples = tuple(
        (save_picture(folder / f"{colour}.png", colour), "what is the capital?") for colour in ("red", "blue")
    )
    knowledge = replace(find_knowledge(preset.knowledge_base, folder / "var"), examples=examples)
    return open_application(preset, knowledge, var=folder / "var")


@pytest.fixture(scope="session")
def address(application: Application) -> Iterator[str]:
    """The page, served on a free port until the tests end."""
    from ui.app import serve

    port = free_port()
    page = serve(application, host="127.0.0.1", port=port, wait=False)
    yield f"http://127.0.0.1:{port}"
    page.close()


@pytest.fixture(scope="session")
def broken_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file with a picture's name."""
    path = tmp_path_factory.mktemp("broken") / "words.png"
    path.write_text("words", encoding="utf-8")
    return path


@pytest.fixture
def page(tmp_path: Path, address: str, screenshots: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser window; whatever a test does in it, no request may go to another host."""
    name = re.sub(r"[^\w.-]+", "-", f"{request.path.stem}-{request.node.name}")
    with opened_page(address, tmp_path / "profile", screenshots / f"{name}.png") as page:
        yield page
