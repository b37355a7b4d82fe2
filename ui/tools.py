"""What the endpoints give to agents that call them as tools (Model Context Protocol)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta  # type: ignore[import-untyped]

__all__ = ["answering_in_json"]


def answering_in_json(page: gr.Blocks) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """A lifespan of the page's server in which tools answer in JSON; gradio itself writes results as Python does."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        server = page.mcp_server_obj
        assert server is not None, "the page offers no tools"
        as_content = server.postprocess_output_data

        def in_json(results: list[Any], root_url: str) -> list[Any]:
            return as_content([_as_text(one) for one in results], root_url)

        server.postprocess_output_data = in_json  # type: ignore[method-assign, assignment]
        yield

    return lifespan


def _as_text(result: Any) -> Any:  # noqa: ANN401 - what an endpoint gives
    """JSON, but for a file, of which gradio gives the address."""
    return result if is_file_obj_with_meta(result) else json.dumps(result, ensure_ascii=False)
