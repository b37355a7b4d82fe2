"""What a number was measured with, as the application says it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
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


def test_a_generators_chat_template_is_part_of_what_it_is(application: Application, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(application.preset.generator, tmp_path / "generator"))
    seen = []
    for template in ("{{ messages }}", "{{ messages[0] }}"):
        (folder / "chat_template.jinja").write_text(template)
        other = application.snapshot()
        other.change(preset=dataclasses.replace(application.preset, generator=str(folder)))
        seen.append(settings_of(other)["generator_fingerprint"])
    assert len(set(seen)) == 2


def test_a_generator_of_the_hub_is_told_by_its_commit(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit, kept = "0123456789abcdef0123456789abcdef01234567", tmp_path / "models--ann--reader"
    for path, text in ((kept / "refs" / "main", commit), (kept / "snapshots" / commit / "config.json", "{}")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    other = application.snapshot()
    for generator, fingerprint in (("ann/reader", commit), ("ann/other", None), ("http://127.0.0.1:1/v1#a", None)):
        other.change(preset=dataclasses.replace(application.preset, generator=generator))
        assert settings_of(other)["generator_fingerprint"] == fingerprint
