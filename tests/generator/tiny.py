"""Small random checkpoints in the published layouts, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipImageProcessor,
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from generator.training.vocabulary import make_tokenizer

WORDS = (
    *(
        "the",
        "capital",
        "of",
        "is",
        "what",
        "which",
        "city",
        "question",
        "answer",
        "knowledge",
        "paris",
        "lyon",
        "rome",
    ),
    *("france", "italy", "and", "it", "has", "many", "people"),
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def reader_vocabulary() -> list[str]:
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    return [*SPECIAL, *letters, *(f"##{letter}" for letter in letters if letter.isalnum()), *WORDS]


def reader_parts(
    *, positions: int = 96, seed: int = 3, vocabulary: list[str] | None = None
) -> tuple[BertForQuestionAnswering, PreTrainedTokenizerFast]:
    vocabulary = vocabulary or reader_vocabulary()
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=positions,
        initializer_range=0.4,
    )
    return BertForQuestionAnswering(config), make_tokenizer(vocabulary, max_tokens=positions)


def save_reader_checkpoint(folder: Path, *, positions: int = 96) -> Path:
    model, tokenizer = reader_parts(positions=positions)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def language_tokenizer(
    *extra: str, bos: bool = False, merges: Sequence[tuple[str, str]] = ()
) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that can spell anything; </s> ends what it encodes, or <s> opens it."""
    specials = ["<pad>", "<s>", "</s>", "<unk>", *extra]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*specials, *alphabet, *map("".join, merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = "<s> $A" if bos else "$A </s>"
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer.add_special_tokens(specials)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def save_blip2_checkpoint(folder: Path, *, language_model: str) -> Path:
    """A tiny BLIP-2; `language_model` is "t5" or "opt"."""
    tokenizer = language_tokenizer("<image>", bos=language_model == "opt")
    size = len(tokenizer)
    common = {"vocab_size": size, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    text: dict[str, Any] = {
        "t5": {
            **common,
            **{"model_type": "t5", "d_model": 24, "d_ff": 32, "d_kv": 12, "num_layers": 2, "num_heads": 2},
            **{"decoder_start_token_id": 0, "tie_word_embeddings": False},
        },
        "opt": {
            **common,
            **{"model_type": "opt", "hidden_size": 24, "ffn_dim": 32, "num_hidden_layers": 2},
            **{"num_attention_heads": 2, "word_embed_proj_dim": 24, "max_position_embeddings": 700},
        },
    }[language_model]
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14}
    qformer = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    qformer |= {"encoder_hidden_size": 16, "vocab_size": 10}
    torch.manual_seed(5)
    config = Blip2Config(
        vision_config=vision,
        qformer_config=qformer,
        text_config=text,
        num_query_tokens=4,
        image_token_index=tokenizer.get_vocab()["<image>"],
    )
    model = Blip2ForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():  # so that pictures and words make a difference
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    BlipImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def save_llava_checkpoint(folder: Path, *, chat_template: str | None = None) -> Path:
    """A tiny LLaVA-1.5."""
    tokenizer = language_tokenizer("<image>", bos=True)
    config = LlavaConfig(
        vision_config=_CLIP, text_config=_llama(tokenizer), image_token_index=tokenizer.get_vocab()["<image>"]
    )
    _save_random(LlavaForConditionalGeneration(config), folder)
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    processor.save_pretrained(folder)
    return folder


def save_llava_next_checkpoint(folder: Path) -> Path:
    """A tiny LLaVA-1.6."""
    tokenizer = language_tokenizer("<image>", bos=True)
    config = LlavaNextConfig(
        vision_config=_CLIP,
        text_config=_llama(tokenizer),
        image_token_index=tokenizer.get_vocab()["<image>"],
        image_grid_pinpoints=_GRID,
    )
    _save_random(LlavaNextForConditionalGeneration(config), folder)
    images = LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=_GRID
    )
    processor = LlavaNextProcessor(  # type: ignore[no-untyped-call]
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    processor.save_pretrained(folder)
    return folder


def save_onevision_checkpoint(folder: Path) -> Path:
    """A tiny LLaVA-OneVision, with the published files, that of videos among them."""
    tokenizer = language_tokenizer("<image>", "<video>", bos=True)
    vision = {"model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3}
    vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14, "vision_use_head": False}
    places = tokenizer.get_vocab()
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=_llama(tokenizer) | {"model_type": "qwen2"},
        image_token_index=places["<image>"],
        video_token_index=places["<video>"],
        image_grid_pinpoints=_GRID,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    _save_random(LlavaOnevisionForConditionalGeneration(config), folder)
    tokenizer.save_pretrained(folder)
    kind, size = {"processor_class": "LlavaOnevisionProcessor"}, {"height": 28, "width": 28}
    picture: dict[str, Any] = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
    }
    picture |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3, "rescale_factor": 1 / 255, "size": size}
    pictures: dict[str, Any] = {"image_processor_type": "LlavaOnevisionImageProcessor", "image_grid_pinpoints": _GRID}
    videos: dict[str, Any] = {"video_processor_type": "LlavaOnevisionVideoProcessor", "size": size}
    whole: dict[str, Any] = {"num_image_tokens": 4, "vision_feature_select_strategy": "full"}
    for name, values in {
        "preprocessor_config": {**picture, **pictures},
        "video_preprocessor_config": videos,
        "processor_config": {"image_token": "<image>", "video_token": "<video>", **whole},
    }.items():
        (folder / f"{name}.json").write_text(json.dumps({**kind, **values}))
    return folder


_GRID = [[28, 56], [56, 28], [56, 56]]
_CLIP = {
    **{"model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3},
    **{"num_attention_heads": 2, "image_size": 28, "patch_size": 14, "projection_dim": 16},
}


def _llama(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    sizes = {"model_type": "llama", "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
    return sizes | heads | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 900}


def _save_random(model: Any, folder: Path) -> None:  # noqa: ANN401
    """With weights that are large enough for pictures and words to make a difference."""
    torch.manual_seed(6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder)
