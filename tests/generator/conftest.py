from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.generator.chat_server import ChatServer, serving_chat


@pytest.fixture(scope="module")
def chat_process() -> Iterator[ChatServer]:
    with serving_chat() as server:
        yield server


@pytest.fixture
def server(chat_process: ChatServer) -> ChatServer:
    """It answers as `Behaviour` says, and was asked nothing yet."""
    chat_process.behave()
    return chat_process
