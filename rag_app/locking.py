"""One process at a time in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["folder_lock"]


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds the folder's lock file; waits for another process that holds it. The system frees it if the process dies.

    The folder is made if it is not there. Who holds the lock may remove it: who waited then begins anew.

    Raises:
        OSError: the folder cannot be written.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / ".lock").open("a+b")
        except FileNotFoundError:  # removed just now
            continue
        except FileExistsError:
            if folder.is_symlink() or folder.is_file():
                raise
            continue  # a folder that was removed just now
        with file:
            if _locked(file, folder / ".lock"):
                yield
                return


def _locked(file: IO[bytes], path: Path) -> bool:
    """Waits for the lock of an open file; False where the file was removed meanwhile."""
    if sys.platform == "win32":
        return True
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
