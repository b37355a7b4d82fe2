"""Entry of the Hugging Face Space: `python -m rag_app demo` with what the environment says."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

with suppress(ImportError):
    import spaces  # noqa: F401 - on ZeroGPU, before torch is

from rag_app.cli import main
from rag_app.space_app import demo_arguments, trust_the_proxy

if TYPE_CHECKING:
    from rag_app.assembly import Application
    from rag_app.serving import PageSettings


def _serve(application: Application, host: str, port: int, settings: PageSettings) -> None:
    from ui.app import serve

    serve(application, settings=settings, host=host, port=port)


if __name__ == "__main__":
    trust_the_proxy(os.environ)
    sys.exit(main(demo_arguments(os.environ), serve=_serve))
