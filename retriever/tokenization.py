"""The query and passage tokenizers of FLMR: BERT WordPiece, a marker at position 1, `[MASK]` padding of queries.

Built straight on the `tokenizers` library from the files of a checkpoint (vocab.txt, tokenizer_config.json and, for
older ones, added_tokens.json), so that what the files say is all that happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from torch import Tensor

from retriever.configuration import read_json_object

__all__ = ["FLMRContextTokenizer", "FLMRQueryTokenizer", "Padding", "Piece"]

Padding = Literal["max_length", "longest"]
Piece = tuple[str, "tuple[int, int] | None"]  # a token, and the characters that it stands for, if any

VOCABULARY_FILE = "vocab.txt"
SETTINGS_FILE = "tokenizer_config.json"
ADDED_FILE = "added_tokens.json"
SPECIAL_FILE = "special_tokens_map.json"
_PLACE = ". "  # the dot becomes the token that the marker overwrites
_Item = TypeVar("_Item")
SPECIAL_NAMES = ("cls_token", "mask_token", "pad_token", "sep_token", "unk_token")
ADDED_BY_FLMR = ("<BOV>", "<SOV>", "<EOV>", "<BOQ>", "<EOQ>", "<BOC>", "<EOC>", "<BOK>", "<EOK>")


class _MarkedTokenizer:
    """BERT WordPiece whose second token is a marker.

    Attributes:
        settings: the object of tokenizer_config.json.
        vocabulary: the tokens of vocab.txt, in order.
        added: tokens beyond vocab.txt, with their ids.
    """

    marker = ""
    tokenizer_class = ""

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        settings: Mapping[str, Any] | None = None,
        added: Mapping[str, int] | None = None,
    ) -> None:
        self.vocabulary = tuple(vocabulary)
        self.settings = {"tokenizer_class": self.tokenizer_class, **(settings or {})}
        ids = {token: index for index, token in enumerate(self.vocabulary)}
        special = {name: _content(self.settings.get(name), f"[{name[:-6].upper()}]") for name in SPECIAL_NAMES}
        self._added = _added_tokens(self.settings, added or {})
        self.added = {token.content: index for index, token in self._added.items() if token.content not in ids}
        known = {**ids, **self.added}
        for token in (*special.values(), self.marker):
            if token not in known:
                raise ValueError(f"the vocabulary has no {token!r}; it is not that of a {type(self).__name__}")
        self.pad_id, self.mask_id = known[special["pad_token"]], known[special["mask_token"]]
        self.marker_id = known[self.marker]
        self._tokenizer = self._build(ids, known, special)

    @classmethod
    def from_folder(cls, folder: Path) -> Any:  # noqa: ANN401 (Self needs Python 3.11)
        """Reads the tokenizer's folder of a checkpoint.

        Raises:
            ValueError: a file is missing or damaged, or the vocabulary is not one of FLMR.
        """
        try:
            text = (folder / VOCABULARY_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read {folder / VOCABULARY_FILE}: {error}") from error
        settings = read_json_object(folder / SETTINGS_FILE)
        added = read_json_object(folder / ADDED_FILE) if (folder / ADDED_FILE).is_file() else {}
        try:
            return cls(text.removesuffix("\n").split("\n"), settings=settings, added=added)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error

    def files(self) -> dict[str, str]:
        """Name -> content of the files that `from_folder` reads back."""
        special = {name: _content(self.settings.get(name), f"[{name[:-6].upper()}]") for name in SPECIAL_NAMES}
        files = {
            VOCABULARY_FILE: "\n".join(self.vocabulary) + "\n",
            SETTINGS_FILE: _json(self.settings),
            SPECIAL_FILE: _json(special),
        }
        return {**files, ADDED_FILE: _json(self.added)} if self.added else files

    def __len__(self) -> int:
        """Vocabulary size, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def token_id(self, token: str) -> int | None:
        """Id of a token, or None if it has none."""
        index: int | None = self._tokenizer.token_to_id(token)
        return index

    def encode(self, text: str) -> list[int]:
        """Ids of a text alone: no marker, no special tokens around it."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def tokens(self, text: str) -> list[str]:
        """Tokens of a text alone, as `encode` gives their ids."""
        tokens: list[str] = self._tokenizer.encode(text, add_special_tokens=False).tokens
        return tokens

    def pieces(self, text: str, *, max_length: int) -> list[Piece]:
        """The tokens that encoding a text gives, without padding, each with its characters.

        Args:
            text: one text.
            max_length: tokens at most, as in encoding.

        Returns:
            token and (first character, one past the last) in the text; None for `[CLS]`, the marker and `[SEP]`.
        """
        encoding = self._tokenizer.encode(f"{_PLACE}{text}")
        shift = len(_PLACE)
        pieces: list[Piece] = [
            (token, (start - shift, end - shift) if end > start >= shift else None)
            for token, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True)
        ]
        pieces[1] = (self.marker, None)
        return pieces if len(pieces) <= max_length else _cut(pieces, max_length)

    def _encode_batch(self, texts: str | Sequence[str], length: int, padding: Padding) -> tuple[Tensor, Tensor]:
        """(batch, n_tokens) ids with the marker in place, and attention mask."""
        if length < 3:
            raise ValueError(f"a length of {length} has no room for [CLS], the marker and [SEP]; use 3 or more")
        texts = [texts] if isinstance(texts, str) else texts
        encodings = self._tokenizer.encode_batch([f"{_PLACE}{text}" for text in texts])
        rows = [encoding.ids if len(encoding.ids) <= length else _cut(encoding.ids, length) for encoding in encodings]
        width = length if padding == "max_length" else max((len(row) for row in rows), default=0)
        padded = [row + [self.pad_id] * (width - len(row)) for row in rows]
        ids = torch.tensor(padded, dtype=torch.long).view(len(rows), width)
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        mask = (torch.arange(width) < lengths[:, None]).long()
        ids[:, 1:2] = self.marker_id
        return ids, mask

    def _build(self, ids: dict[str, int], known: dict[str, int], special: dict[str, str]) -> Tokenizer:
        settings = self.settings
        lower = settings.get("do_lower_case", True)
        strip = settings.get("strip_accents")
        tokenizer = Tokenizer(WordPiece(ids, unk_token=special["unk_token"], max_input_chars_per_word=100))
        bert = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
            strip_accents=strip,
            lowercase=lower,
        )
        strips = lower if strip is None else strip
        # The published (slow) tokenizer composes characters; where accents are stripped that changes nothing.
        tokenizer.normalizer = bert if strips else normalizers.Sequence([normalizers.NFC(), bert])
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        cls, sep = special["cls_token"], special["sep_token"]
        tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special.values()])
        for _, token in sorted(self._added.items()):
            (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
        for content, index in self.added.items():
            if tokenizer.token_to_id(content) != index:
                raise ValueError(
                    f"added token {content!r} should have id {index}; the vocabulary leaves a gap before it"
                )
        tokenizer.post_processor = processors.BertProcessing((sep, known[sep]), (cls, known[cls]))
        return tokenizer


class FLMRQueryTokenizer(_MarkedTokenizer):
    """`[CLS] [unused0] tokens [SEP] [MASK] [MASK] ...`."""

    marker = "[unused0]"
    tokenizer_class = "FLMRQueryEncoderTokenizer"

    @property
    def query_maxlen(self) -> int:
        """Tokens of a query, if nothing else is asked for."""
        return int(self.settings.get("query_maxlen") or 32)

    @property
    def attend_to_mask_tokens(self) -> bool:
        """Whether the text attends to its `[MASK]` padding."""
        return bool(self.settings.get("attend_to_mask_tokens", False))

    def __call__(
        self, texts: str | Sequence[str], *, max_length: int | None = None, padding: Padding = "max_length"
    ) -> dict[str, Tensor]:
        """Encodes queries.

        Args:
            texts: one text or several.
            max_length: tokens of a query; None is `query_maxlen`.
            padding: to that length, or to the longest of the batch (then there is less query augmentation).

        Returns:
            `input_ids` and `attention_mask`, (batch, n_tokens). `[MASK]` padding has attention 0 unless
            `attend_to_mask_tokens`; a literal `[PAD]` in a text becomes `[MASK]` and keeps attention 1.
        """
        ids, mask = self._encode_batch(texts, self.query_maxlen if max_length is None else max_length, padding)
        ids = ids.masked_fill(ids == self.pad_id, self.mask_id)
        if self.attend_to_mask_tokens:
            mask = mask.masked_fill(ids == self.mask_id, 1)
        return {"input_ids": ids, "attention_mask": mask}


class FLMRContextTokenizer(_MarkedTokenizer):
    """`[CLS] [unused1] tokens [SEP] [PAD] [PAD] ...`."""

    marker = "[unused1]"
    tokenizer_class = "FLMRContextEncoderTokenizer"

    @property
    def doc_maxlen(self) -> int:
        """Tokens of a passage at most."""
        return int(self.settings.get("doc_maxlen") or 512)

    def __call__(
        self, texts: str | Sequence[str], *, max_length: int = 512, padding: Padding = "max_length"
    ) -> dict[str, Tensor]:
        """Encodes passages.

        Args:
            texts: one text or several.
            max_length: tokens of a passage at most; never more than `doc_maxlen`.
            padding: to that length, or to the longest of the batch (the same rows count either way).

        Returns:
            `input_ids` and `attention_mask`, (batch, n_tokens).
        """
        ids, mask = self._encode_batch(texts, min(max_length, self.doc_maxlen), padding)
        return {"input_ids": ids, "attention_mask": mask}


def _cut(items: list[_Item], length: int) -> list[_Item]:
    return [*items[: length - 1], items[-1]]


def _content(token: Any, default: str) -> str:  # noqa: ANN401 (a string or an object, as the file has it)
    return str(token.get("content", default)) if isinstance(token, Mapping) else str(token or default)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _added_tokens(settings: Mapping[str, Any], added: Mapping[str, int]) -> dict[int, AddedToken]:
    """Id -> token of everything that is recognised in a text before it is split into words."""
    extra = {_content(token, "") for token in settings.get("additional_special_tokens") or ()}
    tokens = {int(index): AddedToken(token, normalized=False, special=token in extra) for token, index in added.items()}
    for index, entry in (settings.get("added_tokens_decoder") or {}).items():
        options = {name: entry[name] for name in ("lstrip", "rstrip", "single_word", "normalized") if name in entry}
        tokens[int(index)] = AddedToken(entry["content"], special=bool(entry.get("special")), **options)
    return tokens
