"""ZeroGPU Spaces: the events that make the models work ask for a GPU, each for as long as it runs."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import gradio as gr

__all__ = ["ask_for_gpu"]

_SECONDS = 60  # at most, for one event


def ask_for_gpu(page: gr.Blocks, *, concurrency_id: str) -> bool:
    """Decorates the events of a page that share a concurrency id, where the package `spaces` is installed.

    Returns:
        whether it is.
    """
    if find_spec("spaces") is None:
        return False
    on_gpu = import_module("spaces").GPU(duration=_SECONDS)
    for event in page.fns.values():
        if event.concurrency_id == concurrency_id and event.fn is not None:
            event.fn = on_gpu(event.fn)
    return True
