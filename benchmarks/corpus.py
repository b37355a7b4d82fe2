"""Token embeddings of real passages, and queries over them, for measuring indexes.

They stand in for PreFLMR's: last hidden states of all-MiniLM-L6-v2 (at most 180 tokens, punctuation dropped), reduced
from 384 to 128 dimensions by principal components and normalised. Short queries are 32 rows, padded with [MASK], to
which no other row attends, as ColBERT and FLMR do. Long ones, like PreFLMR's 320 rows, add 288 simulated visual rows to
them: noisy copies of 72 prototypes drawn from tokens of the right passage (25 %), of its article (35 %) and of any
passage (40 %).
"""

from __future__ import annotations

import gzip
import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from retriever.training.initial import minilm_folder

__all__ = ["Corpus", "load_corpus", "noisy_copies", "noisy_copy", "read_jsonl"]

DIM = 128
LONGEST = 180  # tokens of a passage
TEXT_ROWS = 32
VISUAL_ROWS = 288
PROTOTYPES = 72
VISUAL_NOISE = 0.6
CHUNK = 500  # passages encoded between two saves
MASK = 103


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Embedded passages and queries.

    Attributes:
        ids: of the passages.
        embeddings: (n_tokens, 128) float16 unit rows, passage after passage.
        lengths: (n_passages,) tokens of each.
        short: (32, 128) float32 queries.
        long: (320, 128) float32 queries, of the same questions.
        gold: position of the passage that answers each question.
    """

    ids: list[str]
    embeddings: Tensor
    lengths: NDArray[np.int64]
    short: list[Tensor]
    long: list[Tensor]
    gold: list[int]

    def passages(self) -> list[Tensor]:
        """(n_tokens, 128) rows of each passage."""
        return list(torch.split(self.embeddings, self.lengths.tolist()))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file, gzipped or not."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.split(b"\n") if line.strip()]


def load_corpus(
    passages: Path, questions: Path | None, *, n_passages: int, n_questions: int, cache_folder: Path
) -> Corpus:
    """Embeds the first passages of a file and questions that they answer; passages embedded before are read.

    Args:
        passages: rows of `passage_id`, `text`, and `article` or `title`.
        questions: rows of `question`, `pos_passage_ids`; None asks with the beginnings of passages.
        n_passages: how many of the passages to take.
        n_questions: how many questions to embed, at most.
        cache_folder: where embeddings are kept between runs.
    """
    rows = read_jsonl(passages)[:n_passages]
    parts = list(_embedded_chunks([row["text"] for row in rows], cache_folder))
    axes = _principal_axes(torch.cat([hidden for hidden, _ in parts[:4]]), cache_folder)
    embeddings = torch.cat([_project(hidden, axes).half() for hidden, _ in parts])
    lengths = np.concatenate([lengths for _, lengths in parts])
    asked, gold = _questions(rows, questions, n_questions)
    short = [_project(_hidden_states([text], padded=True)[0], axes) for text in asked]
    articles = np.asarray([row.get("article", row.get("title", "")) for row in rows])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    long = [
        torch.cat([query, _visual_rows(embeddings, starts, articles, place, seed)])
        for seed, (query, place) in enumerate(zip(short, gold, strict=True))
    ]
    ids = [row["passage_id"] for row in rows]
    return Corpus(ids=ids, embeddings=embeddings, lengths=lengths, short=short, long=long, gold=gold)


def noisy_copies(corpus: Corpus, copies: int, *, swapped: float = 0.3, noise: float = 0.5, seed: int = 0) -> Corpus:
    """The corpus and noisy copies of it: a share of each copy's tokens comes from anywhere, the others get noise.

    The copies are near-duplicates of the originals, which makes finding the exact top 100 artificially hard.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = corpus.embeddings
    blocks = [rows, *(noisy_copy(rows, rows, generator, swapped=swapped, noise=noise) for _ in range(copies))]
    return Corpus(
        ids=[f"{passage_id}~{copy}" if copy else passage_id for copy in range(copies + 1) for passage_id in corpus.ids],
        embeddings=torch.cat(blocks),
        lengths=np.tile(corpus.lengths, copies + 1),
        short=corpus.short,
        long=corpus.long,
        gold=corpus.gold,
    )


