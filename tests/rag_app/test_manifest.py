"""What a number was measured with, as the application says it."""

from __future__ import annotations

import torch

from rag_app.assembly import Application
from rag_app.finder import PassageFinder
from rag_app.manifest import settings_of
from retriever.index.exact import ExactIndex
from retriever.index.on_device import OnDeviceIndex


def test_settings_name_the_kind_of_index_that_is_searched(application: Application) -> None:
    assert settings_of(application)["index"] == {"kind": "exact", "k": application.pipeline.k}
    finder = application.pipeline.finder
    assert isinstance(finder, PassageFinder)
    assert isinstance(finder.index, ExactIndex)
    on_device = OnDeviceIndex(finder.index, device=torch.device("cpu"), dtype=torch.float32)
    other = application.snapshot()
    other.change(
        pipeline=other.pipeline.with_finder(PassageFinder(encoder=finder.encoder, index=on_device, store=finder.store))
    )
    assert settings_of(other)["index"]["kind"] == "on the device, rows in float32"
