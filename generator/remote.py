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
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.parse import urlsplit

from PIL import Image

from generator.generation import BatchSize, Generated, Prompt, candidate_of, prompts_for, propose_prompts
from generator.modes import ReadingMode
from generator.prompts import chat_prompt
from generator.protocol import Candidate, SingleQuestions
from generator.streaming import CandidateStream
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["RemoteError", "RemoteGenerator", "RemoteSettings"]


logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
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
        mode: one request a passage, or one for all.
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
    mode: ReadingMode = ReadingMode.RA_VQA

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

        size = BatchSize(max(1, 4 * self.settings.parallel))
        return propose_prompts(questions, passages_of_each, generate, batch_size=size, mode=self.settings.mode)

    def stream(self, question: VisualQuestion, passages: Sequence[Passage]) -> CandidateStream:
        """The answer from the first passage, or from all at once, as the server writes it; then all candidates.

        Raises:
            RemoteError: the server gave no usable answer.
        """
        prompts, picture = prompts_for([question], [passages], self.settings.mode), self._data_url(question.image)
        with ThreadPoolExecutor(max_workers=self.settings.parallel) as pool:
            others = [pool.submit(self._ask, prompt, picture) for prompt in prompts[1:]]
            first = yield from self._ask_streaming(prompts[0], picture)
            results = [first, *(other.result() for other in others)]
        return [candidate_of(prompt, result) for prompt, result in zip(prompts, results, strict=True)]

    def _data_url(self, image: Image.Image | None) -> str | None:
        if image is None:
            return None
        picture = image.convert("RGB")
        picture.thumbnail((self.settings.max_image_side, self.settings.max_image_side))
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=90)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

    def _ask(self, prompt: Prompt, picture: str | None) -> Generated:
        request = self._request(self._body(prompt, picture))

        def attempt() -> Generated:
            with self._opened(request) as response, self._reading():
                return self._whole(response)

        return self._patiently(attempt)

    def _ask_streaming(self, prompt: Prompt, picture: str | None) -> Generator[str, None, Generated]:
        """Yields the answer so far, from server-sent events; a server that does not stream answers at once."""
        request = self._request({**self._body(prompt, picture), "stream": True})
        response = self._patiently(lambda: self._opened(request))
        try:
            with response, self._reading():
                if "event-stream" not in response.headers.get("Content-Type", ""):
                    return self._whole(response)
                answer, scores = "", list[float]()
                for event in self._events(response):
                    text, values = self._parsed(event, "delta")
                    answer, scores = answer + text, scores + values
                    if text and answer.strip():
                        yield answer.strip()
                return _generated(answer, scores)
        except _TemporaryError as error:  # what was shown cannot be taken back
            raise RemoteError(str(error)) from error

    def _body(self, prompt: Prompt, picture: str | None) -> dict[str, Any]:
        content: list[dict[str, Any]] = [
            {"type": "text", "text": chat_prompt(prompt.question.text, prompt.knowledge)},
        ]
        if picture is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": picture}})
        return {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self.settings.max_new_tokens,
            "temperature": 0,
            "logprobs": True,
        }

    def _whole(self, response: Any) -> Generated:  # noqa: ANN401  (urllib's response)
        try:
            reply = json.load(response)
        except ValueError as error:
            raise RemoteError(f"{self.settings.address} did not answer with JSON") from error
        if not isinstance(reply, dict) or not reply.get("choices"):
            raise self._odd()
        return _generated(*self._parsed(reply, "message"))

    def _events(self, response: Any) -> Iterator[Any]:  # noqa: ANN401  (urllib's response; any JSON value)
        """What stands behind `data:` of each server-sent event, up to `[DONE]`."""
        for line in response:
            kind, _, data = line.decode("utf-8", "replace").partition(":")
            if kind.strip() != "data":
                continue
            if data.strip() == "[DONE]":
                return
            try:
                yield json.loads(data)
            except ValueError as error:
                raise RemoteError(f"{self.settings.address} did not answer with JSON") from error

    def _parsed(self, reply: Any, part: str) -> tuple[str, list[float]]:  # noqa: ANN401  (any JSON value)
        """The text of a reply's first choice and the log-probabilities of its tokens; an event may hold neither."""
        try:
            if not reply["choices"]:  # of usage, at the end of a stream
                return "", []
            choice = reply["choices"][0]
            tokens = (choice.get("logprobs") or {}).get("content") or []
            text = choice[part].get("content") if part == "delta" else choice[part]["content"]
            return str(text or ""), [float(token["logprob"]) for token in tokens]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self._odd() from error

    def _odd(self) -> RemoteError:
        return RemoteError(f"{self.settings.address} did not answer like a chat-completions server")

    def _request(self, body: dict[str, Any]) -> urllib.request.Request:
        headers = {"Content-Type": "application/json"}
        if self.settings.api_key:
            headers["Authorization"] = f"Bearer {self.settings.api_key}"
        address = f"{self.settings.address.rstrip('/')}/chat/completions"
        return urllib.request.Request(address, data=json.dumps(body).encode(), headers=headers)

    def _patiently(self, attempt: Callable[[], _Result]) -> _Result:
        """The result of an attempt, which is made again where the server is busy, fails or cannot be reached."""
        settings, number = self.settings, 0
        while True:
            try:
                return attempt()
            except _TemporaryError as error:
                if number == settings.retries:
                    raise RemoteError(str(error)) from error
                wait = settings.first_wait * 2**number if error.wait is None else error.wait
                logger.info("%s; trying again in %.1f s", error, wait)
            time.sleep(min(wait, MOST_WAIT))
            number += 1

    @contextmanager
    def _reading(self) -> Iterator[None]:
        settings = self.settings
        try:
            yield
        except TimeoutError as error:
            raise RemoteError(f"{settings.address} gave no answer within {settings.timeout:g} s") from error
        except (OSError, HTTPException) as error:
            raise _TemporaryError(f"{settings.address} broke off its answer ({error})") from error

    def _opened(self, request: urllib.request.Request) -> Any:  # noqa: ANN401  (urllib's response)
        settings = self.settings
        try:
            return urllib.request.urlopen(request, timeout=settings.timeout)
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
            if isinstance(reason, TimeoutError):
                raise RemoteError(f"{settings.address} gave no answer within {settings.timeout:g} s") from error
            message = f"{settings.address} cannot be reached ({reason}); check address and server"
            raise _TemporaryError(message) from error


def _generated(answer: str, scores: Sequence[float]) -> Generated:
    """The answer with its tokens' log-probabilities, summed and their mean; 0 where the server reports none."""
    total = sum(scores)
    total = min(0.0, total) if math.isfinite(total) else 0.0
    return Generated(answer.strip(), total, mean_log_likelihood=total / max(1, len(scores)))


class _TemporaryError(Exception):
    """What may go away by itself."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds; None where it is absent or a date."""
    return float(retry_after) if retry_after and retry_after.strip().isdigit() else None
