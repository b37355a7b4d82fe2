"""The question on the page as a few lines of Python that ask it again."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr

from ui.asked import Asked

__all__ = ["api_call", "page_address"]


def page_address(request: gr.Request) -> str:
    """The page's address as the visitor's browser sees it, with the path that a proxy may serve it under."""
    seen = request.headers.get("referer") or request.headers.get("origin") or ""
    parts = urlsplit(seen)
    if parts.scheme in {"http", "https"} and parts.netloc:
        return f"{parts.scheme}://{parts.netloc}{parts.path or '/'}"
    return "" if request.request is None else str(request.request.base_url)


def api_call(asked: Asked | None, address: str) -> str | None:
    """A program that asks the question with gradio_client and prints the answer; None before there is one.

    The picture is named as its file was; the program is to be run beside it.
    """
    if asked is None:
        return None
    picture = f"handle_file({json.dumps(Path(asked.picture).name)})" if asked.picture else "None"
    arguments = {"picture": picture, "question": _literal(asked.text)}
    if asked.instruction:
        arguments["instruction"] = _literal(asked.instruction)
    arguments |= {"k": str(asked.k), "api_name": '"/ask"'}
    lines = "".join(f"    {name}={value},\n" for name, value in arguments.items())
    imported = "Client, handle_file" if asked.picture else "Client"
    return (
        f"from gradio_client import {imported}\n\n"
        f"client = Client({_literal(address)})\n"
        f"answer = client.predict(\n{lines})\n"
        'print(answer["answer"], answer["confidence"])\n'
    )


def _literal(text: str) -> str:
    """The text as a literal that is the same in JSON and Python."""
    return json.dumps(text, ensure_ascii=False)
