"""Any server with OpenAI's chat-completions interface (vLLM, llama.cpp, Ollama, a hosted service) as a generator."""

from __future__ import annotations

import base64
import io
import json
import logging
import math
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from PIL import Image

from generator.fitting import fit_characters
from generator.generation import BatchSize, Generated, Prompt, candidate_of, prompts_for, propose_prompts
from generator.modes import ReadingMode
from generator.prompts import chat_prompt
from generator.protocol import Candidate, SingleQuestions
from generator.streaming import CandidateStream
from generator.transport import PromptRefusedError, RemoteError, Server, clean_key
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["PromptRefusedError", "RemoteError", "RemoteGenerator", "RemoteSettings"]

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_SETTING = re.compile("logprob|parameter|argument|field|propert", re.IGNORECASE)  # what a refusal of one speaks of
_THOUGHTS = ("reasoning_content", "reasoning")  # where servers put what a model thinks before it answers
_SPELLED_THOUGHTS = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)  # of servers that leave them in the answer


class _Part(NamedTuple):
    """Of an answer, or all of it: its text, its tokens' log-probabilities, and whether the model thought as well."""

    text: str
    scores: list[float]
    thought: bool = False


@dataclass(frozen=True, kw_only=True)
class RemoteSettings:
    """Which server, and how it is asked.

    Attributes:
        address: up to and including the version, such as "http://127.0.0.1:8000/v1".
        model: the name the server knows the model by.
        api_key: sent as a bearer token if given, without white space around it; never shown in an error or a log.
        timeout: seconds for one request, from connecting to the last byte of the answer.
        retries: how often a request is sent again when the server is busy (429) or fails (5xx, no connection).
        first_wait: seconds before the first of them, doubled each time; a server's `Retry-After` counts instead.
        max_new_tokens: the longest answer.
        max_knowledge_characters: longer knowledge is cut at the end of a sentence, since the server's tokenizer is not
            known; None takes 2,000 for one passage (about 500 tokens of English) and 12,000 for all in one prompt.
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
    max_knowledge_characters: int | None = None
    max_image_side: int = 1024
    parallel: int = 4
    mode: ReadingMode = ReadingMode.RA_VQA

    def __post_init__(self) -> None:
        if urlsplit(self.address).scheme not in ("http", "https"):
            raise ValueError(f"the server's address must begin with http:// or https://, not {self.address!r}")
        if not self.model:
            raise ValueError("name the server's model, as in http://127.0.0.1:8000/v1#model-name")
        if self.knowledge_characters < 1:
            raise ValueError(f"max_knowledge_characters must be at least 1, not {self.max_knowledge_characters}")
        object.__setattr__(self, "api_key", clean_key(self.api_key))

    @property
    def knowledge_characters(self) -> int:
        """The longest knowledge of one prompt, in characters."""
        if self.max_knowledge_characters is not None:
            return self.max_knowledge_characters
        return 12_000 if self.mode is ReadingMode.LONG_CONTEXT else 2_000


class RemoteGenerator(SingleQuestions):
    """Asks a server for an answer from each passage. See `generator.protocol`.

    The log-likelihood is the mean log-probability of the answer's tokens if the server reports it; where it does not,
    every candidate counts the same (0), and the retrieval scores alone choose.
    """

    def __init__(self, settings: RemoteSettings) -> None:
        self.settings = settings
        self._server = Server(
            address=settings.address,
            path="chat/completions",
            api_key=settings.api_key,
            timeout=settings.timeout,
            retries=settings.retries,
            first_wait=settings.first_wait,
        )
        self._asks_scores = True  # until the server turns out not to know them

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """`propose` for several questions, some requests at a time.

        Raises:
            PromptRefusedError: the server refused one of the prompts.
            RemoteError: it gave no usable answer.
        """
        pictures = [self._data_url(question.image) for question in questions]

        def generate(prompts: Sequence[Prompt]) -> list[Generated]:
            with ThreadPoolExecutor(max_workers=self.settings.parallel) as pool:
                return list(pool.map(lambda prompt: self._ask(prompt, pictures[prompt.question_index]), prompts))

        size = BatchSize(max(1, 4 * self.settings.parallel))
        return propose_prompts(questions, passages_of_each, generate, batch_size=size, mode=self.settings.mode)

    def stream(self, question: VisualQuestion, passages: Sequence[Passage]) -> CandidateStream:
        """The answer from the first passage, or from all at once, as the server writes it; then each candidate as it
        comes.

        Raises:
            PromptRefusedError: the server refused one of the prompts.
            RemoteError: it gave no usable answer.
        """
        prompts, picture = prompts_for([question], [passages], self.settings.mode), self._data_url(question.image)
        with ThreadPoolExecutor(max_workers=self.settings.parallel) as pool:
            others = {pool.submit(self._ask, prompt, picture): place for place, prompt in enumerate(prompts) if place}
            candidates = {0: candidate_of(prompts[0], (yield from self._ask_streaming(prompts[0], picture)))}
            yield candidates[0]
            for asked in as_completed(others):
                place = others[asked]
                candidates[place] = candidate_of(prompts[place], asked.result())
                yield candidates[place]
        return [candidates[place] for place in range(len(prompts))]

    def _data_url(self, image: Image.Image | None) -> str | None:
        if image is None:
            return None
        picture = image.convert("RGB")
        picture.thumbnail((self.settings.max_image_side, self.settings.max_image_side))
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=90)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

    def _ask(self, prompt: Prompt, picture: str | None) -> Generated:
        return self._scored(self._body(prompt, picture), lambda body: self._server.ask(body, self._whole))

    def _ask_streaming(self, prompt: Prompt, picture: str | None) -> Generator[str, None, Generated]:
        """Yields the answer so far, from server-sent events; a server that does not stream answers at once."""
        response = self._scored({**self._body(prompt, picture), "stream": True}, self._server.open)
        with self._server.once(), response, self._server.reading():
            if "event-stream" not in response.headers.get("Content-Type", ""):
                return self._whole(response)
            answer, scores, thought = "", list[float](), False
            for event in self._events(response):
                part = self._parsed(event, "delta")
                answer, thought = answer + part.text, thought or part.thought
                scores += [] if part.thought and not part.text else part.scores
                said = _SPELLED_THOUGHTS.sub("", answer, count=1)
                if part.text and said.strip() and not "<think>".startswith(said.strip()):
                    yield _in_whole_characters(said).strip()
            return self._generated(_Part(answer, scores, thought))

    def _scored(self, body: dict[str, Any], ask: Callable[[dict[str, Any]], _Result]) -> _Result:
        """What comes of asking with log-probabilities, or without where the server does not know these."""
        if not self._asks_scores:
            return ask(body)
        try:
            return ask({**body, "logprobs": True})
        except PromptRefusedError as error:
            unknown = error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
            if not unknown or not _SETTING.search(error.detail):
                raise
        result = ask(body)
        if self._asks_scores:
            logger.warning(
                "%s reports no log-probabilities; all answers count as equally likely", self.settings.address
            )
        self._asks_scores = False
        return result

    def _body(self, prompt: Prompt, picture: str | None) -> dict[str, Any]:
        question, knowledge = fit_characters(
            prompt.question.text,
            prompt.knowledge,
            n_characters=self.settings.knowledge_characters,
            single=prompt.passage_index is not None,
        )
        content: list[dict[str, Any]] = [{"type": "text", "text": chat_prompt(question, knowledge)}]
        if picture is not None:
            content.insert(0, {"type": "image_url", "image_url": {"url": picture}})
        return {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self.settings.max_new_tokens,
            "temperature": 0,
        }

    def _whole(self, response: HTTPResponse) -> Generated:
        try:
            reply = json.load(response)
        except ValueError as error:
            raise RemoteError(f"{self.settings.address} did not answer with JSON") from error
        part = self._parsed(reply, "message")
        if not reply["choices"]:
            raise self._odd()
        return self._generated(part._replace(scores=[]) if part.thought else part)

    def _generated(self, part: _Part) -> Generated:
        """The answer with its tokens' log-probabilities, summed and their mean; 0 where the server reports none.

        Where it thinks first, a whole reply does not tell the thoughts' tokens from the answer's; none then count.
        """
        if spelled := _SPELLED_THOUGHTS.match(part.text):
            part = _Part(part.text[spelled.end() :], [], thought=True)
        if part.thought and not part.text.strip():
            raise PromptRefusedError(
                f"{self.settings.address} wrote thoughts and no answer within {self.settings.max_new_tokens} tokens; "
                "take a model that answers at once, or start the server without thinking",
                status=HTTPStatus.OK,
                detail="",
            )
        total = sum(part.scores)
        total = min(0.0, total) if math.isfinite(total) else 0.0
        return Generated(
            _in_whole_characters(part.text).strip(), total, mean_log_likelihood=total / max(1, len(part.scores))
        )

    def _events(self, response: HTTPResponse) -> Iterator[Any]:
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

    def _parsed(self, reply: Any, kind: str) -> _Part:  # noqa: ANN401  (any JSON value)
        """What a reply's first choice says; an event may say nothing."""
        if isinstance(reply, dict) and (reply.get("error") or reply.get("object") == "error"):
            raise self._server.refusal_in(reply.get("error") or reply)
        try:
            if not reply["choices"]:  # of usage, at the end of a stream
                return _Part("", [])
            choice = reply["choices"][0]
            tokens = (choice.get("logprobs") or {}).get("content") or []
            scores = [float(token["logprob"]) for token in tokens if token["logprob"] is not None]
            said = choice[kind]
            thought = any(said.get(key) for key in _THOUGHTS)
            text = said.get("content") if kind == "delta" or thought else said["content"]
            return _Part(_text(text), scores, thought)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self._odd() from error

    def _odd(self) -> RemoteError:
        return RemoteError(f"{self.settings.address} did not answer like a chat-completions server")


def _in_whole_characters(text: str) -> str:
    """With halves of characters put together, which JSON may hold apart; no file takes those that stay alone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(content: Any) -> str:  # noqa: ANN401  (any JSON value)
    """The text of a message: given as such, or as parts, of which some may be no text.

    Raises:
        TypeError: it is neither.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError("a message's content must be a text or a list of parts")
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return "".join(str(part.get("text") or "") for part in parts if part.get("type") in ("text", "output_text"))
