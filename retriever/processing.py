"""Questions and passages to the tensors that the model takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import Tensor

from knowledge_bases.records import VisualQuestion
from retriever.images import ImageProcessor
from retriever.masks import TokenIds
from retriever.tokenization import FLMRContextTokenizer, FLMRQueryTokenizer, Piece

__all__ = ["IMAGE_AND_QUESTION", "IMAGE_ONLY", "QUESTION_ONLY", "FLMRProcessor"]

logger = logging.getLogger(__name__)

# The first instruction of PreFLMR's image-and-question tasks and of its WIT task; PreFLMR has no fixed one for text.
IMAGE_AND_QUESTION = "Using the provided image, obtain documents that address the subsequent question:"
IMAGE_ONLY = "Identify the document that is connected to this image.:"
QUESTION_ONLY = "Retrieve documents that answer this question:"

ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class FLMRProcessor:
    """Builds model inputs from records.

    A checkpoint whose vocabulary has the region markers of the original FLMR (`<BOQ>` ...) takes
    `<BOQ> question <EOQ>` and `<BOK> passage <EOK>`; a PreFLMR checkpoint takes `instruction:  question ` and the
    passage as it is.
    """

    def __init__(
        self,
        query_tokenizer: FLMRQueryTokenizer,
        context_tokenizer: FLMRContextTokenizer,
        image_processor: ImageProcessor | None,
        *,
        instruction_end: str | None = ":",
    ) -> None:
        """Puts the parts together.

        Args:
            query_tokenizer: of queries.
            context_tokenizer: of passages.
            image_processor: of pictures; None for a text-only checkpoint.
            instruction_end: the configuration's `mask_instruction_token`; None takes no instructions.
        """
        self.query_tokenizer = query_tokenizer
        self.context_tokenizer = context_tokenizer
        self.image_processor = image_processor
        self.instruction_end = instruction_end
        self._query_markers = query_tokenizer.token_id("<BOQ>") is not None
        self._passage_markers = context_tokenizer.token_id("<BOK>") is not None

    def query_text(self, question: VisualQuestion) -> str:
        """The text that is tokenised: `instruction:  question ` (two blanks, as the published models were used).

        Without an instruction of its own, a question takes the default of its kind: picture and text, picture only,
        text only.
        """
        if self.instruction_end is None:
            return f"<BOQ> {question.text} <EOQ>{self._after(question)}" if self._query_markers else question.text
        instruction = question.instruction
        if instruction is None or not instruction.strip():
            has_text = bool(question.text.strip())
            instruction = QUESTION_ONLY if question.image is None else IMAGE_AND_QUESTION if has_text else IMAGE_ONLY
        instruction = instruction.strip()
        instruction = instruction if instruction.endswith(":") else f"{instruction}:"
        return " ".join([instruction.replace(":", self.instruction_end), "", question.text, ""])

    def queries(self, questions: Sequence[VisualQuestion]) -> dict[str, Tensor]:
        """Inputs of `FLMRModelForRetrieval.query`.

        A question without a text is fed as its instruction alone: the instruction's tokens are masked and the marker
        and `[MASK]` rows remain. Pictures are fed only if every question has one, and regions only if every question
        has as many (`Encoder` takes mixed lists apart).

        Returns:
            `input_ids`, `attention_mask` (batch, query_maxlen) and, with pictures, `pixel_values`
            (batch, 3, height, width), or with regions (batch, 1 + n_regions, 3, height, width), the whole one first.

        Raises:
            ValueError: some questions have a picture and some have none, their numbers of regions differ, one has
                neither text nor picture, or the checkpoint takes no pictures.
        """
        pictures = [question.image for question in questions if question.image is not None]
        if pictures and len(pictures) != len(questions):
            raise ValueError("some questions have a picture and some have none; encode the two kinds apart")
        for question in questions:
            if question.image is None and not question.text.strip():
                raise ValueError("a question has neither a text nor a picture; give at least one of them")
        inputs = self.query_tokenizer([self.query_text(question) for question in questions])
        self._warn_if_cut(inputs["input_ids"])
        if pictures:
            if self.image_processor is None:
                raise ValueError("this retriever takes no pictures; ask with a text alone or load another checkpoint")
            inputs["pixel_values"] = self._pixels(self.image_processor, questions)
        return inputs

    @staticmethod
    def _pixels(image_processor: ImageProcessor, questions: Sequence[VisualQuestion]) -> Tensor:
        n_regions = len(questions[0].regions)
        if any(len(question.regions) != n_regions for question in questions):
            raise ValueError("the questions have different numbers of regions; encode those of one number apart")
        pictures = [part for one in questions if one.image is not None for part in (one.image, *one.regions)]
        pixels = image_processor(pictures)
        return pixels.view(len(questions), 1 + n_regions, *pixels.shape[1:]) if n_regions else pixels

    def _after(self, question: VisualQuestion) -> str:
        """What follows `<EOQ>`."""
        return f" {question.description}" if self._query_markers and question.description else ""

    def passages(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Inputs of `FLMRModelForRetrieval.doc`, padded to the longest of the batch.

        Returns:
            `input_ids` and `attention_mask`, (batch, n_tokens).
        """
        return self.context_tokenizer([self.passage_text(text) for text in texts], padding="longest")

    def passage_text(self, text: str) -> str:
        """The text that is tokenised for a passage."""
        return f"<BOK> {text} <EOK>" if self._passage_markers else text

    def question_pieces(self, question: VisualQuestion) -> list[Piece]:
        """The tokens of a question as `queries` feeds them, `[MASK]` padding left out.

        Returns:
            token and its characters in `question.text`; None for tokens that are not of the question's text.
        """
        text = self.query_text(question)
        behind = len(f" <EOQ>{self._after(question)}") if self._query_markers else 0
        end = len(text) - (1 if self.instruction_end is not None else behind)
        pieces = self.query_tokenizer.pieces(text, max_length=self.query_tokenizer.query_maxlen)
        return _within(pieces, end - len(question.text), end)

    def passage_pieces(self, text: str) -> list[Piece]:
        """The tokens of a passage as `passages` feeds them, padding left out.

        Returns:
            token and its characters in the text; None for tokens that are not of the text.
        """
        start = len("<BOK> ") if self._passage_markers else 0
        pieces = self.context_tokenizer.pieces(self.passage_text(text), max_length=self.context_tokenizer.doc_maxlen)
        return _within(pieces, start, start + len(text))

    def token_ids(self) -> TokenIds:
        """The ids that the model's masks need, from these tokenizers."""
        end = None if self.instruction_end is None else self.query_tokenizer.encode(self.instruction_end)[0]
        punctuation = sorted({self.context_tokenizer.encode(symbol)[0] for symbol in ASCII_PUNCTUATION})
        return TokenIds(instruction_end=end, punctuation=tuple(punctuation))

    def _warn_if_cut(self, input_ids: Tensor) -> None:
        """An instruction that was cut off cannot be masked: its words take part in the search."""
        if self.instruction_end is None:
            return
        end = self.query_tokenizer.encode(self.instruction_end)[0]
        n_cut = int((~(input_ids == end).any(dim=1)).sum())
        if n_cut:
            logger.warning("%d instructions are longer than the query; shorten them or ask without them", n_cut)


def _within(pieces: Sequence[Piece], start: int, end: int) -> list[Piece]:
    """The pieces with characters counted from `start`; those outside lose theirs."""
    return [
        (token, (span[0] - start, span[1] - start) if span is not None and start <= span[0] < span[1] <= end else None)
        for token, span in pieces
    ]
