"""Text alone: questions over passages, late interaction beside a single vector and BM25 in the same run.

    python -m benchmarks.text_retrieval --passages passages.jsonl.gz --questions questions.jsonl [--limit N]

Passages are rows of `passage_id`, `text`; questions of `question`, `pos_passage_ids`. The single vector of a text is
the mean of its rows (as DPR reduces a text to one vector), compared by cosine. BM25 is the library bm25s with its
English stop words. success@k: the share of questions with a right passage among the first k.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import bm25s
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from benchmarks.corpus import read_jsonl
from benchmarks.presets import add_preset_argument
from knowledge_bases.records import VisualQuestion
from rag_app.assembly import load_encoder
from rag_app.devices import resolve_placement
from rag_app.progress import ProgressLine
from retriever.late_interaction import maxsim_matrix

DEPTHS = (1, 5, 10)
CHUNK = 256  # passages scored at a time


def late_interaction(queries: Sequence[Tensor], passages: Sequence[Tensor]) -> Tensor:
    """(n_queries, n_passages) MaxSim scores."""
    asked = pad_sequence(list(queries), batch_first=True)
    parts = []
    for start in range(0, len(passages), CHUNK):
        few = list(passages[start : start + CHUNK])
        lengths = torch.tensor([len(rows) for rows in few])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        parts.append(maxsim_matrix(asked, pad_sequence(few, batch_first=True).float(), mask))
    return torch.cat(parts, dim=1)


def single_vector(queries: Sequence[Tensor], passages: Sequence[Tensor]) -> Tensor:
    """(n_queries, n_passages) cosines of mean rows."""

    def means(texts: Sequence[Tensor]) -> Tensor:
        return normalize(torch.stack([rows.float().mean(dim=0) for rows in texts]), dim=1)

    return means(queries) @ means(passages).T


def bm25(questions: Sequence[str], passages: Sequence[str], depth: int) -> Tensor:
    """(n_questions, depth) places of the best passages."""
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(passages), stopwords="en", show_progress=False), show_progress=False)
    asked = bm25s.tokenize(list(questions), stopwords="en", show_progress=False)
    return torch.from_numpy(index.retrieve(asked, k=depth, show_progress=False).documents).long()


def success(found: Tensor, right: Sequence[set[int]]) -> list[float]:
    """success@k for every depth."""
    hits = [[place in answers for place in row] for row, answers in zip(found.tolist(), right, strict=True)]
    return [sum(any(row[:depth]) for row in hits) / len(hits) for depth in DEPTHS]


def main() -> None:
    """Prints a row a way of retrieving."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="use the first N passages and the questions that they answer")
    add_preset_argument(parser)
    arguments = parser.parse_args()
    rows = read_jsonl(arguments.passages)[: arguments.limit]
    places = {row["passage_id"]: place for place, row in enumerate(rows)}
    asked = [row for row in read_jsonl(arguments.questions) if set(row["pos_passage_ids"]) & places.keys()]
    right = [{places[key] for key in row["pos_passage_ids"] if key in places} for row in asked]
    questions, texts = [row["question"] for row in asked], [row["text"] for row in rows]
    preset = arguments.preset
    encoder = load_encoder(preset, resolve_placement(preset.device, preset.dtype))
    began = time.perf_counter()
    encoded = encoder.encode_passages(texts, progress=ProgressLine("passages encoded"))
    seconds = time.perf_counter() - began
    passages = [passage.half() for passage in encoded]
    queries = encoder.encode_queries([VisualQuestion(text=question) for question in questions])
    depth = max(DEPTHS)
    found = {
        "late interaction": late_interaction(queries, passages).topk(depth).indices,
        "single vector (mean of the rows)": single_vector(queries, passages).topk(depth).indices,
        "BM25": bm25(questions, texts, depth),
    }
    print(f"{len(questions)} questions, {len(texts):,} passages, encoded at {len(texts) / seconds:.0f} a second")
    print(f"{'':34}" + " ".join(f"{f'success@{depth}':>10}" for depth in DEPTHS))
    for name, best in found.items():
        print(f"{name:34}" + " ".join(f"{share:>10.3f}" for share in success(best, right)))


if __name__ == "__main__":
    main()
