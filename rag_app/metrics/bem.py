"""BEM (arXiv:2202.07654): a BERT that tells whether two answers to a question mean the same.

The full score of Encyclopedic-VQA asks it wherever exact match fails. The checkpoint is a folder in the layout of
transformers' sequence-classification models, with class 1 for "equivalent".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Bem", "load_bem"]

_THRESHOLD = 0.5
_MAX_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class Bem:
    """A loaded model of answer equivalence."""

    model: Any
    tokenizer: Any

    def probabilities(
        self, questions: Sequence[str], references: Sequence[str], candidates: Sequence[str], *, batch_size: int = 32
    ) -> list[float]:
        """How probable it is that each candidate means the same as its reference, in [0, 1].

        The input is "[CLS] candidate [SEP] reference [SEP] question [SEP]", with the candidate as first segment.
        """
        import torch

        probabilities: list[float] = []
        triples = list(zip(questions, references, candidates, strict=True))
        for start in range(0, len(triples), batch_size):
            few = triples[start : start + batch_size]
            inputs = self.tokenizer(
                [f"[CLS] {candidate} [SEP]" for _, _, candidate in few],
                [f"{reference} [SEP] {question} [SEP]" for question, reference, _ in few],
                add_special_tokens=False,
                padding=True,
                truncation=True,
                max_length=_MAX_TOKENS,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self.model(**inputs).logits.float()
            probabilities += logits.softmax(dim=-1)[:, 1].tolist()
        return probabilities

    def match(self, question: str, references: Sequence[str], candidate: str, *, lists: bool = False) -> float:
        """1 when the candidate is equivalent to any reference (probability at least 0.5), else 0.

        Args:
            question: what was asked.
            references: alternatives, any of which is right.
            candidate: the answer to score.
            lists: references are lists joined by `&&`; it becomes a comma.
        """
        asked = [reference.replace("&&", ",") if lists else reference for reference in references]
        found = self.probabilities([question] * len(asked), asked, [candidate] * len(asked))
        return float(max(found) >= _THRESHOLD)


def load_bem(folder: Path) -> Bem:
    """Loads the model from a folder; nothing is downloaded.

    Raises:
        ValueError: the folder holds no such checkpoint, or one of other than two classes.
        OSError: its files cannot be read.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} holds no checkpoint of BEM: there is no config.json in it")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": False}
    model = AutoModelForSequenceClassification.from_pretrained(str(folder), use_safetensors=True, **options)
    if model.config.num_labels != 2:
        raise ValueError(f"{folder} tells {model.config.num_labels} classes apart; BEM has 2")
    return Bem(model=model.eval(), tokenizer=AutoTokenizer.from_pretrained(str(folder), **options))
