"""Answers that are seen while they are written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, runtime_checkable

from generator.protocol import Candidate
from generator.protocol import Generator as AnswerGenerator
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["CandidateStream", "StreamingGenerator", "stream_candidates", "while_generating"]

_Result = TypeVar("_Result")
CandidateStream = Generator[str, None, list[Candidate]]
"""Yields the text of an answer as it grows, and returns what `propose` would."""


@runtime_checkable
class StreamingGenerator(Protocol):
    """A generator that can show an answer while it is being written."""

    def stream(self, question: VisualQuestion, passages: Sequence[Passage]) -> CandidateStream:
        """The answer from the first passage, or from all at once, as it grows; then all candidates."""
        ...


def stream_candidates(
    generator: AnswerGenerator, question: VisualQuestion, passages: Sequence[Passage]
) -> CandidateStream:
    """Streams where the generator can; another one yields nothing before its candidates."""
    if isinstance(generator, StreamingGenerator):
        return (yield from generator.stream(question, passages))
    return generator.propose(question, passages)


def while_generating(
    generate: Callable[[Any], _Result],
    tokenizer: Any,  # noqa: ANN401  (transformers ships no types)
) -> Generator[str, None, _Result]:
    """Yields the text that a model of transformers writes, and returns the result of its generation.

    Args:
        generate: runs the generation of one sequence by greedy search, with the given `streamer`.
        tokenizer: of the model.
    """
    from transformers import TextIteratorStreamer

    streamer: Any = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)

    def run() -> _Result:
        try:
            return generate(streamer)
        finally:
            streamer.end()  # also where it failed, or the loop below would wait for ever

    with ThreadPoolExecutor(max_workers=1) as pool:
        running, text = pool.submit(run), ""
        for piece in streamer:
            text += piece
            if text.strip():
                yield text.strip()
        return running.result()
