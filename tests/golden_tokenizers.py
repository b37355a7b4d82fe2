"""Golden cases of tokenizers: every recorded string against ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from retriever.masks import TokenIds
from retriever.processing import FLMRProcessor
from retriever.tokenization import FLMRContextTokenizer, FLMRQueryTokenizer

RECORDED_TOKENS = 80  # the cases record no more tokens of a text than these


def compare(folder: Path, case: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yields (what was compared, whether it was equal) for every value of a tokenizer case."""
    for name, expected in case["tokenizers"].items():
        query = FLMRQueryTokenizer.from_folder(folder / name / "query_tokenizer")
        context = FLMRContextTokenizer.from_folder(folder / name / "context_tokenizer")
        for key, value in expected.items():
            yield from ((f"{name}.{key}{what}", equal) for what, equal in _entry(key, value, query, context))


def _entry(
    key: str,
    value: Any,  # noqa: ANN401 (JSON)
    query: FLMRQueryTokenizer,
    context: FLMRContextTokenizer,
) -> Iterator[tuple[str, bool]]:
    scalars: dict[str, object] = {
        "vocab_size_with_added": len(query),
        "query_maxlen": query.query_maxlen,
        "doc_maxlen": context.doc_maxlen,
        "attend_to_mask_tokens": query.attend_to_mask_tokens,
        "Q_marker_id": query.marker_id,
        "D_marker_id": context.marker_id,
        "pad_id": query.pad_id,
        "mask_id": query.mask_id,
        "cls_id": query.token_id("[CLS]"),
        "sep_id": query.token_id("[SEP]"),
        "unk_id": query.token_id("[UNK]"),
        "colon_id": _masked(query, context).instruction_end,
        "document_skip_list_ids": list(_masked(query, context).punctuation),
    }
    if key in scalars:
        yield "", scalars[key] == (sorted(value) if isinstance(value, list) else value)
    elif key == "items":
        for item in value:
            tokens = query.tokens(f". {item['text']}")
            cut = tokens[:RECORDED_TOKENS] if len(item["tokens"]) == RECORDED_TOKENS else tokens
            yield f"[{item['text'][:30]!r}].tokens", cut == item["tokens"]
            yield f"[{item['text'][:30]!r}].query", _same(query(item["text"]), item, "query_")
            yield f"[{item['text'][:30]!r}].context", _same(context(item["text"]), item, "context_")
    elif key == "query_max_length_override":
        for item in value:
            yield f"[{item['max_length']}]", _same(query(item["text"], max_length=item["max_length"]), item, "")
    elif key == "context_max_length_override":
        for item in value:
            yield f"[{item['max_length']}]", _same(context(item["text"], max_length=item["max_length"]), item, "")
    elif key == "context_padding_longest":
        yield "", context(value["texts"], padding="longest")["input_ids"].tolist() == value["input_ids"]
    else:
        yield " (not known, not compared)", False


def _masked(query: FLMRQueryTokenizer, context: FLMRContextTokenizer) -> TokenIds:
    return FLMRProcessor(query, context, None).token_ids()


def _same(got: Mapping[str, Tensor], item: Mapping[str, Any], prefix: str) -> bool:
    return all(got[name][0].tolist() == item[f"{prefix}{name}"] for name in ("input_ids", "attention_mask"))