def noisy_copy(
    rows: Tensor, pool: Tensor, generator: torch.Generator, *, swapped: float = 0.3, noise: float = 0.5
) -> Tensor:
    """(n, dim) rows with noise, a share of them taken from a pool instead."""
    copy = rows.float() + torch.randn(rows.shape, generator=generator) * noise / DIM**0.5
    taken = torch.rand(len(rows), generator=generator) < swapped
    copy[taken] = pool[torch.randint(len(pool), (int(taken.sum()),), generator=generator)].float()
    return functional.normalize(copy, dim=1).half()


def _questions(rows: list[dict[str, Any]], questions: Path | None, n: int) -> tuple[list[str], list[int]]:
    """Texts, and the position of the passage that answers each."""
    if questions is None:
        places = np.random.default_rng(0).permutation(len(rows))[:n].tolist()
        return [" ".join(rows[place]["text"].split()[:12]) for place in places], places
    where = {row["passage_id"]: place for place, row in enumerate(rows)}
    asked = [row for row in read_jsonl(questions) if row["pos_passage_ids"][0] in where][:n]
    return [row["question"] for row in asked], [where[row["pos_passage_ids"][0]] for row in asked]


def _visual_rows(
    embeddings: Tensor, starts: NDArray[np.int64], articles: NDArray[np.str_], gold: int, seed: int
) -> Tensor:
    random = np.random.default_rng(seed)
    siblings = np.flatnonzero(articles == articles[gold])
    article_tokens = np.concatenate([np.arange(starts[place], starts[place + 1]) for place in siblings])
    kind = random.random(PROTOTYPES)
    picks = np.where(
        kind < 0.25,
        random.integers(starts[gold], starts[gold + 1], PROTOTYPES),
        np.where(kind < 0.6, random.choice(article_tokens, PROTOTYPES), random.integers(0, starts[-1], PROTOTYPES)),
    )
    prototypes = embeddings[torch.from_numpy(np.repeat(picks, VISUAL_ROWS // PROTOTYPES))].float()
    noise = torch.from_numpy(random.standard_normal((VISUAL_ROWS, DIM)).astype(np.float32))
    return functional.normalize(prototypes + noise * VISUAL_NOISE / DIM**0.5, dim=1)


def _embedded_chunks(texts: list[str], cache_folder: Path) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    """Hidden states (n_tokens, 384) float16 and lengths, a chunk of passages at a time."""
    cache_folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        path = cache_folder / f"minilm-{start:06d}-{len(chunk)}.npz"
        if not path.exists():
            states = _hidden_states(chunk, padded=False)
            aside = path.with_suffix(".part.npz")
            np.savez(aside, rows=torch.cat(states).half().numpy(), lengths=[len(rows) for rows in states])
            aside.replace(path)
        with np.load(path) as kept:
            yield torch.from_numpy(kept["rows"]), kept["lengths"].astype(np.int64)


def _principal_axes(hidden: Tensor, cache_folder: Path) -> Tensor:
    """(384, 128) axes of the first passages; kept, so that every corpus size is reduced alike."""
    path = cache_folder / "axes.npy"
    if not path.exists():
        centred = functional.normalize(hidden.float(), dim=1)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        np.save(path, vectors[:, -DIM:].numpy())
    return torch.from_numpy(np.load(path))


def _project(hidden: Tensor, axes: Tensor) -> Tensor:
    return functional.normalize(functional.normalize(hidden.float(), dim=1) @ axes, dim=1)


@cache
def _minilm() -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    folder = str(minilm_folder())
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def _hidden_states(texts: list[str], *, padded: bool) -> list[Tensor]:
    """Last hidden states of each text: padded queries keep all 32 rows, passages lose their punctuation."""
    tokenizer, model = _minilm()
    longest = TEXT_ROWS if padded else LONGEST
    ids = tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    dropped = {tokenizer.convert_tokens_to_ids(mark) for mark in string.punctuation}
    states: dict[int, Tensor] = {}
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    for start in range(0, len(order), 16):
        batch = order[start : start + 16]
        width = longest if padded else max(len(ids[place]) for place in batch)
        tokens = torch.full((len(batch), width), MASK if padded else 0)
        for row, place in enumerate(batch):
            tokens[row, : len(ids[place])] = torch.tensor(ids[place])
        attended = torch.zeros_like(tokens)
        for row, place in enumerate(batch):
            attended[row, : len(ids[place])] = 1
        with torch.inference_mode():
            output = model(input_ids=tokens, attention_mask=attended).last_hidden_state
        for row, place in enumerate(batch):
            length = width if padded else len(ids[place])
            keep = [padded or token not in dropped for token in tokens[row, :length].tolist()]
            states[place] = output[row, :length][torch.tensor(keep)]
    return [states[place] for place in range(len(texts))]
