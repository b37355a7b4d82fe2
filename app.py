"""Entry of the Hugging Face Space: `python -m rag_app demo` with what the environment says."""

import os
import sys
from contextlib import suppress

with suppress(ImportError):
    import spaces  # noqa: F401 - on ZeroGPU, before torch is

from rag_app.cli import main
from rag_app.space_app import demo_arguments, trust_the_proxy
from ui.app import serve

if __name__ == "__main__":
    trust_the_proxy(os.environ)
    arguments = demo_arguments(os.environ)
    sys.exit(
        main(
            arguments,
            serve=lambda application, host, port, settings: serve(application, settings=settings, host=host, port=port),
        )
    )
