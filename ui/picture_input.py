"""The picture field."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import ImageData

__all__ = ["picture_input"]


def picture_input(elem_id: str = "picture") -> gr.Image:
    """Gradio's picture field, whose value is the path of the uploaded file.

    The server does not open the file on the way in, as gradio would: `rag_app.pictures` does, with care. (A subclass
    would be the usual way, but gradio writes a stub file into the source folder for every subclass.)
    """
    field = gr.Image(
        label="Picture",
        sources=["upload", "clipboard", "webcam"],
        type="filepath",
        image_mode=None,
        height=260,
        elem_id=elem_id,
        buttons=["fullscreen"],
    )
    field.preprocess = _uploaded_path  # type: ignore[method-assign]
    return field


def _uploaded_path(payload: ImageData | None) -> str | None:
    return None if payload is None else payload.path
