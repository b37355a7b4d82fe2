"""The stages of PreFLMR's training (arXiv:2402.08327), at the size of PreFLMR-mini.

0 the text encoder learns late interaction; 1 the mapping structure learns to speak its language, everything else
frozen; 2 knowledge questions about pictures; 3 all tasks together. The vision encoder stays frozen, as published. A
last stage is ours: the text stands still again, so the rows of passages can be kept, and the vision encoder's upper
layers and the mapping structure tell an entity from many others at once, which a batch with freshly encoded passages
has no room for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retriever.late_interaction import CHUNK_ELEMENTS, maxsim_matrix
from retriever.modeling import FLMRModelForRetrieval
from retriever.parts import Parts
from retriever.processing import IMAGE_AND_QUESTION, IMAGE_ONLY, QUESTION_ONLY
from retriever.tokenization import FLMRContextTokenizer, FLMRQueryTokenizer
from retriever.training.data import Batch, KnowledgeSampler, PassageSampler, Query, TaskMix
from retriever.training.loop import Resumable, RunLog, parameter_groups, set_rate
from retriever.training.pictures import PictureRenderer, PictureSettings
from retriever.training.vision import normalise

__all__ = [
    "GPU_STAGES",
    "INSTRUCTIONS",
    "STAGES",
    "PassageRows",
    "StageSettings",
    "StageTrainer",
    "contrast",
    "unevenness",
]

# For pictures with a question, pictures alone, questions alone; the first of each is what the processor puts by itself.
INSTRUCTIONS = (
    (
        IMAGE_AND_QUESTION,
        "Retrieve documents that provide an answer to the question alongside the image:",
        "Extract documents linked to the question provided in conjunction with the image:",
        "Utilizing the given image, obtain documents that respond to the following question:",
        "Using the given image, access documents that provide insights into the following question:",
        "Obtain documents that correspond to the inquiry alongside the provided image:",
        "With the provided image, gather documents that offer a solution to the question:",
    ),
    (
        IMAGE_ONLY,
        "Provide information about the document linked to this image.:",
        "What is the document that this image is related to?:",
        "What document is represented by this image?:",
    ),
    (QUESTION_ONLY, "Find passages that hold the answer:"),
)

_CHUNK_ON_GPU = 1 << 29  # cosines held at a time there
_FLATNESS = 0.2  # weight of pictures that show no entity
_PICTURES = PictureSettings(other_drawings=0.75, outline_share=0.12, clutter_share=0.6, closer_share=0.75)
_MAPPING = ("query_vision_projection.", "transformer_mapping_")
# The lower layers stand still, since the region head reads the patches after them (`retriever/region.py`): it can be
# trained beside this stage.
_VISION = "query_vision_encoder.vision_model.vision_model.encoder"
_UPPER_VISION = tuple(f"{_VISION}.layers.{layer}." for layer in range(3, 12))
_UPPER_TEXT = (
    *(f"query_text_encoder.bert_model.encoder.layer.{layer}." for layer in range(2, 6)),
    "query_text_encoder_linear.",
)


_TEXT = ("query_text_encoder.bert_model.encoder.layer.", "query_text_encoder_linear.")


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One stage.

    Attributes:
        name: names its folder.
        steps: batches.
        trained: prefixes of the parameters that learn.
        learning_rate: peak of the schedule.
        entities, relations, extra: a knowledge batch, see `KnowledgeSampler.draw`.
        mix: tasks of the knowledge batches.
        passage_share: part of the batches that are sentences of passages instead.
        passage_batch: queries of such a batch.
        asked_share: part of them that are questions made of a sentence, which stays in the passage.
        shown_share: part of the entities whose passages come with a picture of their own.
        disguised_share: part of the entities that an invented picture is shown for, beside their passages as well.
        blank: queries of a knowledge batch whose picture shows no entity: no passage shall stand out for them.
    """

    name: str
    steps: int
    trained: tuple[str, ...]
    learning_rate: float
    entities: int = 6
    relations: int = 5
    extra: int = 0
    mix: TaskMix = field(default_factory=TaskMix)
    passage_share: float = 0.0
    passage_batch: int = 24
    asked_share: float = 0.6
    shown_share: float = 0.0
    disguised_share: float = 0.0
    blank: int = 0
    weight_decay: float = 0.01
    warmup: int = 30
    save_every: int = 100
    log_every: int = 10
    seed: int = 1


