"""FLMR (arXiv:2309.17133) and PreFLMR (arXiv:2402.08327): late-interaction rows of queries and passages.

    query text  -> text encoder -> linear ------------------------------> text rows
    picture     -> vision encoder -> class position -> MLP -------------> prefix rows
                                  -> patches -> mapping network -> linear -> patch rows (PreFLMR; attends to the text)
    passage     -> text encoder -> linear, and, where asked for, picture -> MLP (prefix rows come first)

The model does no input or output and owns no tokenizer; `retriever.checkpoints` loads it, `retriever.processing` makes
its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from retriever.configuration import FLMRConfig
from retriever.late_interaction import maxsim_matrix
from retriever.layers import Attention, MappingNetwork, PrefixProjection, TextEncoder, VisionEncoder
from retriever.masks import BERT_UNCASED, TokenIds, passage_mask, query_mask
from retriever.parts import Parts, choose_rows
from retriever.training.losses import hard_negative_loss, in_batch_loss, own_scores, paired_scores

__all__ = ["FLMRModelForRetrieval", "RetrievalOutput", "Rows", "compare"]

BERT_VOCABULARY = 30522


@dataclass(frozen=True)
class Rows:
    """Late-interaction rows of a batch.

    Attributes:
        late_interaction_output: (batch, n_rows, dim), L2-normalised; rows that do not count are zero.
        mask: (batch, n_rows) bool, True at rows that count.
        pooler_output: (batch, dim), row 0; before normalisation for queries, after it for passages, as published.
    """

    late_interaction_output: Tensor
    mask: Tensor
    pooler_output: Tensor


@dataclass(frozen=True)
class RetrievalOutput:
    """Scores and losses of a training batch.

    Attributes:
        loss: scalar; the in-batch loss where in-batch negatives are used, else the positive's cross entropy against
            its own negatives.
        scores: (batch, 1 + n_negatives), each query with its own passages.
        in_batch_negative_loss: scalar cross entropy of the positive against every passage of the batch, or None.
        query: rows of the queries.
        context: rows of the passages.
    """

    loss: Tensor
    scores: Tensor
    in_batch_negative_loss: Tensor | None
    query: Rows
    context: Rows


@dataclass(frozen=True)
class _Picture:
    """Features of the pictures of a batch: (batch, n_regions, hidden), (batch, n_regions, n_patches, hidden)."""

    features: Tensor
    patches: Tensor | None


class FLMRModelForRetrieval(nn.Module):
    """Encodes queries and passages into late-interaction rows.

    Modules that queries and passages share exist once, under their `query_*` name. Rows come out in the dtype of the
    weights, under autocast too.
    """

    instruction_end: int | None
    punctuation_ids: Tensor
    skip_ids: Tensor

    def __init__(
        self,
        config: FLMRConfig,
        *,
        token_ids: TokenIds | None = None,
        attention: Attention = "sdpa",
        with_projection: bool | None = None,
    ) -> None:
        """Builds the model with random weights.

        Args:
            config: shapes and masks.
            token_ids: ids that the masks need; None takes those of `bert-base-uncased`.
            attention: kernel of every attention.
            with_projection: whether the prefix MLP exists; None follows `use_vision_encoder` (some checkpoints
                without a vision encoder carry one for pre-extracted image features).

        Raises:
            ValueError: the vocabulary is smaller than BERT's and no `token_ids` are given.
        """
        super().__init__()
        self.config = config
        self.dim = config.dim
        with_projection = config.use_vision_encoder if with_projection is None else with_projection
        text_sides = ("query", "context") if config.separate_query_and_context_text_encoder else ("query",)
        vision_sides = ("query", "context") if config.separate_query_and_context_vision_encoder else ("query",)
        text, vision = config.text_config, config.vision_config
        for side in text_sides:
            self.add_module(f"{side}_text_encoder", TextEncoder(text, attention))
            self.add_module(f"{side}_text_encoder_linear", nn.Linear(text.hidden_size, config.dim, bias=False))
        for side in vision_sides:
            if config.use_vision_encoder:
                self.add_module(f"{side}_vision_encoder", VisionEncoder(vision, attention))
            if with_projection:
                mlp = PrefixProjection(vision.hidden_size, config.mapping_network_prefix_length, config.dim)
                self.add_module(f"{side}_vision_projection", mlp)
        self._add_mapping_network(attention)
        self._initialise()
        self.set_token_ids(token_ids)

    def set_token_ids(self, token_ids: TokenIds | None) -> None:
        """Tells the model the token ids that its masks need (None: those of `bert-base-uncased`)."""
        config = self.config
        vocabulary = config.text_config.vocab_size
        masks_something = config.mask_punctuation or config.mask_instruction_token is not None
        if token_ids is None and masks_something and vocabulary < BERT_VOCABULARY:
            raise ValueError(
                f"a vocabulary of {vocabulary} tokens is not that of bert-base-uncased; pass token_ids, the ids in it "
                "of the punctuation and of the instruction's end"
            )
        ids = token_ids or BERT_UNCASED
        self.instruction_end = ids.instruction_end if config.mask_instruction_token is not None else None
        punctuation = ids.punctuation if config.mask_punctuation else ()
        for name, values in (("punctuation_ids", punctuation), ("skip_ids", config.query_mask_input_ids_skip_list)):
            tensor = torch.tensor(values, dtype=torch.long, device=self.device)
            self.register_buffer(name, tensor, persistent=False)

    def set_attention(self, attention: Attention) -> None:
        """Chooses the kernel of every attention."""
        for module in self.modules():
            config = getattr(module, "config", None)
            if config is not None and hasattr(config, "_attn_implementation"):
                config._attn_implementation = attention

    @property
    def vision_encoder(self) -> VisionEncoder:
        """The vision encoder of queries.

        Raises:
            ValueError: the checkpoint takes no pictures.
        """
        return cast(VisionEncoder, self._part("query", "vision_encoder"))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self._part("query", "text_encoder_linear").weight.dtype  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._part("query", "text_encoder_linear").weight.device  # type: ignore[return-value]

    def query(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        patch_features: Tensor | None = None,
        *,
        parts: Parts | Sequence[Parts] | None = None,
    ) -> Rows:
        """Encodes queries: text rows, then prefix rows, then patch rows (both region by region).

        A query without a picture is encoded from its text alone: leave the picture arguments out. A query without a
        text needs `input_ids` only where the model has a mapping network, whose patches attend to the text: give the
        instruction's. In a batch where only some have a picture (or a text), give anything for what is missing, such
        as zeros, and say in `parts` which rows count.

        Args:
            input_ids: (batch, n_tokens).
            attention_mask: (batch, n_tokens), 1 at tokens that are attended to; None attends to all.
            pixel_values: (batch, channels, height, width) or (batch, n_regions, channels, height, width).
            image_features: instead of pixels, (batch, vision_hidden) or (batch, n_regions, vision_hidden), the vision
                encoder's `global_feature`.
            patch_features: with `image_features` where there is a mapping network, (batch, n_patches, vision_hidden)
                or (batch, n_regions, n_patches, vision_hidden), the vision encoder's `patches`.
            parts: which rows come out, for the whole batch or one for each query; None is what the configuration
                says, as far as it is given. With a sequence, rows that do not count stay in place as zeros.

        Returns:
            n_text + n_regions * (prefix + n_patches) rows.

        Raises:
            ValueError: the inputs do not fit the parts or the model.
        """
        config = self.config
        choice = choose_rows(
            parts,
            has_text=input_ids is not None,
            has_image=pixel_values is not None or image_features is not None,
            text_default=config.query_concat_output_from_text_encoder,
            image_default=config.query_concat_output_from_vision_encoder,
        )
        rows: list[Tensor] = []
        masks: list[Tensor] = []
        hidden = None
        if input_ids is not None and (choice.text or config.has_mapping_network):
            hidden = self._encode_text("query", input_ids, attention_mask)
        if choice.text and input_ids is not None and hidden is not None:
            rows.append(self._part("query", "text_encoder_linear")(hidden))
            mask = query_mask(
                input_ids,
                pad_id=config.text_config.pad_token_id,
                skip_ids=self.skip_ids,
                instruction_end=self.instruction_end,
            )
            masks.append(choice.text_mask(mask))
        if choice.image:
            picture = self._picture("query", pixel_values, image_features, patch_features)
            image_rows = self._part("query", "vision_projection")(picture.features).flatten(1, 2)
            if config.has_mapping_network:
                image_rows = torch.cat([image_rows, self._patch_rows(picture, input_ids, hidden)], dim=1)
            rows.append(image_rows)
            masks.append(choice.image_mask(_all_true(image_rows)))
        return self._finish(rows, masks, normalise_pooler=False)

    def doc(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        *,
        parts: Parts | Sequence[Parts] | None = None,
    ) -> Rows:
        """Encodes passages: prefix rows of their pictures, if those count, then text rows.

        Args:
            input_ids: (batch, n_tokens).
            attention_mask: (batch, n_tokens), 1 at tokens that are attended to; None attends to all.
            pixel_values: (batch, channels, height, width) or (batch, n_regions, channels, height, width).
            image_features: instead of pixels, (batch, vision_hidden) or (batch, n_regions, vision_hidden).
            parts: which rows come out, for the whole batch or one for each passage; None is what the configuration
                says, as far as it is given. With a sequence, rows that do not count stay in place as zeros.

        Returns:
            n_regions * prefix + n_text rows; the mask leaves out padding and punctuation.

        Raises:
            ValueError: the inputs do not fit the parts or the model.
        """
        config = self.config
        choice = choose_rows(
            parts,
            has_text=input_ids is not None,
            has_image=pixel_values is not None or image_features is not None,
            text_default=config.context_concat_output_from_text_encoder,
            image_default=config.context_concat_output_from_vision_encoder,
        )
        rows: list[Tensor] = []
        masks: list[Tensor] = []
        if choice.image:
            picture = self._picture("context", pixel_values, image_features, None)
            rows.append(self._part("context", "vision_projection")(picture.features).flatten(1, 2))
            masks.append(choice.image_mask(_all_true(rows[0])))
        if choice.text and input_ids is not None:
            hidden = self._encode_text("context", input_ids, attention_mask)
            rows.append(self._part("context", "text_encoder_linear")(hidden))
            pad_id = config.text_config.pad_token_id
            mask = passage_mask(input_ids, pad_id=pad_id, punctuation_ids=self.punctuation_ids)
            masks.append(choice.text_mask(mask))
        return self._finish(rows, masks, normalise_pooler=True)

    def forward(
        self,
        query_input_ids: Tensor | None = None,
        query_attention_mask: Tensor | None = None,
        query_pixel_values: Tensor | None = None,
        query_image_features: Tensor | None = None,
        query_patch_features: Tensor | None = None,
        context_input_ids: Tensor | None = None,
        context_attention_mask: Tensor | None = None,
        context_pixel_values: Tensor | None = None,
        context_image_features: Tensor | None = None,
        *,
        query_parts: Parts | Sequence[Parts] | None = None,
        context_parts: Parts | Sequence[Parts] | None = None,
        use_in_batch_negatives: bool = True,
    ) -> RetrievalOutput:
        """Scores each query against its passages: "positive, its negatives, next positive, ...".

        The number of negatives follows from the two batch sizes. The other arguments are those of `query` and `doc`.

        Raises:
            ValueError: the passages cannot be shared out evenly, or the inputs do not fit the model.
        """
        query = self.query(
            query_input_ids,
            query_attention_mask,
            query_pixel_values,
            query_image_features,
            query_patch_features,
            parts=query_parts,
        )
        context = self.doc(
            context_input_ids, context_attention_mask, context_pixel_values, context_image_features, parts=context_parts
        )
        return compare(query, context, use_in_batch_negatives=use_in_batch_negatives)

    def _add_mapping_network(self, attention: Attention) -> None:
        config = self.config
        if not config.has_mapping_network:
            return
        n_layers = config.transformer_mapping_num_hidden_layers
        assert config.mapping is not None  # FLMRConfig made sure of both
        assert n_layers is not None
        width = config.mapping.hidden_size
        self.transformer_mapping_input_linear = nn.Linear(config.vision_config.hidden_size, width)
        self.transformer_mapping_network = MappingNetwork(config.mapping, n_layers, attention)
        self.transformer_mapping_output_linear = nn.Linear(width, config.dim)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Random weights of what transformers does not initialise itself."""
        for name, part in self.named_children():
            if name.endswith(("_text_encoder", "_vision_encoder")):
                continue
            for module in part.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=self.config.initializer_range)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    def _part(self, side: str, name: str) -> nn.Module:
        """The module of one side, or the shared one.

        Raises:
            ValueError: the model has no such module.
        """
        part = getattr(self, f"{side}_{name}", None) or getattr(self, f"query_{name}", None)
        if part is None:
            raise ValueError(f"this checkpoint has no {name.replace('_', ' ')}: it cannot encode pictures this way")
        return part  # type: ignore[no-any-return]

    def _encode_text(self, side: str, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        limit = self.config.text_config.max_position_embeddings
        if input_ids.shape[1] > limit:
            raise ValueError(f"a text of {input_ids.shape[1]} tokens was given; the model takes {limit}")
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        hidden: Tensor = self._part(side, "text_encoder")(input_ids, mask)
        return hidden

    def _picture(
        self, side: str, pixel_values: Tensor | None, image_features: Tensor | None, patch_features: Tensor | None
    ) -> _Picture:
        """Features region by region, from pixels or as given."""
        if (pixel_values is None) == (image_features is None):
            raise ValueError("give either pixel_values or image_features, not both")
        if pixel_values is not None:
            if pixel_values.dim() == 4:
                pixel_values = pixel_values[:, None]
            if pixel_values.dim() != 5:
                raise ValueError(f"pixel_values has {pixel_values.dim()} dimensions; it needs 4, or 5 with regions")
            output = self._part(side, "vision_encoder")(pixel_values.flatten(0, 1))
            regions = pixel_values.shape[:2]
            return _Picture(output.global_feature.unflatten(0, regions), output.patches.unflatten(0, regions))
        assert image_features is not None
        features = image_features[:, None] if image_features.dim() == 2 else image_features
        if patch_features is None:
            return _Picture(features.to(self.dtype), None)
        patches = patch_features[:, None] if patch_features.dim() == 3 else patch_features
        return _Picture(features.to(self.dtype), patches.to(self.dtype))

    def _patch_rows(self, picture: _Picture, input_ids: Tensor | None, text_hidden: Tensor | None) -> Tensor:
        """(batch, n_regions * n_patches, dim) rows of patches that attended to the first text positions."""
        if picture.patches is None:
            raise ValueError("the mapping network needs patches; give pixel_values, or patch_features too")
        if input_ids is None or text_hidden is None:
            raise ValueError("the mapping network attends to a text; give input_ids, such as the instruction's")
        length = self.config.transformer_mapping_cross_attention_length
        n_regions = picture.patches.shape[1]
        text = text_hidden[:, :length].repeat_interleave(n_regions, dim=0)
        visible = None
        if self.config.query_mask_input_ids_skip_list:
            visible = ~torch.isin(input_ids[:, :length], self.skip_ids).repeat_interleave(n_regions, dim=0)
        patches = self.transformer_mapping_input_linear(picture.patches.flatten(0, 1))
        mapped = self.transformer_mapping_network.map_patches(patches, text, visible)
        rows: Tensor = self.transformer_mapping_output_linear(mapped)  # (batch * n_regions, n_patches, dim)
        return rows.reshape(len(text_hidden), -1, self.dim)

    def _finish(self, rows: list[Tensor], masks: list[Tensor], *, normalise_pooler: bool) -> Rows:
        mask = torch.cat(masks, dim=1)
        raw = torch.cat(rows, dim=1)
        # Normalised before it is masked: the gradient of a normalised zero row overflows.
        output = functional.normalize(raw.float(), dim=-1).masked_fill(~mask[..., None], 0.0).to(self.dtype)
        first = output[:, 0] if normalise_pooler else raw[:, 0].masked_fill(~mask[:, :1], 0.0)
        return Rows(late_interaction_output=output, mask=mask, pooler_output=first)


def compare(query: Rows, context: Rows, *, use_in_batch_negatives: bool) -> RetrievalOutput:
    """Scores and loss of a batch whose passages are ordered "positive, its negatives, next positive, ...".

    Raises:
        ValueError: the passages cannot be shared out evenly, or one has no row that counts.
    """
    batch = query.late_interaction_output, context.late_interaction_output, context.mask
    if not use_in_batch_negatives:
        scores = paired_scores(*batch)
        return RetrievalOutput(hard_negative_loss(scores), scores, None, query, context)
    everything = maxsim_matrix(*batch)
    loss = in_batch_loss(everything)
    return RetrievalOutput(loss, own_scores(everything), loss, query, context)


def _all_true(rows: Tensor) -> Tensor:
    return torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
