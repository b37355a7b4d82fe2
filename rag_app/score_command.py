"""The command `score`: scores predictions that others made, without any model but BEM's."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_app.counting import number_of
from rag_app.errors import InputError, one_line, reported_as_input
from rag_app.metrics.bem import load_bem
from rag_app.metrics.okvqa import published_stems
from rag_app.scoring.pictures import with_pictures
from rag_app.scoring.rows import Row, pair_rows, read_rows
from rag_app.scoring.scorers import AT_K, SCORERS, Context
from rag_app.scoring.totals import MISSING, score_pairs, totals

__all__ = ["add_score"]

_USUAL_K = (1, 5, 10)


def add_score(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    score = subparsers.add_parser("score", help="score predictions that others made")
    score.add_argument(
        "--metric", required=True, type=_metric, choices=list(SCORERS), help="the benchmark whose rules count"
    )
    score.add_argument(
        "--predictions", type=Path, required=True, metavar="P", help="JSON, JSON Lines, CSV or parquet file"
    )
    score.add_argument(
        "--references", type=Path, required=True, nargs="+", metavar="R", help="the same; more files add columns"
    )
    score.add_argument("--missing", choices=MISSING, default="error", help="questions not answered")
    score.add_argument("--k", type=int, nargs="+", help="the K of Recall@K and Pseudo-Recall@K (default: 1 5 10)")
    score.add_argument("--passages", type=Path, metavar="FILE", help="texts of the passages, for pseudo-recall")
    score.add_argument("--bem", type=Path, metavar="DIR", help="checkpoint of BEM, for the full E-VQA score")
    score.add_argument("--json", action="store_true", help="print one JSON object")
    score.add_argument("--details", type=Path, metavar="FILE", help="write each question's scores as JSON Lines")
    score.add_argument("--debug", action="store_true", help="show what happens, and whole tracebacks")
    score.set_defaults(run=run_score)


def _metric(name: str) -> str:
    """The name as `SCORERS` has it; capitals and the hyphens of OK-VQA, A-OKVQA and E-VQA are forgiven."""
    plain = name.lower()
    return next((known for known in SCORERS if known.replace("-", "") == plain.replace("-", "")), plain)


def run_score(args: argparse.Namespace) -> int:
    """Scores one file of predictions."""
    if args.k is not None and args.metric not in AT_K:
        raise InputError(f"--k belongs to --metric {' and '.join(AT_K)}; {args.metric} has no K")
    if args.k is not None and min(args.k) < 1:
        raise InputError(f"--k must be at least 1, not {min(args.k)}")
    predictions = read_rows(args.predictions)
    references = [read_rows(path) for path in args.references]
    if args.metric == "evqa":
        references = [with_pictures(references[0], predictions), *references[1:]]
    pairs = pair_rows(predictions, references)
    surplus = len(predictions.keys() - references[0].keys())
    context = _context(args, references[0])
    scored = score_pairs(args.metric, pairs, context, missing=args.missing, surplus=surplus)
    result = {"metric": args.metric, **totals(args.metric, scored)}
    result["counts"] |= {"given": len(pairs), "unscored": len(pairs) - len(scored)}
    if args.details is not None:
        rows = ({"question_id": one.pair.question_id, **one.scores} for one in scored)
        _write_details(args.details, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    if surplus:
        print(f"note: no question of the references for {number_of(surplus, 'prediction')}", file=sys.stderr)
    print(json.dumps(result, ensure_ascii=False) if args.json else _text(result))
    return 0


def _context(args: argparse.Namespace, references: Mapping[str, Row]) -> Context:
    passages, bem, stems = {}, None, {}
    if args.passages is not None:
        from knowledge_bases.files import read_passages

        with reported_as_input(f"passages {args.passages}"):
            passages = {passage.passage_id: passage.content for passage in read_passages(args.passages)}
    if args.bem is not None:
        if args.metric != "evqa":
            raise InputError("--bem belongs to --metric evqa")
        with reported_as_input("BEM"):
            bem = load_bem(args.bem)
    if args.metric == "okvqa":
        answers = [row["answers"] for row in references.values() if isinstance(row.get("answers"), list)]
        stems = published_stems(one for some in answers for one in some if isinstance(one, dict))
    return Context(cutoffs=sorted(set(args.k or _USUAL_K)), passages=passages, bem=bem, stems=stems)


def _write_details(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # half a surrogate pair becomes its escape
    except OSError as error:
        raise InputError(f"{path} cannot be written: {one_line(error)}") from error


def _text(result: dict[str, Any]) -> str:
    width = max(len(name) for name in result["metrics"])
    counts = result["counts"]
    lines = [
        f"{name:<{width}}  {100 * value:8.2f} %  {number_of(counts[name], 'question')}"
        for name, value in result["metrics"].items()
    ]
    return "\n".join([*lines, f"{counts['questions']:,} of {number_of(counts['given'], 'question')} scored"])
