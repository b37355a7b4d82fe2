"""The page put together, and served."""

from __future__ import annotations

from typing import Any

import gradio as gr

from rag_app.assembly import Application
from rag_app.config import CHECKOUT
from rag_app.errors import InputError, one_line
from rag_app.feedback import FeedbackStore, feedback_path
from rag_app.serving import PageSettings
from ui.about_tab import add_about_tab
from ui.ask_tab import add_ask_tab
from ui.evaluate_tab import add_evaluate_tab
from ui.fixed_line import add_fixed_line
from ui.knowledge_tab import add_knowledge_tab
from ui.names import add_names
from ui.preset_api import add_preset_api
from ui.public import believe, gate
from ui.public_uploads import check_uploads, prepare_uploads
from ui.queues import MODELS
from ui.style import CSS, theme
from ui.tools import answering_in_json
from ui.what_answers import add_what_answers
from ui.zero_gpu import ask_for_gpu

__all__ = ["build_app", "serve"]

_TITLE = "Ask about a picture"


def build_app(application: Application, settings: PageSettings | None = None) -> gr.Blocks:
    """The page for an application that is ready to answer.

    Args:
        application: what answers.
        settings: what the page allows; `PageSettings()`, for the people of this machine, when not given.
    """
    settings = settings or PageSettings()
    page = gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=settings.cache_seconds)
    with page:
        gr.HTML(
            f'<div class="page-head"><h1>{_TITLE}</h1><p>Answers from knowledge that is not in the picture, '
            "with the passages they come from.</p></div>"
        )
        with gr.Tab("Ask") as ask:
            if settings.public:
                add_fixed_line(page, application)
            answers = None if settings.public else add_what_answers(page, ask, application)
            feedback = None if settings.public else _feedback(application)
            add_ask_tab(page, application, answers=answers, feedback=feedback)
            if not settings.public:
                add_preset_api(application)
        if not settings.public:
            with gr.Tab("Evaluate") as evaluate:
                add_evaluate_tab(application, evaluate)
            with gr.Tab("Knowledge"):  # any knowledge base, by its name or path: not for strangers
                add_knowledge_tab(page, application)
        with gr.Tab("About"):
            add_about_tab(page, application)
        add_names(page)
    if settings.public:
        check_uploads(page, settings)
    if not ask_for_gpu(page, concurrency_id=MODELS["concurrency_id"]):
        # On a Space, gradio's page would fetch a header and fonts from elsewhere. ZeroGPU alone needs the name.
        page.space_id = None
    page.queue(max_size=settings.max_waiting, default_concurrency_limit=1, api_open=False)
    return page


def _feedback(application: Application) -> FeedbackStore:
    return FeedbackStore(feedback_path(application.var))


def serve(
    application: Application,
    *,
    settings: PageSettings | None = None,
    host: str | None = None,
    port: int | None = None,
    wait: bool = True,
) -> gr.Blocks:
    """Serves the page.

    Args:
        application: what answers.
        settings: what the page allows; `PageSettings()` when not given.
        host: address to listen on; gradio's own default (and its environment variables) when not given.
        port: port to listen on; likewise.
        wait: whether to return only when the server is stopped.

    Raises:
        InputError: the address is taken or cannot be listened on.
    """
    settings = settings or PageSettings()
    uploads = prepare_uploads() if settings.public else None
    if settings.public:
        believe(settings.proxies)
    page = build_app(application, settings)
    parts: dict[str, Any] = {"lifespan": answering_in_json(page)} if settings.mcp else {}
    parts |= {"middleware": [gate(page, settings, uploads)]} if uploads else {}
    try:
        page.launch(
            app_kwargs=parts,
            auth=list(settings.accounts) or None,
            allowed_paths=[],
            blocked_paths=[str(CHECKOUT)] if settings.public else [],
            state_session_capacity=settings.max_sessions,
            mcp_server=settings.mcp,
            server_name=host,
            server_port=port,
            prevent_thread_lock=not wait,
            theme=theme(),
            css=CSS,
            max_file_size=settings.max_upload_bytes,
            footer_links=["api"],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            share=False,
            show_error=False,
            _frontend=False,  # or gradio gives up where its page takes over three seconds to come
        )
    except OSError as error:
        raise InputError(f"cannot serve on {host}:{port} ({one_line(error)}); choose another --port") from error
    return page
