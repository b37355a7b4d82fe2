"""What a number was measured with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["package_versions"]

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "langchain-core", "faiss-cpu")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers; those not installed are left out."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
