"""Query encoding written down step by step, with no thought for speed: the plain path that the model is tested against.

It takes the weights of a `FLMRModelForRetrieval` and follows the published description: full encoders, attention
written out, masks token by token in Python.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from retriever.modeling import FLMRModelForRetrieval

__all__ = ["query_mask", "query_rows"]


def query_rows(model: FLMRModelForRetrieval, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> Tensor:
    """(batch, n_rows, dim) unit rows of queries with a text and one or several pictures, (batch, n, 3, h, w)."""
    parts: Any = model
    config = model.config
    hidden = parts.query_text_encoder.bert_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    keep = torch.tensor(query_mask(model, input_ids))
    text = parts.query_text_encoder_linear(hidden) * keep[..., None]
    rows = [[text[item]] for item in range(len(input_ids))]
    regions = range(pixel_values.shape[1])
    pictures = [parts.query_vision_encoder.clip(pixel_values[:, place], output_hidden_states=True) for place in regions]
    for output in pictures:
        prefix = parts.query_vision_projection(output.last_hidden_state[:, 0])
        for item in range(len(input_ids)):
            rows[item].append(prefix[item])
    if config.has_mapping_network:
        for output in pictures:
            patches = parts.transformer_mapping_input_linear(output.hidden_states[-2][:, 1:])
            mapped = parts.transformer_mapping_output_linear(_map(parts, patches, hidden, input_ids))
            for item in range(len(input_ids)):
                rows[item].append(mapped[item])
    return functional.normalize(torch.stack([torch.cat(item) for item in rows]), dim=-1)


def query_mask(model: FLMRModelForRetrieval, input_ids: Tensor) -> list[list[bool]]:
    """Which text rows of each query count, token by token."""
    skipped = model.config.query_mask_input_ids_skip_list
    masks = []
    for ids in input_ids.tolist():
        end = 1
        if model.instruction_end is not None and model.instruction_end in ids:
            end = max(1, ids.index(model.instruction_end))
        if model.instruction_end is None:
            end = -1
        masks.append(
            [token != 0 and token not in skipped and (place > end or place < 2) for place, token in enumerate(ids)]
        )
    return masks


def _map(parts: Any, patches: Tensor, text: Tensor, input_ids: Tensor) -> Tensor:  # noqa: ANN401
    length = parts.config.transformer_mapping_cross_attention_length
    skipped = parts.config.query_mask_input_ids_skip_list
    hide = torch.tensor([[token in skipped for token in ids[:length]] for ids in input_ids.tolist()])
    for layer in parts.transformer_mapping_network.layer:
        patches = _attend(layer.attention, patches, patches, None)
        patches = _attend(layer.crossattention, patches, text[:, :length], hide)
        patches = layer.output(layer.intermediate(patches), patches)
    return patches


def _attend(block: Any, queries: Tensor, keys: Tensor, hide: Tensor | None) -> Tensor:  # noqa: ANN401
    heads = block.self.num_attention_heads

    def split(rows: Tensor) -> Tensor:
        return rows.view(rows.shape[0], rows.shape[1], heads, -1).transpose(1, 2)

    query, key = split(block.self.query(queries)), split(block.self.key(keys))
    weights = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    if hide is not None:
        weights = weights.masked_fill(hide[:, None, None, :], -1e30)
    mixed = weights.softmax(dim=-1) @ split(block.self.value(keys))
    output: Tensor = block.output(mixed.transpose(1, 2).flatten(2), queries)
    return output
