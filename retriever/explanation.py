"""Why a passage scores as it does: late interaction taken apart, exactly.

The score is a sum over the query's rows, and each row's share is its cosine with one passage token, the best one. So
nothing is estimated here: the shares are read off and labelled with what their rows stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from PIL import Image

from knowledge_bases.records import VisualQuestion
from retriever.encoder import Encoder
from retriever.masks import passage_mask, query_mask

__all__ = ["Explanation", "PassageToken", "QueryRow", "RowKind", "explain"]

Span = tuple[int, int]
FILL = "[MASK]"  # what short queries are filled up with
PICTURE = "[picture]"  # stands for each row of the passage's own picture


class RowKind(str, Enum):
    """What a row of the query stands for."""

    TEXT = "text"  # a token of the question
    FRAME = "frame"  # a token around it: [CLS], the marker, [SEP], and the [MASK] tokens that fill up
    PICTURE = "picture"  # the picture as a whole
    PATCH = "patch"  # one patch of the picture, having attended to the question


@dataclass(frozen=True, kw_only=True)
class QueryRow:
    """One row of the query, and what it found in the passage.

    Attributes:
        kind: what it stands for.
        token: the token; empty for rows of the picture.
        span: characters of the token in the question's text; None where it stands for none.
        place: row and column of the patch in the grid, from 0; None for other rows.
        best: position in `Explanation.tokens` of the passage token with the highest cosine; the first of equal ones.
        cosine: what the row contributes to the score: that cosine, in [-1, 1], times the length of the passage's row,
            which is less than 1 only for rows of its picture.
    """

    kind: RowKind
    token: str = ""
    span: Span | None = None
    place: tuple[int, int] | None = None
    best: int
    cosine: float


@dataclass(frozen=True, kw_only=True)
class PassageToken:
    """One token of the passage that takes part.

    Attributes:
        token: as the tokenizer writes it; `[picture]` for a row of the passage's own picture.
        span: its characters in the passage's content; None for `[CLS]`, the marker, `[SEP]` and `[picture]`.
    """

    token: str
    span: Span | None = None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The score of one passage for one question, share by share.

    Attributes:
        rows: of the query, in the model's order: text, picture as a whole, patches line by line.
        tokens: of the passage, those that take part (no punctuation, nothing beyond the longest passage).
        grid: rows and columns of the patches; None without patches.
        seen: the part of the picture that the model sees: left, top, right, bottom in pixels; None without a picture.
    """

    rows: tuple[QueryRow, ...]
    tokens: tuple[PassageToken, ...]
    grid: tuple[int, int] | None = None
    seen: tuple[float, float, float, float] | None = None

    @property
    def score(self) -> float:
        """The late-interaction score: the sum of all contributions."""
        return sum(row.cosine for row in self.rows)

    def part(self, *kinds: RowKind) -> float:
        """The sum of the contributions of rows of these kinds."""
        return sum(row.cosine for row in self.rows if row.kind in kinds)

    def rows_of(self, token: int) -> list[QueryRow]:
        """The rows whose best token is this one, the strongest first."""
        return sorted((row for row in self.rows if row.best == token), key=lambda row: -row.cosine)


@dataclass(frozen=True, kw_only=True)
class _Label:
    kind: RowKind
    token: str = ""
    span: Span | None = None
    place: tuple[int, int] | None = None


def explain(
    encoder: Encoder, question: VisualQuestion, content: str, picture: Image.Image | None = None
) -> Explanation:
    """Encodes both again and takes their score apart.

    Args:
        encoder: the one that made the index.
        question: as it was asked, with its instruction.
        content: what was encoded of the passage (`Passage.content`).
        picture: its own picture.

    Returns:
        contributions that add up to MaxSim of the freshly encoded rows. An index keeps rows in fewer bits, so its own
        score differs by its codec's error.

    Raises:
        ValueError: the question has neither a text nor a picture, or the checkpoint takes no pictures.
    """
    looks = encoder.look([question])
    query = encoder.encode_queries([question], looks)[0]
    passage = encoder.encode_passages([content], {0: lambda: picture})[0]
    labels = _query_labels(encoder, question)
    n_shown = encoder.passage_picture_rows if picture is not None else 0
    tokens = (*[PassageToken(token=PICTURE)] * n_shown, *_passage_tokens(encoder, content))
    if len(labels) != len(query) or len(tokens) != len(passage):
        raise RuntimeError(
            f"{len(labels)} labels for {len(query)} query rows, {len(tokens)} tokens for {len(passage)} passage rows"
        )
    cosines, best = (passage @ query.T).max(dim=0)  # (n_query_rows,) each
    rows = tuple(
        QueryRow(kind=label.kind, token=label.token, span=label.span, place=label.place, best=position, cosine=cosine)
        for label, position, cosine in zip(labels, best.tolist(), cosines.tolist(), strict=True)
    )
    return Explanation(
        rows=rows,
        tokens=tokens,
        grid=_grid(encoder) if any(row.kind is RowKind.PATCH for row in rows) else None,
        seen=encoder.seen(question, looks[0]),
    )


def _query_labels(encoder: Encoder, question: VisualQuestion) -> list[_Label]:
    """What each row of the encoded question stands for, in order."""
    config = encoder.model.config
    labels = _text_labels(encoder, question) if config.query_concat_output_from_text_encoder else []
    if question.image is None or not config.query_concat_output_from_vision_encoder:
        return labels
    labels += [_Label(kind=RowKind.PICTURE)] * config.mapping_network_prefix_length
    if config.has_mapping_network:
        n_lines, n_columns = _grid(encoder)
        labels += [
            _Label(kind=RowKind.PATCH, place=(line, column)) for line in range(n_lines) for column in range(n_columns)
        ]
    return labels


def _text_labels(encoder: Encoder, question: VisualQuestion) -> list[_Label]:
    processor, model = encoder.processor, encoder.model
    tokenizer = processor.query_tokenizer
    ids = tokenizer([processor.query_text(question)])["input_ids"]
    pieces = processor.question_pieces(question)
    pieces += [(FILL, None)] * (ids.shape[1] - len(pieces))
    mask = query_mask(
        ids,
        pad_id=model.config.text_config.pad_token_id,
        skip_ids=model.skip_ids.cpu(),
        instruction_end=model.instruction_end,
    )[0]
    return [
        _Label(kind=RowKind.FRAME if span is None else RowKind.TEXT, token=token, span=span)
        for token, span in _kept(pieces, mask)
    ]


def _passage_tokens(encoder: Encoder, content: str) -> tuple[PassageToken, ...]:
    processor, model = encoder.processor, encoder.model
    ids = processor.passages([content])["input_ids"]
    pad_id = model.config.text_config.pad_token_id
    mask = passage_mask(ids, pad_id=pad_id, punctuation_ids=model.punctuation_ids.cpu())
    pieces = processor.passage_pieces(content)
    return tuple(PassageToken(token=token, span=span) for token, span in _kept(pieces, mask[0]))


def _kept(pieces: Sequence[tuple[str, Span | None]], mask: torch.Tensor) -> list[tuple[str, Span | None]]:
    return [piece for piece, counts in zip(pieces, mask.tolist(), strict=True) if counts]


def _grid(encoder: Encoder) -> tuple[int, int]:
    vision = encoder.model.config.vision_config
    side = vision.image_size // vision.patch_size
    return side, side
