"""The picture field."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from pydantic import ConfigDict

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
    field.data_model = _GivenPicture
    return field


class _GivenPicture(ImageData):
    """What gradio checks a picture against that comes from outside; anything but a file is refused in one line."""

    model_config = ConfigDict(title="ImageData")

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Any:  # noqa: ANN401 - as pydantic has it (Self needs Python 3.11)
        """Lets files pass.

        Raises:
            gr.Error: it is none. (A validator of pydantic's would turn this into an error of its own.)
        """
        if isinstance(obj, dict | ImageData):
            return super().model_validate(obj, **how)
        told = "The picture is not given as a file; upload it, or give it as gradio_client's handle_file does."
        raise gr.Error(told, print_exception=False)


def _uploaded_path(payload: ImageData | None) -> str | None:
    return None if payload is None else payload.path
