"""What the generating models share: settings, one prompt a passage, batches, and the score of what was generated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generator.modes import ReadingMode
from generator.prompts import all_passages
from generator.protocol import Candidate
from knowledge_bases.records import Passage, VisualQuestion

__all__ = [
    "Generated",
    "GenerationSettings",
    "Prompt",
    "candidate_of",
    "generation_arguments",
    "prompts_for",
    "propose_prompts",
    "sequence_scores",
]

logger = logging.getLogger(__name__)


class Generated(NamedTuple):
    """What was generated from one prompt; see `Candidate`."""

    answer: str
    log_likelihood: float
    no_answer_probability: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How answers are generated; the defaults are RA-VQA's, see `for_mode`."""

    mode: ReadingMode = ReadingMode.RA_VQA
    beams: int = 5
    max_new_tokens: int = 10
    max_prompt_tokens: int = 512  # longer knowledge is cut at its end
    batch_size: int = 8  # prompts generated for at once

    def __post_init__(self) -> None:
        for name in ("beams", "max_new_tokens", "max_prompt_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @classmethod
    def for_mode(cls, mode: ReadingMode) -> GenerationSettings:
        """The usual settings: a long context has room for all passages, and is read by greedy search."""
        if mode is ReadingMode.RA_VQA:
            return cls()
        return cls(mode=mode, beams=1, max_new_tokens=20, max_prompt_tokens=3072, batch_size=2)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One thing to generate: an answer to the question from one passage, from all or from none.

    Attributes:
        question_index: which question it belongs to.
        question: the question.
        knowledge: what is known, or None.
        passage_index: the passage that it comes from; None where it is not one passage.
    """

    question_index: int
    question: VisualQuestion
    knowledge: str | None
    passage_index: int | None = None


def propose_prompts(
    questions: Sequence[VisualQuestion],
    passages_of_each: Sequence[Sequence[Passage]],
    generate: Callable[[Sequence[Prompt]], list[Generated]],
    *,
    batch_size: int,
    mode: ReadingMode = ReadingMode.RA_VQA,
) -> list[list[Candidate]]:
    """Candidates for every question, from a function that answers a batch of prompts.

    Raises:
        ValueError: the two sequences differ in length.
        torch.OutOfMemoryError: memory does not do for a single prompt.
    """
    prompts = prompts_for(questions, passages_of_each, mode)
    candidates: list[list[Candidate]] = [[] for _ in questions]
    for prompt, result in zip(prompts, _generate_all(prompts, generate, batch_size), strict=True):
        candidates[prompt.question_index].append(candidate_of(prompt, result))
    return candidates


def prompts_for(
    questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]], mode: ReadingMode
) -> list[Prompt]:
    """What has to be generated: one prompt a passage or one for all, and one without knowledge where there is none.

    Raises:
        ValueError: the two sequences differ in length.
    """
    if len(questions) != len(passages_of_each):
        raise ValueError(f"{len(questions)} questions came with {len(passages_of_each)} lists of passages")
    return [
        Prompt(question_index=number, question=question, knowledge=knowledge, passage_index=index)
        for number, (question, passages) in enumerate(zip(questions, passages_of_each, strict=True))
        for index, knowledge in _knowledge(passages, mode)
    ]


def candidate_of(prompt: Prompt, result: Generated) -> Candidate:
    """What was generated from a prompt as a candidate."""
    return Candidate(
        answer=result.answer,
        log_likelihood=result.log_likelihood,
        passage_index=prompt.passage_index,
        no_answer_probability=result.no_answer_probability,
    )


def _generate_all(
    prompts: Sequence[Prompt], generate: Callable[[Sequence[Prompt]], list[Generated]], batch_size: int
) -> list[Generated]:
    """Answers batch by batch; when memory runs out, batches are halved and the work goes on."""
    done: list[Generated] = []
    while len(done) < len(prompts):
        try:
            done += generate(prompts[len(done) : len(done) + batch_size])
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
            batch_size = max(1, batch_size // 2)
            logger.warning("memory ran out; generating for %d prompts at once from here on", batch_size)
            torch.cuda.empty_cache()  # does nothing where CUDA is not in use
    return done


def _knowledge(passages: Sequence[Passage], mode: ReadingMode) -> list[tuple[int | None, str | None]]:
    """(which passage, what it says) of each prompt."""
    if not passages:
        return [(None, None)]
    contents = [passage.content for passage in passages]
    return [(None, all_passages(contents))] if mode is ReadingMode.LONG_CONTEXT else list(enumerate(contents))


def generation_arguments(settings: GenerationSettings) -> dict[str, Any]:
    """Arguments of `generate` for deterministic beam search that reports its scores."""
    return {
        "num_beams": settings.beams,
        "max_new_tokens": settings.max_new_tokens,
        "do_sample": False,
        "length_penalty": 1.0,
        "return_dict_in_generate": True,
        "output_scores": True,
    }


def sequence_scores(model: Any, output: Any) -> Tensor:  # noqa: ANN401  (outputs of transformers' generate)
    """Mean log-probability of the generated tokens, the end token among them.

    Beam search reports it (`sequences_scores`, length-normalised); for greedy search it is computed here.

    Returns:
        (batch,) float32.
    """
    if getattr(output, "sequences_scores", None) is not None:
        scores: Tensor = output.sequences_scores
        return scores.float().cpu()
    tokens = model.compute_transition_scores(output.sequences, output.scores, normalize_logits=True).float().cpu()
    generated = output.sequences[:, -tokens.shape[1] :].cpu()
    ends = torch.as_tensor(model.generation_config.eos_token_id).reshape(-1)
    ended = torch.isin(generated, ends).cumsum(dim=1)
    kept = (ended == 0) | ((ended == 1) & torch.isin(generated, ends))  # what follows the end token is padding
    return torch.where(kept, tokens, 0.0).sum(dim=1) / kept.sum(dim=1)
