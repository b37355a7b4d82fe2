from __future__ import annotations

from pathlib import Path

import pytest
import torch

from knowledge_bases.records import Passage
from knowledge_bases.store import PassageStore
from rag_app.assembly import Application, load_encoder, open_application
from rag_app.knowledge import find_knowledge
from retriever.encoder import Encoder
from tests.tiny import PASSAGES, save_passages, save_picture, save_preset, save_reader, tiny_preset


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.toml`, the checkpoints and passages it names, `picture.png`, and `var/` with the index."""
    folder = tmp_path_factory.mktemp("world")
    preset = tiny_preset(save_reader(folder / "reader"), save_passages(folder / "passages.jsonl"))
    save_preset(folder / "tiny.toml", preset)
    save_picture(folder / "picture.png")
    return folder


@pytest.fixture(scope="session")
def application(world: Path) -> Application:
    """Everything opened."""
    preset = tiny_preset(world / "reader", world / "passages.jsonl")
    return open_application(preset, find_knowledge(preset.knowledge_base, world / "var"), var=world / "var")


@pytest.fixture(scope="session")
def encoder(application: Application) -> Encoder:
    """Of the same checkpoint, loaded for itself."""
    return load_encoder(application.preset, application.placement)


@pytest.fixture
def store(tmp_path: Path) -> PassageStore:
    """The tiny passages in `mine.sqlite`, to be changed."""
    store = PassageStore.open(tmp_path / "mine.sqlite", create=True)
    store.add(Passage(**row) for row in PASSAGES)
    return store
