"""Golden cases of the reference's engine: the passages' rows and their exact scores. Its codec is not ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from retriever.checkpoints import load_retriever
from retriever.late_interaction import maxsim_matrix


def compare(folder: Path, case: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yields (what was compared, largest difference).

    Args:
        folder: of the case; its checkpoint lies beside it.
        case: its case.json.
    """
    inputs, expected = load_file(folder / "inputs.safetensors"), load_file(folder / "expected.safetensors")
    encoder = load_retriever(folder.parent / case["checkpoint"], device=torch.device("cpu"), dtype=torch.float32)
    tokens = encoder.processor.context_tokenizer(case["documents"], padding="longest")
    with torch.inference_mode():
        encoded = encoder.model.doc(tokens["input_ids"], tokens["attention_mask"])
    lengths = inputs["doclens"]
    yield "doclens", _difference(encoded.mask.sum(dim=1), lengths)
    yield "doc_embeddings", _difference(encoded.late_interaction_output[encoded.mask], inputs["doc_embeddings"])
    passages = pad_sequence(list(torch.split(inputs["doc_embeddings"], lengths.tolist())), batch_first=True)
    mask = torch.arange(passages.shape[1]) < lengths[:, None]
    scores = maxsim_matrix(inputs["query_embeddings"], passages, mask)
    yield "exact_maxsim", _difference(scores, expected["exact_maxsim"])


def _difference(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).abs().max()) if value.shape == expected.shape else float("inf")
