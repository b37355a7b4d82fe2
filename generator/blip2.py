"""BLIP-2 (arXiv:2301.12597) as a generator: the published checkpoints with Flan-T5 or OPT as language model.

The picture passes the ViT and the Q-Former once a question, however many passages are read; the language model then
gets the picture's query tokens followed by the prompt, one sequence a passage, as in RA-VQA.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from generator.fitting import fit_prompt
from generator.generation import (
    Generated,
    GenerationSettings,
    Prompt,
    generation_arguments,
    propose_prompts,
    sequence_scores,
)
from generator.prompts import knowledge_prompt
from generator.protocol import Candidate, SingleQuestions
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
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.tokenizer.padding_side = "left" if model.config.use_decoder_only_language_model else "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.image_processor = image_processor
        self.settings = settings or GenerationSettings()

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """One generated candidate a passage of each question; one from picture and question alone without passages."""
        features = [self.encode_image(question.image) for question in questions]
        return propose_prompts(
            questions,
            passages_of_each,
            lambda prompts: self._generate(prompts, features),
            batch_size=self.settings.batch_size,
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

    def _text(self, prompt: Prompt) -> str:
        """The prompt, its knowledge cut so that all of it fits."""
        room = self.settings.max_prompt_tokens - self.model.config.num_query_tokens
        return fit_prompt(
            self.tokenizer, prompt.question.text, prompt.knowledge, n_tokens=room, template=knowledge_prompt
        )

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Prompt], features: Sequence[Tensor | None]) -> list[Generated]:
        inputs = self.inputs(
            [self._text(prompt) for prompt in prompts], [features[prompt.question_index] for prompt in prompts]
        )
        output = self.model.language_model.generate(**inputs, **generation_arguments(self.settings))
        answers = self.tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
        scores = sequence_scores(self.model.language_model, output).tolist()
        return [(answer.strip(), min(0.0, score)) for answer, score in zip(answers, scores, strict=True)]
