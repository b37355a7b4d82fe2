"""What the generating models share: settings, one prompt a passage, batches, and the score of what was generated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from generator.modes import ReadingMode
from generator.prompts import all_passages
from generator.protocol import Candidate
from knowledge_bases.records import Passage, VisualQuestion

__all__ = [
    "BatchSize",
    "Generated",
    "GenerationSettings",
    "Prompt",
    "candidate_of",
    "generate_all",
    "generation_arguments",
    "prompts_for",
    "propose_prompts",
    "results_of",
]

logger = logging.getLogger(__name__)


class Generated(NamedTuple):
    """What was generated from one prompt; see `Candidate`."""

    answer: str
    log_likelihood: float
    no_answer_probability: float = 0.0
    mean_log_likelihood: float | None = None


class BatchSize:
    """How many prompts are generated for at once: fewer, from then on, when memory ran out."""

    def __init__(self, size: int) -> None:
        self.size = size

    def halve(self) -> None:
        """Takes half as many from here on."""
        self.size = max(1, self.size // 2)
        logger.warning("memory ran out; generating for %d prompts at once from here on", self.size)


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How answers are generated; the defaults are RA-VQA's, see `for_mode`."""

    mode: ReadingMode = ReadingMode.RA_VQA
    beams: int = 5
    max_new_tokens: int = 10
    max_prompt_tokens: int = 512  # of text; longer knowledge is cut at its end
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
    batch_size: BatchSize,
    mode: ReadingMode = ReadingMode.RA_VQA,
) -> list[list[Candidate]]:
    """Candidates for every question, from a function that answers a batch of prompts.

    Raises:
        ValueError: the two sequences differ in length.
        torch.OutOfMemoryError: memory does not do for a single prompt.
    """
    prompts = prompts_for(questions, passages_of_each, mode)
    candidates: list[list[Candidate]] = [[] for _ in questions]
    for prompt, result in zip(prompts, generate_all(prompts, generate, batch_size), strict=True):
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
        mean_log_likelihood=result.mean_log_likelihood,
    )


def generate_all(
    prompts: Sequence[Prompt], generate: Callable[[Sequence[Prompt]], list[Generated]], batch: BatchSize
) -> Iterator[Generated]:
    """Answers in the prompts' order, batch by batch; when memory runs out, batches are halved and the work goes on.

    Raises:
        torch.OutOfMemoryError: memory does not do for a single prompt.
    """
    done = 0
    while done < len(prompts):
        results: list[Generated] = []
        try:
            results = generate(prompts[done : done + batch.size])
        except torch.OutOfMemoryError:
            if batch.size == 1:
                raise
        if not results:  # outside of `except`, where the error no longer holds on to what was computed
            batch.halve()
            torch.cuda.empty_cache()  # does nothing where CUDA is not in use
        done += len(results)
        yield from results


def _knowledge(passages: Sequence[Passage], mode: ReadingMode) -> list[tuple[int | None, str | None]]:
    """(which passage, what it says) of each prompt."""
    if not passages:
        return [(None, None)]
    contents = [passage.content for passage in passages]
    return [(None, all_passages(contents))] if mode is ReadingMode.LONG_CONTEXT else list(enumerate(contents))


def generation_arguments(settings: GenerationSettings) -> dict[str, Any]:
    """Arguments of `generate` for deterministic beam search that reports its scores.

    What a checkpoint's own settings would add to change probabilities is left out: scores are the model's own.
    """
    return {
        "num_beams": settings.beams,
        "max_new_tokens": settings.max_new_tokens,
        "do_sample": False,
        "length_penalty": 1.0,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "min_length": 0,
        "return_dict_in_generate": True,
        "output_scores": True,
    }


def results_of(model: Any, output: Any, answers: Sequence[str]) -> list[Generated]:  # noqa: ANN401
    """Answers with the log-probabilities of their tokens, the end token among them: summed, and their mean.

    Beam search reports the mean (`sequences_scores`, length-normalised); for greedy search it is computed here.

    Args:
        model: that generated.
        output: what its `generate` gave with `generation_arguments`.
        answers: the texts of the sequences.
    """
    if getattr(output, "sequences_scores", None) is not None:
        means = output.sequences_scores.float().cpu()
        lengths = (output.beam_indices >= 0).sum(dim=1).cpu()
    else:
        tokens = model.compute_transition_scores(output.sequences, output.scores, normalize_logits=True).float().cpu()
        generated = output.sequences[:, -tokens.shape[1] :].cpu()
        ends = torch.as_tensor(model.generation_config.eos_token_id).reshape(-1)
        ended = torch.isin(generated, ends).cumsum(dim=1)
        kept = (ended == 0) | ((ended == 1) & torch.isin(generated, ends))  # what follows the end token is padding
        lengths = kept.sum(dim=1)
        means = torch.where(kept, tokens, 0.0).sum(dim=1) / lengths
    means = means.clamp(max=0.0)
    return [
        Generated(answer.strip(), total, mean_log_likelihood=mean)
        for answer, total, mean in zip(answers, (means * lengths).tolist(), means.tolist(), strict=True)
    ]
