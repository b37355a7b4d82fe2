"""The pictures of passages, small, inside the page.

They are decoded and encoded anew: no file of a knowledge base is ever served.
"""

from __future__ import annotations

from contextlib import suppress

from knowledge_bases.store import StoreError
from rag_app.answers import Answer
from rag_app.errors import InputError
from rag_app.pictures import decode_picture
from rag_app.stores import Passages
from rag_app.thumbnails import data_uri

__all__ = ["pictures_of"]

_SIDE = 160  # pixels


def pictures_of(store: Passages | None, answer: Answer) -> dict[str, str]:
    """Data addresses of the pictures of an answer's passages, by passage id; those that cannot be read are left out.

    Args:
        store: of the passages.
        answer: that was read from them.
    """
    pictures: dict[str, str] = {}
    if store is None:
        return pictures
    for passage_id in [found.passage.passage_id for found in answer.passages]:
        with suppress(StoreError, InputError):
            content = store.picture(passage_id)
            if content is not None:
                pictures[passage_id] = data_uri(decode_picture(content, name=passage_id), _SIDE)
    return pictures
