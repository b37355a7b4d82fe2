"""BLIP-2-mini before training: a vision encoder that was trained elsewhere, a small Q-Former, MiniLM as a decoder.

`Blip2ForConditionalGeneration` of transformers as it is. Its language model is a `BertLMHeadModel`: MiniLM's layers
under a causal mask, MiniLM's embeddings (frozen, and the output layer's too), and a head that begins as the identity.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import processors
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    Blip2Config,
    Blip2ForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from generator.training.vocabulary import make_tokenizer

__all__ = [
    "NO_ANSWER",
    "Blip2Shape",
    "freeze",
    "new_blip2",
    "new_tokenizer",
    "read_vocabulary",
    "take_weights",
    "vision_weights",
]

NO_ANSWER = "unknown"
_IMAGE = "[MASK]"  # stands where the picture's query tokens go; no passage can spell it
_NEARLY_LINEAR = 4.0  # added before the head's GELU, which hardly bends values so large; its layer norm removes it


@dataclass(frozen=True, kw_only=True)
class Blip2Shape:
    """Sizes that the two trained parts do not decide."""

    query_tokens: int = 8
    qformer_layers: int = 2
    qformer_heads: int = 3


def new_tokenizer(vocabulary: list[str], *, max_tokens: int) -> PreTrainedTokenizerFast:
    """The reader's tokenizer, opening what it encodes with [CLS] and leaving its end open; [SEP] ends an answer.

    Raises:
        ValueError: the vocabulary lacks the word that says that there is no answer.
    """
    if NO_ANSWER not in vocabulary:
        raise ValueError(f"the vocabulary lacks {NO_ANSWER!r}, with which the model says that there is no answer")
    tokenizer = make_tokenizer(vocabulary, max_tokens=max_tokens)
    backend: Any = tokenizer.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0", special_tokens=[("[CLS]", vocabulary.index("[CLS]"))]
    )
    tokenizer.bos_token, tokenizer.eos_token = "[CLS]", "[SEP]"
    return tokenizer


def new_blip2(
    reader: BertForQuestionAnswering,
    vocabulary: list[str],
    vision: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    shape: Blip2Shape,
    *,
    seed: int,
) -> Blip2ForConditionalGeneration:
    """The model from which training starts.

    Args:
        reader: its embeddings and layers become the language model's.
        vocabulary: of both.
        vision: `hidden_size`, `intermediate_size`, `num_hidden_layers`, `num_attention_heads`, `image_size`,
            `patch_size` and `hidden_act` of the vision encoder.
        weights: from `vision_weights`.
        shape: the other sizes.
        seed: of what is new.
    """
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    text = BertConfig(
        **{name: getattr(reader.config, name) for name in (*kept, "max_position_embeddings")},
        is_decoder=True,
        pad_token_id=0,
        bos_token_id=vocabulary.index("[CLS]"),
        eos_token_id=vocabulary.index("[SEP]"),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    width = vision["hidden_size"]
    config = Blip2Config(
        vision_config=dict(vision),
        qformer_config={
            "hidden_size": width,
            "num_hidden_layers": shape.qformer_layers,
            "num_attention_heads": shape.qformer_heads,
            "intermediate_size": 2 * width,
            "cross_attention_frequency": 1,
            "encoder_hidden_size": width,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "vocab_size": 1,
        },
        text_config=text.to_dict(),
        num_query_tokens=shape.query_tokens,
        image_token_index=vocabulary.index(_IMAGE),
    )
    config.no_answer_word = NO_ANSWER
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(config)
    model.vision_model.load_state_dict(dict(weights))
    model.language_model.bert.load_state_dict(reader.bert.state_dict())
    with torch.no_grad():
        model.query_tokens.normal_(std=0.5)
        head = model.language_model.cls.predictions.transform
        head.dense.weight.copy_(torch.eye(text.hidden_size))
        head.dense.bias.fill_(_NEARLY_LINEAR)
    freeze(model)
    return model


def freeze(model: Blip2ForConditionalGeneration) -> None:
    """Only the Q-Former, its projection, and the language model's layers and head learn."""
    model.requires_grad_(False)
    language: Any = model.language_model
    for part in (model.qformer, model.language_projection, language.bert.encoder, language.cls.predictions.transform):
        nn.Module.requires_grad_(part, True)
    model.query_tokens.requires_grad_(True)


