"""Beam search that can only copy from the passage, and how sure the model is that the answer is not there.

A checkpoint trained for it names in its configuration the word with which it says so (`no_answer_word`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from generator.generation import Generated, GenerationSettings
from generator.passage_spans import PassageSpans

__all__ = ["no_answer_token", "read_spans"]


def no_answer_token(config: Any, tokenizer: Any) -> int | None:  # noqa: ANN401
    """The token of the checkpoint's no-answer word; None for a checkpoint that answers freely.

    Raises:
        ValueError: the word is not a single token of the tokenizer.
    """
    word = getattr(config, "no_answer_word", None)
    if word is None:
        return None
    token = tokenizer.get_vocab().get(word)
    if token is None:
        raise ValueError(f"config.json names {word!r} as the no-answer word, which the tokenizer does not know")
    return int(token)


@torch.inference_mode()
def read_spans(
    model: Any,  # noqa: ANN401
    inputs: dict[str, Tensor],
    passages: Sequence[PassageSpans],
    texts: Sequence[str],
    *,
    no_answer: int,
    settings: GenerationSettings,
) -> list[Generated]:
    """The likeliest piece of each passage.

    Args:
        model: a decoder-only language model of transformers.
        inputs: `inputs_embeds` and `attention_mask` of the prompts, padded on the left.
        passages: the passage within each prompt.
        texts: their texts.
        no_answer: token that says that the answer is not there.
        settings: beams.

    Returns:
        of each prompt the piece as the passage spells it, the log-probability of its tokens among all pieces and
        no answer, and the probability of no answer.
    """
    output = model.generate(
        **inputs,
        num_beams=settings.beams,
        max_new_tokens=max(spans.width for spans in passages) + 1,
        do_sample=False,
        length_penalty=0.0,  # the sum over tokens, not their mean
        renormalize_logits=True,
        prefix_allowed_tokens_fn=lambda row, tokens: passages[row].allowed(tokens.tolist()),
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
    )
    first = output.logits[0].float()[:: settings.beams]  # (batch, vocabulary)
    scores = _sums(model, output).tolist()
    found = []
    for row, (spans, text) in enumerate(zip(passages, texts, strict=True)):
        answer = list(takewhile(spans.end.__ne__, output.sequences[row].tolist()))
        place = spans.place(answer)
        if place is None:
            found.append(Generated("", 0.0, 1.0))
            continue
        choices = [token for token in spans.allowed(()) if token != no_answer]
        absent = float(first[row, [no_answer, *choices]].log_softmax(dim=0)[0].exp())
        present = math.log(max(1e-9, 1.0 - absent))
        found.append(Generated(text[place[0] : place[1]], min(0.0, scores[row] + present), min(1.0, absent)))
    return found


def _sums(model: Any, output: Any) -> Tensor:  # noqa: ANN401
    """(batch,) log-probability of the generated tokens up to and with the end token."""
    if getattr(output, "sequences_scores", None) is not None:
        scores: Tensor = output.sequences_scores
        return scores.float().cpu()
    tokens: Tensor = model.compute_transition_scores(output.sequences, output.scores).float().cpu()
    return torch.where(tokens.isfinite(), tokens, 0.0).sum(dim=1)  # what pads an ended answer was not allowed
