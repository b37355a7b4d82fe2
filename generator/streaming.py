"""Answers that are seen while they are written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, runtime_checkable

from generator.generation import BatchSize, Generated, Prompt, candidate_of, generate_all
from generator.protocol import Candidate
from generator.protocol import Generator as AnswerGenerator
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["CandidateStream", "StreamingGenerator", "stream_candidates", "stream_prompts", "while_generating"]

_Result = TypeVar("_Result")
CandidateStream = Generator[str | Candidate, None, list[Candidate]]
"""Yields the first answer's text as it grows, where that can be shown, then each candidate once it is made; and returns
what `propose` would."""


@runtime_checkable
class StreamingGenerator(Protocol):
    """A generator that can show an answer while it is being written."""

    def stream(self, question: VisualQuestion, passages: Sequence[Passage]) -> CandidateStream:
        """The answer from the first passage, or from all at once, as it grows; then each candidate as it comes."""
        ...


def stream_candidates(
    generator: AnswerGenerator, question: VisualQuestion, passages: Sequence[Passage]
) -> CandidateStream:
    """Streams where the generator can; another one yields nothing before its candidates."""
    if isinstance(generator, StreamingGenerator):
        return (yield from generator.stream(question, passages))
    return generator.propose(question, passages)


def stream_prompts(
    prompts: Sequence[Prompt],
    generate: Callable[[Sequence[Prompt], Any], list[Generated]],
    *,
    tokenizer: Any,  # noqa: ANN401  (transformers ships no types)
    batch_size: BatchSize,
) -> CandidateStream:
    """The first prompt alone, so that something can be seen soon; the others, which read worse passages, in batches.

    Args:
        prompts: of one question.
        generate: answers a batch of prompts, with a streamer, which may be None.
        tokenizer: of the model; None where a text cannot be shown while it grows.
        batch_size: of the others.
    """
    first = prompts[:1]
    if tokenizer is None:
        results = generate(first, None)
    else:
        results = yield from while_generating(lambda streamer: generate(first, streamer), tokenizer)
    candidates = [candidate_of(first[0], results[0])]
    yield candidates[0]
    others = generate_all(prompts[1:], lambda batch: generate(batch, None), batch_size)
    for prompt, result in zip(prompts[1:], others, strict=True):
        candidates.append(candidate_of(prompt, result))
        yield candidates[-1]
    return candidates


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