def vision_weights(clip: Mapping[str, Tensor], spread: float) -> dict[str, Tensor]:
    """A CLIP vision transformer's weights for BLIP-2's.

    BLIP-2 has no layer norm before its first layer. CLIP's is folded into the embeddings: its centring, gain and bias
    are linear; the division by the spread of each position's values is replaced by one number for all patches.

    Args:
        clip: state dict of a `CLIPVisionModel`.
        spread: mean standard deviation of the patch positions' values before that layer norm.
    """
    gain, bias = clip["pre_layrnorm.weight"], clip["pre_layrnorm.bias"]
    places = clip["embeddings.position_embedding.weight"]  # (1 + n_patches, hidden)
    first = clip["embeddings.class_embedding"] + places[0]
    first = (first - first.mean()) / first.std(correction=0) * gain + bias  # exact: it is the same for every picture
    kernel = clip["embeddings.patch_embedding.weight"]  # (hidden, 3, patch, patch)
    rest = (places[1:] - places[1:].mean(dim=1, keepdim=True)) / spread * gain + bias
    found = {
        "embeddings.class_embedding": torch.zeros_like(first)[None, None],
        "embeddings.position_embedding": torch.cat([first[None], rest])[None],
        "embeddings.patch_embedding.weight": (kernel - kernel.mean(dim=0)) / spread * gain[:, None, None, None],
        "embeddings.patch_embedding.bias": torch.zeros_like(gain),
        "post_layernorm.weight": clip["post_layernorm.weight"],
        "post_layernorm.bias": clip["post_layernorm.bias"],
    }
    n_layers = len({name.split(".")[2] for name in clip if name.startswith("encoder.layers.")})
    for number in range(n_layers):
        layer = f"encoder.layers.{number}"
        for kind in ("weight", "bias"):
            parts = [clip[f"{layer}.self_attn.{which}_proj.{kind}"] for which in "qkv"]
            found[f"{layer}.self_attn.qkv.{kind}"] = torch.cat(parts)
            found[f"{layer}.self_attn.projection.{kind}"] = clip[f"{layer}.self_attn.out_proj.{kind}"]
            for name in ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"):
                found[f"{layer}.{name}.{kind}"] = clip[f"{layer}.{name}.{kind}"]
    return {name: value.float().contiguous() for name, value in found.items()}


def read_vocabulary(checkpoint: Path) -> list[str]:
    """The word pieces of a checkpoint of ours, by number.

    Raises:
        ValueError: it has no such tokenizer.
    """
    path = checkpoint / "tokenizer.json"
    try:
        pieces: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"cannot start from {checkpoint}: no tokenizer of ours in it ({error})") from error
    return sorted(pieces, key=pieces.__getitem__)


def take_weights(model: Blip2ForConditionalGeneration, checkpoint: Path) -> None:
    """Take all weights of a BLIP-2-mini of the same shape.

    Raises:
        ValueError: it is none.
    """
    saved = {name: value.float() for name, value in load_file(checkpoint / "model.safetensors").items()}
    try:
        missing, unexpected = model.load_state_dict(saved, strict=False)
    except RuntimeError as error:
        raise ValueError(f"cannot start from {checkpoint}: {' '.join(str(error).split())[:200]}") from error
    lacking = [name for name in missing if "cls.predictions.decoder" not in name and "position_ids" not in name]
    if lacking or unexpected:
        raise ValueError(f"cannot start from {checkpoint}: it has other weights, such as {[*lacking, *unexpected][0]}")
