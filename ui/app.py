"""The page put together, and served."""

from __future__ import annotations

from html import escape

import gradio as gr

from rag_app.assembly import Application
from rag_app.errors import InputError, one_line
from ui.about_tab import add_about_tab
from ui.ask_tab import add_ask_tab
from ui.style import CSS, theme

__all__ = ["MAX_FILE_SIZE", "MAX_WAITING", "build_app", "serve"]

MAX_FILE_SIZE = "25mb"
MAX_WAITING = 32  # questions in the queue; more are turned away
_CACHE_SECONDS = (600, 3600)  # every ten minutes, uploads older than an hour are deleted
_TITLE = "Ask about a picture"


def build_app(application: Application) -> gr.Blocks:
    """The page for an application that is ready to answer."""
    page = gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=_CACHE_SECONDS)
    with page:
        gr.HTML(
            f'<div class="page-head"><h1>{_TITLE}</h1><p>Answers from knowledge that is not in the picture, '
            f"with the passages they come from. Knowledge base: {escape(application.knowledge_base_title)}.</p></div>"
        )
        with gr.Tab("Ask"):
            add_ask_tab(page, application)
        with gr.Tab("About"):
            add_about_tab(application)
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=1)
    return page


def serve(
    application: Application, *, host: str | None = None, port: int | None = None, wait: bool = True
) -> gr.Blocks:
    """Serves the page.

    Args:
        application: what answers.
        host: address to listen on; gradio's own default (and its environment variables) when not given.
        port: port to listen on; likewise.
        wait: whether to return only when the server is stopped.

    Raises:
        InputError: the address is taken or cannot be listened on.
    """
    page = build_app(application)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=not wait,
            theme=theme(),
            css=CSS,
            max_file_size=MAX_FILE_SIZE,
            footer_links=["api"],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            share=False,
            show_error=False,
        )
    except OSError as error:
        raise InputError(f"cannot serve on {host}:{port} ({one_line(error)}); choose another --port") from error
    return page
