"""What the generating models share: settings, one prompt a passage, batches, and the score of what was generated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from generator.protocol import Candidate
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["Generated", "GenerationSettings", "Prompt", "generation_arguments", "propose_prompts", "sequence_scores"]

logger = logging.getLogger(__name__)

Generated = tuple[str, float]  # an answer and its log-likelihood


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How answers are generated; the defaults are RA-VQA's."""

    beams: int = 5
    max_new_tokens: int = 10
    max_prompt_tokens: int = 512  # longer knowledge is cut at its end
    batch_size: int = 8  # prompts generated for at once

    def __post_init__(self) -> None:
        for name in ("beams", "max_new_tokens", "max_prompt_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One thing to generate: an answer to the question from one passage, or from none."""

    question_index: int
    question: VisualQuestion
    knowledge: str | None


def propose_prompts(
    questions: Sequence[VisualQuestion],
    passages_of_each: Sequence[Sequence[Passage]],
    generate: Callable[[Sequence[Prompt]], list[Generated]],
    *,
    batch_size: int,
) -> list[list[Candidate]]:
    """Candidates for every question, from a function that answers a batch of prompts.

    Raises:
        ValueError: the two sequences differ in length.
        torch.OutOfMemoryError: memory does not do for a single prompt.
    """
    if len(questions) != len(passages_of_each):
        raise ValueError(f"{len(questions)} questions came with {len(passages_of_each)} lists of passages")
    prompts = [
        Prompt(question_index=number, question=question, knowledge=knowledge)
        for number, (question, passages) in enumerate(zip(questions, passages_of_each, strict=True))
        for knowledge in _knowledge(passages)
    ]
    generated = _generate_all(prompts, generate, batch_size)
    candidates: list[list[Candidate]] = [[] for _ in questions]
    for prompt, (answer, score) in zip(prompts, generated, strict=True):
        group = candidates[prompt.question_index]
        group.append(
            Candidate(
                answer=answer,
                log_likelihood=score,
                passage_index=None if prompt.knowledge is None else len(group),
            )
        )
    return candidates


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


def _knowledge(passages: Sequence[Passage]) -> list[str | None]:
    return [passage.content for passage in passages] if passages else [None]


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
