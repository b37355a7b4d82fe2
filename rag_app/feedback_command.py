"""The command `feedback export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rag_app.config import var_folder
from rag_app.counting import number_of

__all__ = ["add_feedback"]


def add_feedback(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    feedback = subparsers.add_parser("feedback", help="what people thought of the answers on the page")
    commands = feedback.add_subparsers(dest="feedback_command", required=True, metavar="COMMAND")
    export = commands.add_parser("export", help="write it as a dataset that `evaluate` asks")
    export.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of questions and pictures")
    export.add_argument("--var", help="folder of the feedback (default: $RAG_APP_VAR, else var/)")
    export.add_argument("--debug", action="store_true", help="show what happens, and whole tracebacks")
    export.set_defaults(run=_run_export)


def _run_export(args: argparse.Namespace) -> int:
    from rag_app.feedback import FeedbackStore, export, feedback_path

    store = FeedbackStore(feedback_path(var_folder(args.var)))
    questions = export(store, args.output)
    print(f"{questions}: {number_of(len(list(store)), 'row')}; ask them again with")
    print(
        f"  python -m rag_app evaluate --dataset {questions} --images {args.output / 'pictures'} "
        f"--output {args.output / 'evaluation'}"
    )
    return 0
