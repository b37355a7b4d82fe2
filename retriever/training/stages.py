"""Runs the stages of a recipe (`recipe.py`) on a model, and goes on where it was stopped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from retriever.late_interaction import CHUNK_ELEMENTS, maxsim_matrix
from retriever.modeling import FLMRModelForRetrieval
from retriever.parts import Parts
from retriever.tokenization import FLMRContextTokenizer, FLMRQueryTokenizer
from retriever.training.data import Batch, KnowledgeSampler, PassageSampler, Query
from retriever.training.loop import Resumable, RunLog, parameter_groups, set_rate
from retriever.training.losses import contrast, unevenness
from retriever.training.pictures import PictureRenderer, PictureSettings
from retriever.training.recipe import StageSettings
from retriever.training.vision import normalise

__all__ = ["PassageRows", "StageTrainer"]

_CHUNK_ON_GPU = 1 << 29  # cosines held at a time there
_PASSAGES_AT_ONCE, _PASSAGES_AT_ONCE_ON_GPU = 16, 256
_FLATNESS = 0.2  # weight of pictures that show no entity
_PICTURES = PictureSettings(other_drawings=0.75, outline_share=0.12, clutter_share=0.6, closer_share=0.75)


@dataclass(frozen=True)
class PassageRows:
    """Rows of a corpus that no longer changes.

    Attributes:
        rows: (n_passages, n_tokens, dim) float16, padded.
        mask: (n_passages, n_tokens) bool.
    """

    rows: Tensor
    mask: Tensor

    def take(self, places: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Rows and mask of some passages, cut to the longest of them."""
        mask = self.mask[list(places)]
        width = int(mask.any(dim=0).nonzero().max()) + 1
        return self.rows[list(places), :width].float(), mask[:, :width]


