"""BEM (arXiv:2202.07654): a BERT that tells whether two answers to a question mean the same.

The full score of Encyclopedic-VQA asks it wherever exact match fails. The checkpoint is a folder in the layout of
transformers' sequence-classification models, with class 1 for "equivalent".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Bem", "Compared", "check_bem", "load_bem"]

_THRESHOLD = 0.5
_MAX_TOKENS = 512
_CLASSES = 2


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One answer that BEM is asked about.

    Attributes:
        question: what was asked.
        references: alternatives, any of which is right.
        candidate: the answer to score.
        lists: whether references are lists joined by `&&`; it becomes a comma.
    """

    question: str
    references: Sequence[str]
    candidate: str
    lists: bool = False


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
        """1 when the candidate is equivalent to any reference, else 0; see `Compared` for the arguments."""
        compared = Compared(question=question, references=references, candidate=candidate, lists=lists)
        return self.matches([compared])[0]

    def matches(self, answers: Sequence[Compared]) -> list[float]:
        """For each answer 1 when it is equivalent to any of its references (probability at least 0.5), else 0.

        All are asked together, in batches. An answer without references matches none.
        """
        triples = [
            (number, one.question, reference.replace("&&", ",") if one.lists else reference, one.candidate)
            for number, one in enumerate(answers)
            for reference in one.references
        ]
        found = self.probabilities(
            [question for _, question, _, _ in triples],
            [reference for _, _, reference, _ in triples],
            [candidate for _, _, _, candidate in triples],
        )
        matched = {triple[0] for triple, value in zip(triples, found, strict=True) if value >= _THRESHOLD}
        return [float(number in matched) for number in range(len(answers))]


def check_bem(folder: Path) -> None:
    """Finds out without any model library that a folder holds no checkpoint of BEM.

    Raises:
        ValueError: a file is missing, or it is a checkpoint of other than two classes.
        OSError: a file cannot be read.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} holds no checkpoint of BEM: there is no config.json in it")
    if (classes := _classes(folder / "config.json")) != _CLASSES:
        raise ValueError(f"{folder} tells {classes} classes apart; BEM has {_CLASSES}")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no weights of BEM: there is no *.safetensors file in it")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise ValueError(f"{folder} holds no tokenizer of BEM: there is neither tokenizer.json nor vocab.txt in it")


def _classes(path: Path) -> int:
    """How many classes a checkpoint's configuration names; transformers writes them down where they are not 2."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return len(config["id2label"]) if config.get("id2label") else int(config.get("num_labels", _CLASSES))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no configuration of a checkpoint; copy the checkpoint again") from error


def load_bem(folder: Path) -> Bem:
    """Loads the model from a folder, for the CPU; nothing is downloaded.

    Raises:
        ValueError: the folder holds no such checkpoint, or one of other than two classes.
        OSError: its files cannot be read.
    """
    check_bem(folder)
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    options = {"local_files_only": True, "trust_remote_code": False}
    model = AutoModelForSequenceClassification.from_pretrained(str(folder), use_safetensors=True, **options)
    if model.config.num_labels != _CLASSES:
        raise ValueError(f"{folder} tells {model.config.num_labels} classes apart; BEM has {_CLASSES}")
    return Bem(model=model.eval(), tokenizer=AutoTokenizer.from_pretrained(str(folder), **options))
