"""LLaVA-1.5, LLaVA-1.6 (NeXT) and LLaVA-OneVision as generators.

All three come with a processor that puts the picture's placeholder tokens into the prompt; the chat template of the
checkpoint is used where it has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from generator.fitting import fit_prompt, within_positions
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
from generator.prompts import chat_prompt
from generator.protocol import Candidate, SingleQuestions
from generator.streaming import CandidateStream, stream_prompts
from knowledge_bases.records import Passage, VisualQuestion

__all__ = ["LlavaGenerator"]


class LlavaGenerator(SingleQuestions):
    """Generates an answer from each passage with a LLaVA model. See `generator.protocol`."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401  (transformers ships no types)
        processor: Any,  # noqa: ANN401
        settings: GenerationSettings | None = None,
    ) -> None:
        """
        Args:
            model: a `Llava...ForConditionalGeneration`.
            processor: its processor.
            settings: how answers are generated; `max_prompt_tokens` counts the text without the picture,
                and is lowered where the language model has too few positions for both.
        """
        self.model = model.eval()
        self.processor = processor
        self.processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        self.settings = settings or GenerationSettings()
        self._batch = BatchSize(self.settings.batch_size)

    def propose_batch(
        self, questions: Sequence[VisualQuestion], passages_of_each: Sequence[Sequence[Passage]]
    ) -> list[list[Candidate]]:
        """One generated candidate a passage of each question; those with and without a picture are generated apart."""
        results: dict[int, list[Candidate]] = {}
        for with_image in (True, False):
            numbers = [number for number, q in enumerate(questions) if (q.image is not None) == with_image]
            proposed = propose_prompts(
                [questions[number] for number in numbers],
                [passages_of_each[number] for number in numbers],
                self._generate,
                batch_size=self._batch,
                mode=self.settings.mode,
            )
            results.update(zip(numbers, proposed, strict=True))
        return [results[number] for number in range(len(questions))]

    def stream(self, question: VisualQuestion, passages: Sequence[Passage]) -> CandidateStream:
        """The first answer as it grows, where there is one beam; then each candidate as it comes."""
        return stream_prompts(
            prompts_for([question], [passages], self.settings.mode),
            self._generate,
            tokenizer=self.processor.tokenizer if self.settings.beams == 1 else None,
            batch_size=self._batch,
        )

    def prompt_text(self, prompt: Prompt) -> str:
        """The prompt in the checkpoint's chat format, with a place for the picture if there is one."""
        text = fit_prompt(
            self.processor.tokenizer,
            prompt.question.text,
            prompt.knowledge,
            n_tokens=self._room(prompt.question.image),
            template=chat_prompt,
            single=prompt.passage_index is not None,
        )
        return self._in_chat_format(text, has_image=prompt.question.image is not None)

    def _in_chat_format(self, text: str, *, has_image: bool) -> str:
        if self.processor.chat_template is None:
            return f"USER: {self.processor.image_token}\n{text} ASSISTANT:" if has_image else f"USER: {text} ASSISTANT:"
        content = [*([{"type": "image"}] if has_image else []), {"type": "text", "text": text}]
        rendered: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return rendered

    def _room(self, image: Image.Image | None) -> int:
        """Tokens of a prompt's text at most: as set, where the language model has positions for them too."""
        frame = self._in_chat_format("", has_image=image is not None)
        taken = len(self.processor.tokenizer(frame, add_special_tokens=False, verbose=False)["input_ids"])
        if image is not None:
            sizes = [(image.height, image.width)]
            taken += self.processor._get_num_multimodal_tokens(image_sizes=sizes).num_image_tokens[0]
        taken += self.settings.max_new_tokens
        return within_positions(self.settings.max_prompt_tokens, self.model.config.text_config, taken=taken)

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Prompt], streamer: Any = None) -> list[Generated]:  # noqa: ANN401
        texts = [self.prompt_text(prompt) for prompt in prompts]
        images = [prompt.question.image.convert("RGB") for prompt in prompts if prompt.question.image is not None]
        opening = self.processor.tokenizer.bos_token
        opened = bool(opening) and texts[0].startswith(opening)  # some chat templates write it themselves
        inputs = self.processor(
            text=texts,
            images=images or None,
            padding=True,
            return_tensors="pt",
            add_special_tokens=not opened,
        )
        device = next(iter(self.model.parameters())).device
        inputs = {
            name: value.to(device, self.model.dtype) if value.is_floating_point() else value.to(device)
            for name, value in inputs.items()
        }
        output = self.model.generate(**inputs, **generation_arguments(self.settings), streamer=streamer)
        new_tokens = output.sequences[:, inputs["input_ids"].shape[1] :]
        answers = self.processor.tokenizer.batch_decode(new_tokens, skip_special_tokens=True)
        return results_of(self.model, output, answers)
