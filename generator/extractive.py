"""The extractive reader: the answer is a span of the passage.

A BERT-like encoder reads "[CLS] question [SEP] passage [SEP]" and gives every token a start and an end logit; see
`generator.spans` for the probabilities. It sees no picture: what the picture shows has found the passage. The
checkpoint is an ordinary question-answering checkpoint of transformers (config.json, model.safetensors, tokenizer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from generator.calibration import Calibration
from generator.encoding import EncodedPairs, encode_pairs
from generator.protocol import Candidate, SingleQuestions
from generator.spans import span_log_probabilities
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["ExtractiveReader", "ExtractiveSettings", "Span"]

_NO_KNOWLEDGE = Candidate(answer="", log_likelihood=0.0, passage_index=None, no_answer_probability=1.0)


@dataclass(frozen=True, kw_only=True)
class ExtractiveSettings:
    """How passages are read."""

    max_tokens: int = 320  # of a window; longer passages are read in several
    max_question_tokens: int = 64  # longer questions are cut
    stride: int = 64  # tokens that neighbouring windows share
    max_answer_tokens: int = 40
    batch_size: int = 32  # windows encoded at once

    def __post_init__(self) -> None:
        room = self.max_tokens - self.max_question_tokens - 3  # [CLS], [SEP], [SEP]
        if room <= self.stride:
            raise ValueError(
                f"max_tokens ({self.max_tokens}) leaves {room} tokens to the passage; "
                f"it must be more than stride ({self.stride})"
            )


@dataclass(frozen=True, kw_only=True)
class Span:
    """The best answer of one window.

    Attributes:
        start: first character in the passage's content.
        end: one past the last character.
        log_probability: of this span, normalised over all spans of the window and no answer.
        log_no_answer: log-probability that the window does not hold the answer.
    """

    start: int
    end: int
    log_probability: float
    log_no_answer: float


class ExtractiveReader(SingleQuestions):
    """Proposes the likeliest span of each passage. See `generator.protocol.Generator`."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,  # noqa: ANN401
        settings: ExtractiveSettings | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """
        Args:
            model: a question-answering model of transformers.
            tokenizer: its fast tokenizer.
            settings: how passages are read.
            calibration: of the confidence in its answers.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.settings = settings or ExtractiveSettings()
        self.calibration = calibration or Calibration()

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """One candidate a passage of each question; without passages one that says "no knowledge"."""
        if len(questions) != len(passages_of_each):
            raise ValueError(f"{len(questions)} questions came with {len(passages_of_each)} lists of passages")
        texts = [q.text for q, passages in zip(questions, passages_of_each, strict=True) for _ in passages]
        contents = [passage.content for passages in passages_of_each for passage in passages]
        spans = iter(zip(self.read(texts, contents), contents, strict=True))
        return [
            [_candidate(*next(spans), index) for index in range(len(passages))] if passages else [_NO_KNOWLEDGE]
            for passages in passages_of_each
        ]

    @torch.inference_mode()
    def read(self, questions: Sequence[str], contents: Sequence[str]) -> list[Span | None]:
        """The likeliest span of each (question, content) pair; None where the content has no word.

        A content that takes several windows is answered from the window with the likeliest span, and lacks the answer
        only as far as all its windows do.
        """
        if not questions:
            return []
        settings = self.settings
        pairs = encode_pairs(
            self.tokenizer,
            questions,
            contents,
            max_tokens=settings.max_tokens,
            max_question_tokens=settings.max_question_tokens,
            stride=settings.stride,
        )
        best: list[Span | None] = [None] * len(questions)
        for window, span in self._windows(pairs):
            known = best[pairs.owner[window]]
            if known is not None:
                better = span if span.log_probability > known.log_probability else known
                span = replace(better, log_no_answer=min(known.log_no_answer, span.log_no_answer))
            best[pairs.owner[window]] = span
        return best

    def _windows(self, pairs: EncodedPairs) -> list[tuple[int, Span]]:
        """Best span of every window that has one, in batches of like length."""
        lengths = pairs.inputs["attention_mask"].sum(dim=1)
        order = torch.argsort(lengths, stable=True)
        found: list[tuple[int, Span]] = []
        for chunk in torch.split(order, self.settings.batch_size):
            cut = int(lengths[chunk].max())
            scores, no_answer = self._score(pairs, chunk, cut)
            values, places = scores.flatten(1).max(dim=1)
            for row, window in enumerate(chunk.tolist()):
                if math.isinf(float(values[row])):
                    continue
                first, more = divmod(int(places[row]), scores.shape[2])
                start, end = pairs.offsets[window][first, 0], pairs.offsets[window][first + more, 1]
                found.append(
                    (
                        window,
                        Span(
                            start=int(start),
                            end=int(end),
                            log_probability=float(values[row]),
                            log_no_answer=float(no_answer[row]),
                        ),
                    )
                )
        return found

    def _score(self, pairs: EncodedPairs, chunk: Tensor, cut: int) -> tuple[Tensor, Tensor]:
        device = next(self.model.parameters()).device
        inputs = {name: value[chunk, :cut].to(device) for name, value in pairs.inputs.items()}
        output = self.model(**inputs)
        spans, no_answer = span_log_probabilities(
            output.start_logits,
            output.end_logits,
            pairs.starts[chunk, :cut].to(device),
            pairs.ends[chunk, :cut].to(device),
            width=self.settings.max_answer_tokens,
        )
        return spans.cpu(), no_answer.cpu()


def _candidate(span: Span | None, content: str, index: int) -> Candidate:
    if span is None:
        return Candidate(answer="", log_likelihood=0.0, passage_index=index, no_answer_probability=1.0)
    return Candidate(
        answer=content[span.start : span.end],
        log_likelihood=min(0.0, span.log_probability),
        passage_index=index,
        no_answer_probability=min(1.0, math.exp(span.log_no_answer)),
    )
