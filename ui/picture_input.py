"""The picture field."""

from __future__ import annotations

from gradio import Image
from gradio.data_classes import ImageData

__all__ = ["PictureInput"]


class PictureInput(Image):
    """Gradio's picture field, except that the server does not open the file: `rag_app.pictures` does, with care.

    The value is the path of the uploaded file.
    """

    def get_block_name(self) -> str:
        """The frontend's component, which is the ordinary one."""
        return "image"

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The uploaded file's path.

        Args:
            payload: what the browser sent.
        """
        if payload is None or payload.path is None:
            return None
        return payload.path
