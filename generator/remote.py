"""Any server with OpenAI's chat-completions interface (vLLM, llama.cpp, Ollama, a hosted service) as a generator."""

from __future__ import annotations

import base64
import io
import json
import logging
import math
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from generator.generation import Generated, Prompt, propose_prompts
from generator.prompts import chat_prompt
from generator.protocol import Candidate, SingleQuestions
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["RemoteError", "RemoteGenerator", "RemoteSettings"]


logger = logging.getLogger(__name__)

MOST_WAIT = 60.0  # seconds between two attempts, whatever the server says


class RemoteError(RuntimeError):
    """The server could not be reached, refused, or answered with something else."""


@dataclass(frozen=True, kw_only=True)
class RemoteSettings:
    """Which server, and how it is asked.

    Attributes:
        address: up to and including the version, such as "http://127.0.0.1:8000/v1".
        model: the name the server knows the model by.
        api_key: sent as a bearer token if given; never shown in an error.
        timeout: seconds for one answer.
        retries: how often a request is sent again when the server is busy (429) or fails (5xx, no connection).
        first_wait: seconds before the first of them, doubled each time; a server's `Retry-After` counts instead.
        max_new_tokens: the longest answer.
        max_image_side: larger pictures are scaled down before they are sent, in pixels.
        parallel: requests under way at once.
    """

    address: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    retries: int = 3
    first_wait: float = 0.5
    max_new_tokens: int = 20
    max_image_side: int = 1024
    parallel: int = 4

    def __post_init__(self) -> None:
        if urlsplit(self.address).scheme not in ("http", "https"):
            raise ValueError(f"the server's address must begin with http:// or https://, not {self.address!r}")
        if not self.model:
            raise ValueError("name the server's model, as in http://127.0.0.1:8000/v1#model-name")


class RemoteGenerator(SingleQuestions):
    """Asks a server for an answer from each passage. See `generator.protocol`.

    The log-likelihood is the mean log-probability of the answer's tokens if the server reports it; where it does not,
    every candidate counts the same (0), and the retrieval scores alone choose.
    """

    def __init__(self, settings: RemoteSettings) -> None:
        self.settings = settings

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """`propose` for several questions, some requests at a time.

        Raises:
            RemoteError: the server gave no usable answer.
        """
        pictures = [self._data_url(question.image) for question in questions]

        def generate(prompts: Sequence[Prompt]) -> list[Generated]:
            with ThreadPoolExecutor(max_workers=self.settings.parallel) as pool:
                return list(pool.map(lambda prompt: self._ask(prompt, pictures[prompt.question_index]), prompts))

        return propose_prompts(questions, passages_of_each, generate, batch_size=max(1, 4 * self.settings.parallel))

    def _data_url(self, image: Image.Image | None) -> str | None:
        if image is None:
            return None
        picture = image.convert("RGB")
        picture.thumbnail((self.settings.max_image_side, self.settings.max_image_side))
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=90)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

    def _ask(self, prompt: Prompt, picture: str | None) -> Generated:
        content: list[dict[str, Any]] = [
            {"type": "text", "text": chat_prompt(prompt.question.text, prompt.knowledge)},
        ]
        if picture is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": picture}})
        reply = self._post(
            {
                "model": self.settings.model,
                "messages": [{"role": "user", "content": content}],
                "max_tokens": self.settings.max_new_tokens,
                "temperature": 0,
                "logprobs": True,
            }
        )
        try:
            choice = reply["choices"][0]
            answer = str(choice["message"]["content"]).strip()
            tokens = (choice.get("logprobs") or {}).get("content") or []
            values = [float(token["logprob"]) for token in tokens]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise RemoteError(f"{self.settings.address} did not answer like a chat-completions server") from error
        score = sum(values) / len(values) if values else 0.0
        return answer, min(0.0, score) if math.isfinite(score) else 0.0

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        settings = self.settings
        headers = {"Content-Type": "application/json"}
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        request = urllib.request.Request(
            f"{settings.address.rstrip('/')}/chat/completions", data=json.dumps(body).encode(), headers=headers
        )
        for attempt in range(settings.retries + 1):
            try:
                reply = self._send(request)
                break
            except _TemporaryError as error:
                if attempt == settings.retries:
                    raise RemoteError(str(error)) from error
                wait = settings.first_wait * 2**attempt if error.wait is None else error.wait
                logger.info("%s; trying again in %.1f s", error, wait)
                time.sleep(min(wait, MOST_WAIT))
        if not isinstance(reply, dict):
            raise RemoteError(f"{settings.address} did not answer like a chat-completions server")
        return reply

    def _send(self, request: urllib.request.Request) -> Any:  # noqa: ANN401  (whatever JSON the server sends)
        settings = self.settings
        try:
            with urllib.request.urlopen(request, timeout=settings.timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            detail = " ".join(error.read(300).decode("utf-8", "replace").split())
            refused = f"{settings.address} refused the request ({error.code}): {detail}"
            if error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _TemporaryError(refused, wait=_seconds(error.headers.get("Retry-After"))) from error
            raise RemoteError(refused) from error
        except TimeoutError as error:
            raise RemoteError(f"{settings.address} gave no answer within {settings.timeout:g} s") from error
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            message = f"{settings.address} cannot be reached ({reason}); check address and server"
            if isinstance(reason, TimeoutError):
                raise RemoteError(f"{settings.address} gave no answer within {settings.timeout:g} s") from error
            raise _TemporaryError(message) from error
        except ValueError as error:
            raise RemoteError(f"{settings.address} did not answer with JSON") from error


class _TemporaryError(Exception):
    """What may go away by itself."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds; None where it is absent or a date."""
    return float(retry_after) if retry_after and retry_after.strip().isdigit() else None