STAGES = (
    StageSettings(
        name="0-text",
        steps=360,
        trained=_UPPER_TEXT,
        learning_rate=1e-4,
        mix=TaskMix(picture_and_question=0, name_and_question=1, question=1),
        passage_share=0.5,
    ),
    StageSettings(
        name="1-mapping",
        steps=350,
        trained=_MAPPING,
        learning_rate=1e-3,
        entities=12,
        relations=4,
        extra=80,
        mix=TaskMix(picture_and_question=2, picture=1),
    ),
    StageSettings(
        name="2-knowledge",
        steps=100,
        trained=_MAPPING + _UPPER_TEXT,
        learning_rate=1e-4,
        mix=TaskMix(picture_and_question=1),
    ),
    StageSettings(
        name="3-all",
        steps=160,
        trained=_MAPPING + _UPPER_TEXT,
        learning_rate=1e-4,
        mix=TaskMix(picture_and_question=4, picture=1, name_and_question=1, question=1),
        passage_share=0.2,
        shown_share=0.2,
    ),
    StageSettings(
        name="4-entities",
        steps=1000,
        trained=_MAPPING + _UPPER_VISION,
        learning_rate=1e-3,
        entities=22,
        relations=2,
        extra=260,
        mix=TaskMix(picture_and_question=4, picture=1),
        shown_share=0.2,
        disguised_share=0.2,
        blank=4,
    ),
)


_MORE_ON_GPU: dict[str, dict[str, Any]] = {
    "0-text": {"steps": 2000, "trained": _TEXT, "entities": 16, "passage_share": 0.75, "passage_batch": 192},
    "1-mapping": {"entities": 24, "extra": 200},
    "2-knowledge": {"entities": 24},
    "3-all": {"trained": _MAPPING + _TEXT, "entities": 24, "passage_share": 0.5, "passage_batch": 192},
    "4-entities": {"entities": 48, "extra": 600, "blank": 8},
}
GPU_STAGES = tuple(replace(stage, warmup=100, **_MORE_ON_GPU[stage.name]) for stage in STAGES)


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


def contrast(scores: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy of the right passage against those that count.

    Args:
        scores: (n_queries, n_passages).
        target: (n_queries,) the right passage.
        counted: (n_queries, n_passages) bool, False at passages that must not push.
    Returns:
        scalar.
    """
    return nn.functional.cross_entropy(scores.masked_fill(~counted, -torch.inf), target)


def unevenness(scores: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy of an even distribution over the passages that count, less its own entropy: 0 if scores are equal.

    Args:
        scores: (n_queries, n_passages).
        counted: (n_queries, n_passages) bool, True at one passage or more of each query.
    Returns:
        scalar.
    """
    total = torch.logsumexp(scores.masked_fill(~counted, -torch.inf), dim=1)
    mean = scores.masked_fill(~counted, 0.0).sum(dim=1) / counted.sum(dim=1)
    return (total - mean - counted.sum(dim=1).log()).mean()


class StageTrainer:
    """Runs stages on one model.

    Args:
        model: trained in place, without dropout.
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
            if (step + 1) % stage.save_every == 0 or step + 1 == stage.steps:
                state.save(step + 1)

    @torch.inference_mode()
    def encode_corpus(self) -> PassageRows:
        """Rows of every passage of the corpus under the weights of now."""
        parts: list[tuple[Tensor, Tensor]] = []
        for start in range(0, len(self._corpus_texts), 32):
            tokens = self._passage_tokens(self._corpus_texts[start : start + 32])
            with self._precision():
                rows = self.model.doc(tokens["input_ids"], tokens["attention_mask"])
            parts.append((rows.late_interaction_output.half(), rows.mask))
        width = max(mask.shape[1] for _, mask in parts)
        wide = [nn.functional.pad(rows, (0, 0, 0, width - rows.shape[1])) for rows, _ in parts]
        masks = [nn.functional.pad(mask, (0, width - mask.shape[1])) for _, mask in parts]
        return PassageRows(rows=torch.cat(wide).clone(), mask=torch.cat(masks).clone())

    def _choose_parameters(self, prefixes: tuple[str, ...]) -> dict[str, nn.Parameter]:
        chosen = {}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith(prefixes))
            if parameter.requires_grad:
                chosen[name] = parameter
        return chosen

    def _draw(self, stage: StageSettings, rng: random.Random) -> Batch:
        if rng.random() < stage.passage_share:
            return self._passages.draw(rng, stage.passage_batch, asked_share=stage.asked_share)
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

    def _passage_tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        tokens = self._context_tokenizer(list(texts), padding="longest")
        return {name: value.to(self._device) for name, value in tokens.items()}

    def _scores(self, batch: Batch, rows: PassageRows | None, rng: random.Random) -> Tensor:
        """(n_queries, n_passages) late-interaction scores."""
        with self._precision():
            queries = self._encode_queries(batch.queries, rng)
            if rows is not None and batch.places is not None:
                passages, mask = rows.take(batch.places)
            else:
                tokens = self._passage_tokens(batch.texts)
                encoded = self.model.doc(tokens["input_ids"], tokens["attention_mask"])
                passages, mask = encoded.late_interaction_output, encoded.mask
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
