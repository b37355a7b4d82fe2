"""The building blocks of the model: text encoder, vision encoder, prefix MLP, transformer mapping network.

Their attribute names are those of the published checkpoints' keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel, CLIPVisionModel
from transformers.models.bert.modeling_bert import BertEncoder
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from retriever.configuration import FLMRTextConfig, FLMRVisionConfig, MappingConfig

__all__ = ["Attention", "MappingNetwork", "PrefixProjection", "TextEncoder", "VisionEncoder", "VisionOutput"]

Attention = Literal["eager", "sdpa"]


class TextEncoder(nn.Module):
    """BERT. Its pooler is part of the published weights and of no output."""

    def __init__(self, config: FLMRTextConfig, attention: Attention) -> None:
        super().__init__()
        bert_config = config.to_bert()
        bert_config._attn_implementation = attention
        self.bert_model = BertModel(bert_config, add_pooling_layer=True)
        if config.projection_dim > 0:  # only in the layout: no output of the model uses it
            self.encode_proj = nn.Linear(config.hidden_size, config.projection_dim)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, n_tokens) ids and mask -> (batch, n_tokens, hidden)."""
        hidden: Tensor = self.bert_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


@dataclass(frozen=True)
class VisionOutput:
    """What the model takes from pictures.

    Attributes:
        global_feature: (n_pictures, hidden), class position after the last layer, no final layer norm.
        patches: (n_pictures, n_patches, hidden), the other positions after the last but one layer.
    """

    global_feature: Tensor
    patches: Tensor


class _NestedVisionModel(nn.Module):
    """One more level of nesting, which the published keys have and transformers 5 has not."""

    def __init__(self, clip: CLIPVisionModel) -> None:
        super().__init__()
        self.vision_model = clip


class VisionEncoder(nn.Module):
    """CLIP's vision transformer. Its final layer norm is part of the published weights and of no output."""

    def __init__(self, config: FLMRVisionConfig, attention: Attention) -> None:
        super().__init__()
        self.config = config
        clip_config = config.to_clip()
        clip_config._attn_implementation = attention
        self.vision_model = _NestedVisionModel(CLIPVisionModel(clip_config))

    def forward(self, pixel_values: Tensor) -> VisionOutput:
        """Encodes pictures; of the last layer only the class position is computed, as nothing else is used of it.

        Args:
            pixel_values: (n_pictures, channels, height, width), normalised as CLIP's processor does.
        """
        penultimate = self._before_last_layer(pixel_values)
        last: Any = self.clip.encoder.layers[-1]
        return VisionOutput(global_feature=self._class_position(last, penultimate), patches=penultimate[:, 1:])

    def hidden_states(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """The plain path: all positions after the last but one and after the last layer.

        Returns:
            two tensors (n_pictures, 1 + n_patches, hidden).
        """
        penultimate = self._before_last_layer(pixel_values)
        return penultimate, self.clip.encoder.layers[-1](penultimate, None)

    def patches_after(self, n_layers: int, pixel_values: Tensor) -> Tensor:
        """The patches after some of the layers: (n_pictures, n_patches, hidden)."""
        return self._after(n_layers, pixel_values)[:, 1:]

    @property
    def clip(self) -> CLIPVisionModel:
        """The module that holds embeddings and layers."""
        return self.vision_model.vision_model

    def _before_last_layer(self, pixel_values: Tensor) -> Tensor:
        return self._after(len(self.clip.encoder.layers) - 1, pixel_values)

    def _after(self, n_layers: int, pixel_values: Tensor) -> Tensor:
        expected = (self.config.num_channels, self.config.image_size, self.config.image_size)
        if pixel_values.shape[1:] != expected:
            raise ValueError(f"pictures of shape {tuple(pixel_values.shape[1:])} given; the model takes {expected}")
        hidden: Tensor = self.clip.pre_layrnorm(self.clip.embeddings(pixel_values))
        for layer in self.clip.encoder.layers[:n_layers]:
            hidden = layer(hidden, None)
        return hidden

    def _class_position(self, layer: CLIPEncoderLayer, hidden: Tensor) -> Tensor:
        """The layer's output at position 0; the other positions only give keys and values."""
        attention = layer.self_attn
        normed = layer.layer_norm1(hidden)  # (n_pictures, n_positions, hidden)
        split = (attention.num_heads, attention.head_dim)
        query = attention.q_proj(normed[:, :1]).unflatten(-1, split).transpose(1, 2)
        key = attention.k_proj(normed).unflatten(-1, split).transpose(1, 2)
        value = attention.v_proj(normed).unflatten(-1, split).transpose(1, 2)
        dropout = float(attention.dropout or 0.0) if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=attention.scale)
        class_row = hidden[:, 0] + attention.out_proj(mixed.transpose(1, 2).flatten(1))  # (n_pictures, hidden)
        output: Tensor = class_row + layer.mlp(layer.layer_norm2(class_row))
        return output


class PrefixProjection(nn.Module):
    """Two-layer perceptron from one picture's global feature to a prefix of late-interaction rows."""

    def __init__(self, hidden_size: int, prefix_length: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        width = prefix_length * dim
        self.model = nn.Sequential(nn.Linear(hidden_size, width // 2), nn.Tanh(), nn.Linear(width // 2, width))

    def forward(self, features: Tensor) -> Tensor:
        """(..., hidden) -> (..., prefix_length, dim)."""
        rows: Tensor = self.model(features)
        return rows.view(*rows.shape[:-1], -1, self.dim)


class MappingNetwork(BertEncoder):
    """Transformer in which picture patches attend to each other, in both directions, and to the text.

    BERT's decoder layers bring the cross attention; told that they are a decoder they would also attend causally
    under sdpa attention, which the published models never did.
    """

    def __init__(self, config: MappingConfig, n_layers: int, attention: Attention) -> None:
        bert_config = config.to_bert(n_layers)
        bert_config._attn_implementation = attention
        super().__init__(bert_config)  # type: ignore[no-untyped-call]
        for module in self.modules():
            if hasattr(module, "is_causal"):
                module.is_causal = False  # type: ignore[assignment]

    def map_patches(self, patches: Tensor, text: Tensor, text_mask: Tensor | None) -> Tensor:
        """Lets patches attend to text.

        Args:
            patches: (n_pictures, n_patches, hidden).
            text: (n_pictures, n_tokens, hidden).
            text_mask: (n_pictures, n_tokens) bool, False at hidden tokens; None hides nothing.
        Returns:
            (n_pictures, n_patches, hidden).
        """
        bias = None
        if text_mask is not None:
            lowest = torch.finfo(patches.dtype).min
            bias = torch.zeros_like(text_mask, dtype=patches.dtype).masked_fill(~text_mask, lowest)[:, None, None, :]
        output = self(patches, encoder_hidden_states=text, encoder_attention_mask=bias)
        mapped: Tensor = output.last_hidden_state
        return mapped
