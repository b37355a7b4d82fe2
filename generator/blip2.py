"""BLIP-2 (arXiv:2301.12597) as a generator: the published checkpoints with Flan-T5 or OPT as language model.

The picture passes the ViT and the Q-Former once a question, however many passages are read; the language model then
gets the picture's query tokens followed by the prompt, one sequence a passage, as in RA-VQA. A checkpoint that was
trained to copy (`generator.training.blip2`) answers with pieces of the passage only; see `generator.span_decoding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from generator.fitting import fit_knowledge, within_positions
from generator.generation import (
    BatchSize,
    Generated,
    GenerationSettings,
    Prompt,
    generation_arguments,
    prompts_for,
    propose_prompts,
    results_of,
)
from generator.passage_spans import PassageSpans
from generator.prompts import knowledge_prompt
from generator.protocol import Candidate, SingleQuestions
from generator.span_decoding import no_answer_token, read_spans
from generator.streaming import CandidateStream, stream_prompts
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["Blip2Generator"]


class Blip2Generator(SingleQuestions):
    """Generates an answer from each passage with `Blip2ForConditionalGeneration`. See `generator.protocol`."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401  (transformers ships no types)
        tokenizer: Any,  # noqa: ANN401
        image_processor: Any,  # noqa: ANN401
        settings: GenerationSettings | None = None,
    ) -> None:
        """
        Args:
            model: a `Blip2ForConditionalGeneration`.
            tokenizer: the fast tokenizer of its language model.
            image_processor: makes its pixel values.
            settings: how answers are generated.

        Raises:
            ValueError: the checkpoint's no-answer word is unknown to its tokenizer.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.tokenizer.padding_side = "left" if model.config.use_decoder_only_language_model else "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.image_processor = image_processor
        self.settings = settings or GenerationSettings()
        self._batch = BatchSize(self.settings.batch_size)
        self._no_answer = no_answer_token(model.config, tokenizer)

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """One generated candidate a passage of each question; one from picture and question alone without passages."""
        features = [self.encode_image(question.image) for question in questions]
        return propose_prompts(
            questions,
            passages_of_each,
            lambda prompts: self._generate(prompts, features),
            batch_size=self._batch,
            mode=self.settings.mode,
        )

    def stream(self, question: VisualQuestion, passages: Sequence[Passage]) -> CandidateStream:
        """The first answer as it grows, where it is written by one beam; then each candidate as it comes."""
        features = [self.encode_image(question.image)]
        grows = self.settings.beams == 1 and self._no_answer is None
        return stream_prompts(
            prompts_for([question], [passages], self.settings.mode),
            lambda prompts, streamer: self._generate(prompts, features, streamer=streamer),
            tokenizer=self.tokenizer if grows else None,
            batch_size=self._batch,
        )

    @torch.inference_mode()
    def encode_image(self, image: Image.Image | None) -> Tensor | None:
        """(n_query_tokens, hidden) what the language model gets to see of the picture; None without one."""
        if image is None:
            return None
        pixels = self.image_processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self._device, self.model.dtype)
        features: Tensor = self.model.get_image_features(pixels, return_dict=True).pooler_output
        return features.reshape(-1, features.shape[-1])

    @torch.inference_mode()
    def inputs(self, texts: Sequence[str], features: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """What the language model gets.

        Args:
            texts: prompts.
            features: of each prompt's picture; None leaves its places masked.

        Returns:
            `inputs_embeds` (batch, n_query_tokens + n_tokens, hidden) and `attention_mask`.
        """
        encoded = self.tokenizer(list(texts), padding="longest", return_tensors="pt", return_token_type_ids=False).to(
            self._device
        )
        words = self.model.get_input_embeddings()(encoded["input_ids"])  # (batch, n_tokens, hidden)
        picture = words.new_zeros((len(texts), self.model.config.num_query_tokens, words.shape[-1]))
        seen = encoded["attention_mask"].new_zeros(picture.shape[:2])
        for row, feature in enumerate(features):
            if feature is not None:
                picture[row], seen[row] = feature.to(words.dtype), 1
        return {
            "inputs_embeds": torch.cat([picture, words], dim=1),
            "attention_mask": torch.cat([seen, encoded["attention_mask"]], dim=1),
        }

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(iter(self.model.parameters())).device
        return device

    @property
    def _room(self) -> int:
        """Tokens of a prompt's text at most: as set, where the language model has positions for them.

        As in RA-VQA, the picture's query tokens do not count among those set. One that only decodes has them, the text
        and the answer in one sequence.
        """
        if not self.model.config.use_decoder_only_language_model:
            return self.settings.max_prompt_tokens
        taken = self.model.config.num_query_tokens + self.settings.max_new_tokens
        return within_positions(self.settings.max_prompt_tokens, self.model.config.text_config, taken=taken)

    def _parts(self, prompt: Prompt) -> tuple[str, str | None]:
        """Question and knowledge, cut so that all of the prompt fits and the answer after it."""
        return fit_knowledge(
            self.tokenizer,
            prompt.question.text,
            prompt.knowledge,
            n_tokens=self._room,
            template=knowledge_prompt,
            single=prompt.passage_index is not None,
        )

    def _text(self, prompt: Prompt) -> str:
        return knowledge_prompt(*self._parts(prompt))

    @torch.inference_mode()
    def _generate(
        self,
        prompts: Sequence[Prompt],
        features: Sequence[Tensor | None],
        *,
        streamer: Any = None,  # noqa: ANN401
    ) -> list[Generated]:
        parts = [self._parts(prompt) for prompt in prompts]
        pictures = [features[prompt.question_index] for prompt in prompts]
        inputs = self.inputs([knowledge_prompt(*part) for part in parts], pictures)
        if self._no_answer is not None:
            texts = [knowledge or "" for _, knowledge in parts]
            spans = PassageSpans.of(self.tokenizer, texts, width=self.settings.max_new_tokens - 1)
            return read_spans(
                self.model.language_model, inputs, spans, texts, no_answer=self._no_answer, settings=self.settings
            )
        arguments = generation_arguments(self.settings)
        output = self.model.language_model.generate(**inputs, **arguments, streamer=streamer)
        answers = self.tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
        return results_of(self.model.language_model, output, answers)
