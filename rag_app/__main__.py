"""`python -m rag_app`: the command line, with the web page behind `demo`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rag_app.cli import main

if TYPE_CHECKING:
    from rag_app.assembly import Application


def _serve(application: Application, host: str, port: int) -> None:
    """The one place where rag_app meets ui: an entry point ties the layers together, no library module does."""
    from ui.app import serve

    serve(application, host=host, port=port)


if __name__ == "__main__":
    sys.exit(main(serve=_serve))
