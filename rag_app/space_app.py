"""How the application runs on a Hugging Face Space: what its environment says, as arguments of `demo`."""

from __future__ import annotations

from collections.abc import MutableMapping

from rag_app.config import DEFAULT_PRESET
from rag_app.serving import PROXY_VARIABLE

__all__ = ["demo_arguments", "trust_the_proxy"]

_PRIVATE_NETWORKS = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"


def demo_arguments(environment: MutableMapping[str, str]) -> list[str]:
    """Arguments of the command line.

    Args:
        environment: `RAG_APP_PRESET` and `RAG_APP_KB` name another preset and knowledge base than the default ones;
            `GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` are where to listen. With `SPACE_ID`, which every Space has,
            the page is one for everybody.
    """
    on_space = "SPACE_ID" in environment
    host = environment.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_space else "127.0.0.1")
    arguments = ["demo", "--host", host, "--port", environment.get("GRADIO_SERVER_PORT") or "7860"]
    arguments += ["--preset", environment.get("RAG_APP_PRESET") or DEFAULT_PRESET]
    if environment.get("RAG_APP_KB"):
        arguments += ["--kb", environment["RAG_APP_KB"]]
    return [*arguments, "--public"] if on_space else arguments


def trust_the_proxy(environment: MutableMapping[str, str]) -> None:
    """On a Space, takes a visitor's address from what the proxies in front of it say, all in private networks.

    Whoever runs it elsewhere names the proxies in `--trust-proxy` or in `FORWARDED_ALLOW_IPS`, a variable of uvicorn.
    """
    if "SPACE_ID" in environment:
        environment.setdefault(PROXY_VARIABLE, _PRIVATE_NETWORKS)
