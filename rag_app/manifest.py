"""What a number was measured with."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from generator.catalog import PRESETS as GENERATORS
from rag_app.assembly import Application
from rag_app.config import checkpoint_location
from rag_app.joining import indexes_of
from retriever.index.exact import ExactIndex
from retriever.index.manifest import Manifest
from retriever.index.on_device import OnDeviceIndex
from retriever.index.protocol import PassageIndex

__all__ = ["bem_fingerprint", "package_versions", "settings_of"]

_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "numba",
    "pillow",
    "langchain-core",
    "faiss-cpu",
)


def settings_of(application: Application) -> dict[str, Any]:
    """All that the answers depend on, as JSON values: equal settings give equal answers.

    The preset's name and the kind of device are there for people; `rag_app.evaluation.settings` says what is compared.
    """
    preset, store = application.preset, application.store
    settings: dict[str, Any] = {
        "preset": {key: value for key, value in dataclasses.asdict(preset).items() if key != "description"},
        "generator_fingerprint": _checkpoint_fingerprint(preset.generator),
        "adapter_fingerprint": _checkpoint_fingerprint(preset.adapter) if preset.adapter else None,
        "device": application.placement.device.type,
        "dtype": str(application.placement.dtype).removeprefix("torch."),
        "seed": None,  # nothing is drawn at random
        "retrieval": store is not None,
    }
    if store is not None:
        finder = application.pipeline.finder
        indexes = [] if finder is None else indexes_of(finder)
        settings |= {
            "retriever_fingerprint": application.retriever_fingerprint,
            "knowledge_base": application.knowledge_base,
            "knowledge_base_hash": store.content_hash(),
            "n_passages": application.n_passages,
            "index": {"kind": _all(map(_index_kind, indexes)), "k": application.pipeline.k},
            "searched": _all(map(_where_searched, indexes)),
        }
    return settings


def _all(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _index_kind(index: PassageIndex) -> str:
    """How passages are scored: `exact`, `compressed` or `on the device, rows in DTYPE`.

    On a device rows in float32 are those of an exact index, multiplied as it does; so that is exact as well.
    """
    if not isinstance(index, OnDeviceIndex):
        return "exact" if isinstance(index, ExactIndex) else "compressed"
    if index.row_dtype == torch.float32 and not Manifest.read(index.path).codec:
        return "exact"
    return _where_searched(index)


def _where_searched(index: PassageIndex) -> str:
    if not isinstance(index, OnDeviceIndex):
        return "from disk"
    return f"on the device, rows in {str(index.row_dtype).removeprefix('torch.')}"


def _checkpoint_fingerprint(checkpoint: str) -> str | None:
    """A checksum over a folder's files (16 hexadecimal digits), or the commit of a checkpoint of the hub, as it lies in
    the hub's cache; None for a server.
    """
    name = GENERATORS[checkpoint].checkpoint if checkpoint in GENERATORS else checkpoint
    folder = Path(checkpoint_location(name))
    if folder.is_dir():
        return _checksum(
            [file for kind in ("*.json", "*.jinja", "*.safetensors") for file in sorted(folder.glob(kind))]
        )
    with suppress(HFValidationError):  # an address
        config = try_to_load_from_cache(name, "config.json")
        return Path(config).parent.name if isinstance(config, str) else None
    return None


def bem_fingerprint(folder: Path) -> str:
    """A checksum over the files of a checkpoint of BEM, its vocabulary included (16 hexadecimal digits).

    Raises:
        OSError: one cannot be read.
    """
    return _checksum([file for kind in ("*.json", "*.safetensors", "*.txt") for file in sorted(folder.glob(kind))])


def _checksum(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers; those not installed are left out."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
