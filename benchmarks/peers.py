"""Environments of their own for the engines we are measured beside: they need other versions of torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["PEERS", "environment"]

PEERS = {"fast-plaid": ["fast-plaid==1.7.0.2110"]}
UNAVAILABLE = {
    "plaid": "colbert-ai indexes texts through its own checkpoint and compiles C++ when it runs; "
    "there is no way here to give it embeddings, so it is not measured"
}


def environment(peer: str, folder: Path) -> Path:
    """The Python of a peer's environment, made at the first call (downloads gigabytes).

    Raises:
        RuntimeError: the peer is unknown, or cannot be installed; the message says why, on one line.
    """
    if peer in UNAVAILABLE:
        raise RuntimeError(f"{peer}: {UNAVAILABLE[peer]}")
    if peer not in PEERS:
        raise RuntimeError(f"unknown peer {peer!r}; choose from {', '.join(sorted({*PEERS, *UNAVAILABLE}))}")
    place = folder / peer
    python = place / "bin" / "python"
    if not (place / ".made").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True, capture_output=True)
            command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS[peer]]
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            raise RuntimeError(f"{peer} could not be installed: {said[-1] if said else error}") from error
        (place / ".made").touch()
    return python