class StageTrainer:
    """Runs stages on one model.

    Args:
        model: trained in place, without dropout; on a CPU with eager attention from then on.
        query_tokenizer, context_tokenizer: the model's.
        knowledge: batches of knowledge questions.
        passages: batches of passages' sentences.
        renderer: draws the pictures.
        instructions: for pictures with a question, pictures alone, and questions alone; one is drawn a query, the
            first as often as the others together.
        corpus_texts: the texts that the knowledge batches' places mean.
        amp: bfloat16 autocast; pays only where the processor multiplies it in hardware.
    """

    def __init__(
        self,
        model: FLMRModelForRetrieval,
        query_tokenizer: FLMRQueryTokenizer,
        context_tokenizer: FLMRContextTokenizer,
        *,
        knowledge: KnowledgeSampler,
        passages: PassageSampler,
        renderer: PictureRenderer,
        instructions: tuple[Sequence[str], Sequence[str], Sequence[str]],
        corpus_texts: Sequence[str],
        amp: bool = False,
    ) -> None:
        self.model, self._amp = model.eval(), amp
        self._device = next(model.parameters()).device
        if self._device.type == "cpu":
            model.set_attention("eager")  # sdpa's backward pass takes twice as long there
        self._query_tokenizer, self._context_tokenizer = query_tokenizer, context_tokenizer
        self._knowledge, self._passages, self._renderer = knowledge, passages, renderer
        self._instructions, self._corpus_texts = instructions, tuple(corpus_texts)

    def run(self, stage: StageSettings, folder: Path) -> None:
        """Runs a stage to its end, going on where an earlier run of it stopped."""
        folder = folder / stage.name
        torch.manual_seed(stage.seed)
        parameters = self._choose_parameters(stage.trained)
        groups = parameter_groups(parameters, stage.weight_decay)
        optimiser = torch.optim.AdamW(groups, lr=stage.learning_rate, betas=(0.9, 0.98))
        before = [value.detach().clone() for value in parameters.values()] if stage.averaged else []
        state = Resumable(folder / "state.pt", {"model": self.model, "optimiser": optimiser})
        start = state.load()
        rng = random.Random(stage.seed + start)
        frozen_text = not any(name.startswith("query_text_encoder") for name in parameters)
        rows = self.encode_corpus() if frozen_text and start < stage.steps else None
        log = RunLog(folder / "log.jsonl", stage.log_every)
        for step in range(start, stage.steps):
            set_rate(optimiser, step, steps=stage.steps, warmup=stage.warmup, peak=stage.learning_rate)
            batch = self._draw(stage, rng)
            scores = self._scores(batch, rows, rng)
            known, blank = batch.target >= 0, bool((batch.target < 0).any())
            target, counted = batch.target[known].to(self._device), batch.counted.to(self._device)
            known = known.to(self._device)
            loss = contrast(scores[known], target, counted[known])
            if blank:
                loss = loss + _FLATNESS * unevenness(scores[~known], counted[~known])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
            optimiser.step()
            best = scores.detach().masked_fill(~counted, -torch.inf).argmax(dim=1)
            log.add(step + 1, loss=loss.detach(), right=(best[known] == target).float().mean())
            if step + 1 == stage.steps and before:
                torch._foreach_lerp_([value.data for value in parameters.values()], before, 0.5)
            if (step + 1) % stage.save_every == 0 or step + 1 == stage.steps:
                state.save(step + 1)

    @torch.inference_mode()
    def encode_corpus(self) -> PassageRows:
        """Rows of every passage of the corpus under the weights of now."""
        with self._precision():
            rows, mask = self._encode_passages(self._corpus_texts)
        return PassageRows(rows=rows.half().clone(), mask=mask.clone())

    def _encode_passages(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Rows (n_passages, n_tokens, dim) and mask, padded; those of like length are encoded together."""
        at_once = _PASSAGES_AT_ONCE if self._device.type == "cpu" else _PASSAGES_AT_ONCE_ON_GPU
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts = []
        for start in range(0, len(texts), at_once):
            tokens = self._context_tokenizer(
                [texts[place] for place in order[start : start + at_once]], padding="longest"
            )
            tokens = {name: value.to(self._device) for name, value in tokens.items()}
            parts.append(self.model.doc(tokens["input_ids"], tokens["attention_mask"]))
        width = max(part.mask.shape[1] for part in parts)
        rows = [
            functional.pad(one, (0, 0, 0, width - one.shape[1])) for one in (p.late_interaction_output for p in parts)
        ]
        masks = [functional.pad(part.mask, (0, width - part.mask.shape[1])) for part in parts]
        back = torch.tensor(order, device=self._device).argsort()
        return torch.cat(rows)[back], torch.cat(masks)[back]

    def _choose_parameters(self, prefixes: tuple[str, ...]) -> dict[str, nn.Parameter]:
        chosen = {}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith(prefixes))
            if parameter.requires_grad:
                chosen[name] = parameter
        return chosen

    def _draw(self, stage: StageSettings, rng: random.Random) -> Batch:
        if rng.random() < stage.passage_share:
            return self._passages.draw(
                rng, stage.passage_batch, asked_share=stage.asked_share, questions=stage.passage_questions
            )
        return self._knowledge.draw(
            rng,
            n_entities=stage.entities,
            n_relations=stage.relations,
            n_extra=stage.extra,
            mix=stage.mix,
            shown_share=stage.shown_share,
            disguised_share=stage.disguised_share,
            n_blank=stage.blank,
        )

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._amp)

    def _scores(self, batch: Batch, rows: PassageRows | None, rng: random.Random) -> Tensor:
        """(n_queries, n_passages) late-interaction scores."""
        with self._precision():
            queries = self._encode_queries(batch.queries, rng)
            if rows is not None and batch.places is not None:
                passages, mask = rows.take(batch.places)
            else:
                passages, mask = self._encode_passages(batch.texts)
            if any(picture >= 0 for picture in batch.pictures):
                shown, shown_mask = self._picture_rows(batch.pictures)
                passages, mask = torch.cat([passages, shown], dim=1), torch.cat([mask, shown_mask], dim=1)
        return maxsim_matrix(
            queries,
            passages,
            mask,
            chunk_elements=CHUNK_ELEMENTS if self._device.type == "cpu" else _CHUNK_ON_GPU,
            dtype=torch.bfloat16 if self._amp else torch.float32,
        )

    @torch.no_grad()
    def _picture_rows(self, pictures: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Rows (n_passages, prefix, dim) and mask of passages' pictures, each drawn anew; they stand still, as the
        same projection learns from the queries' side, and so the passages need no gradient."""
        drawn = sorted({picture for picture in pictures if picture >= 0})
        pixels = normalise(self._renderer.render(torch.tensor(drawn), _PICTURES))
        rows = self.model.doc(pixel_values=pixels, parts=Parts.IMAGE).late_interaction_output
        shown = torch.tensor([picture >= 0 for picture in pictures], device=self._device)
        places = torch.tensor(
            [drawn.index(picture) if picture >= 0 else 0 for picture in pictures], device=self._device
        )
        weight = self.model.config.passage_picture_weight
        return weight * rows[places], shown[:, None].expand(-1, rows.shape[1])

    def _encode_queries(self, queries: Sequence[Query], rng: random.Random) -> Tensor:
        tokens = self._query_tokenizer([self._instructed(query, rng) for query in queries])
        tokens = {name: value.to(self._device) for name, value in tokens.items()}
        pictures = torch.tensor([query.picture for query in queries])
        if bool((pictures == -1).all()):
            return self.model.query(**tokens, parts=Parts.TEXT).late_interaction_output
        pixels = normalise(self._renderer.render(pictures.clamp(min=-1), _PICTURES))
        parts = [Parts.TEXT if query.picture == -1 else Parts.TEXT_AND_IMAGE for query in queries]
        return self.model.query(**tokens, pixel_values=pixels, parts=parts).late_interaction_output

    def _instructed(self, query: Query, rng: random.Random) -> str:
        kind = 2 if query.picture == -1 else 0 if query.text else 1
        choices = self._instructions[kind]
        instruction = choices[0] if rng.random() < 0.5 else rng.choice(choices)
        return f"{instruction.strip().rstrip(':')}:  {query.text} "
