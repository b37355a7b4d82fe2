"""Environments of their own for the engines we are measured beside: they need other packages, or another torch."""

from __future__ import annotations

import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "Peer", "environment"]


@dataclass(frozen=True)
class Peer:
    """What an engine needs.

    Attributes:
        packages: for pip.
        beside_ours: whether it runs with the project's torch and other packages, so that they are not installed again.
    """

    packages: tuple[str, ...]
    beside_ours: bool = False


PEERS = {
    # Compiled against torch 2.11 (brings gigabytes); with 2.13 it ends in a segmentation fault.
    "fast-plaid": Peer(("fast-plaid==1.7.0.2110",)),
    # Compiles parts of itself when it is first used: needs a C++ compiler.
    "plaid": Peer(
        (
            "colbert-ai==0.2.22",
            "bitarray==3.12.3",
            "flask==3.1.3",
            "GitPython==3.2.1",
            "python-dotenv==1.2.4",
            "ninja==1.13.2",
            "ujson==6.1.0",
        ),
        beside_ours=True,
    ),
}


def environment(peer: str, folder: Path) -> Path:
    """The Python of a peer's environment, made at the first call (fast-plaid downloads gigabytes).

    Raises:
        RuntimeError: the peer is unknown, or cannot be installed; the message says why, on one line.
    """
    if peer not in PEERS:
        raise RuntimeError(f"unknown peer {peer!r}; choose from {', '.join(sorted(PEERS))}")
    place = (folder / peer).absolute()
    python = place / "bin" / "python"
    if not (place / ".made").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True, capture_output=True)
            if PEERS[peer].beside_ours:
                packages = next(place.glob("lib/python*/site-packages"))
                (packages / "ours.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
            command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS[peer].packages]
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            raise RuntimeError(f"{peer} could not be installed: {said[-1] if said else error}") from error
        (place / ".made").touch()
    return python
