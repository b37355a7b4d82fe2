"""What a number was measured with, as the application says it."""

from __future__ import annotations

import torch

from rag_app.assembly import Application
from rag_app.finder import PassageFinder
from rag_app.manifest import settings_of
from retriever.index.exact import ExactIndex
from retriever.index.on_device import OnDeviceIndex


def test_settings_name_the_kind_of_index_that_is_searched(application: Application) -> None:
    settings = settings_of(application)
    assert settings["index"] == {"kind": "exact", "k": application.pipeline.k}
    assert settings["searched"] == "from disk"
    finder = application.pipeline.finder
    assert isinstance(finder, PassageFinder)
    assert isinstance(finder.index, ExactIndex)
    for dtype, kind in (
        (torch.float32, "exact"),  # the same rows, multiplied in the same way
        (torch.bfloat16, "on the device, rows in bfloat16"),
    ):
        on_device = OnDeviceIndex(finder.index, device=torch.device("cpu"), dtype=dtype)
        there = PassageFinder(encoder=finder.encoder, index=on_device, store=finder.store)
        other = application.snapshot()
        other.change(pipeline=other.pipeline.with_finder(there))
        assert settings_of(other)["index"]["kind"] == kind
        assert settings_of(other)["searched"] == f"on the device, rows in {str(dtype).removeprefix('torch.')}"
