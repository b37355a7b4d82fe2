"""`python -m rag_app`: the command line, with the web page behind `demo`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rag_app.cli import main

if TYPE_CHECKING:
    from rag_app.assembly import Application
    from rag_app.serving import PageSettings


def _serve(application: Application, host: str, port: int, settings: PageSettings) -> None:
    """The one place where rag_app meets ui: an entry point ties the layers together, no library module does."""
    from ui.app import serve

    serve(application, settings=settings, host=host, port=port)


if __name__ == "__main__":
    sys.exit(main(serve=_serve))
