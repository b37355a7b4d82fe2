"""Finds knowledge bases by name or path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

__all__ = ["KnowledgeBase", "find_knowledge_base", "list_knowledge_bases"]

ROOT = Path(__file__).parent
EMBEDDED = ("world_flags",)


@dataclass(frozen=True, kw_only=True)
class KnowledgeBase:
    """Where the parts of a knowledge base lie.

    Attributes:
        name: short name, as given on the command line.
        title: what people read.
        description: one or two sentences.
        passages_path: file or folder that `files.read_passages` reads.
        examples: pairs of a picture and a question about it.
        questions: question files by split.
    """

    name: str
    title: str
    description: str
    passages_path: Path
    examples: tuple[tuple[Path, str], ...] = ()
    questions: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))


def list_knowledge_bases() -> list[KnowledgeBase]:
    """The knowledge bases in the repository."""
    return [_embedded(name) for name in EMBEDDED]


def find_knowledge_base(name_or_path: str) -> KnowledgeBase:
    """A knowledge base by its name, or any file or folder that `files.read_passages` reads by its path.

    Raises:
        ValueError: no such name and no such path.
    """
    if name_or_path in EMBEDDED:
        return _embedded(name_or_path)
    path = Path(name_or_path)
    if name_or_path and path.exists():
        return KnowledgeBase(name=path.stem, title=path.stem, description=f"Passages from {path}.", passages_path=path)
    known = ", ".join(EMBEDDED)
    raise ValueError(f"unknown knowledge base {name_or_path!r}; choose one of {known} or give a file or folder")


def _embedded(name: str) -> KnowledgeBase:
    folder = ROOT / name
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    examples_path = folder / "examples" / "examples.json"
    examples = json.loads(examples_path.read_text(encoding="utf-8")) if examples_path.exists() else []
    questions = {path.stem: path for path in sorted((folder / "questions").glob("*.jsonl"))}
    return KnowledgeBase(
        name=name,
        title=about["title"],
        description=about["description"],
        passages_path=folder / "passages.jsonl",
        examples=tuple((folder / "examples" / row["image"], row["question"]) for row in examples),
        questions=MappingProxyType(questions),
    )
