"""The command line: arguments, exit status, one-line errors. What the commands do is in `commands` and `kb_commands`.

Exit status: 0 done, 1 a fault of ours, 2 what was given cannot be used, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from generator.modes import ReadingMode
from rag_app import (
    commands,
    evaluate_commands,
    feedback_command,
    kb_commands,
    presets_command,
    score_command,
    space_command,
)
from rag_app.argument_types import positive_whole_number
from rag_app.config import DEFAULT_PRESET
from rag_app.errors import InputError, one_line

if TYPE_CHECKING:
    from rag_app.assembly import Application
    from rag_app.serving import PageSettings

__all__ = ["main"]

Serve = Callable[["Application", str, int, "PageSettings"], None]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        """Exits with 2."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None, *, serve: Serve | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments; those of the process when not given.
        serve: serves the web page for an application on a host and port; `demo` needs it.

    Returns:
        The exit status.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = [argument for argument in given if argument != "--debug"]  # it may stand anywhere, in every command
    debug = len(arguments) < len(given)
    try:
        if arguments[:1] == ["merge"]:
            raise InputError("merge is part of evaluate; write `python -m rag_app evaluate merge DIR... --output DIR`")
        parsed = _parser(arguments).parse_args(arguments)
        logging.basicConfig(level=logging.INFO if debug else logging.ERROR, format="%(name)s: %(message)s")
        for library in ("TRANSFORMERS", "HF_HUB"):  # read when they are imported
            os.environ.setdefault(f"{library}_VERBOSITY", "info" if debug else "error")
        if parsed.command == "demo":
            return commands.run_demo(parsed, serve)
        status: int = parsed.run(parsed)
        return status
    except SystemExit as stop:  # argparse: --help and wrong arguments
        return stop.code if isinstance(stop.code, int) else 2
    except InputError as error:
        if debug:
            logging.getLogger(__name__).info("traceback", exc_info=True)
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if _out_of_memory(error):
            remedies = "a generator in 4 bits (--set quantization=4-bit), or --device cpu"
            print(f"error: the device's memory ran out ({one_line(error)}); try {remedies}", file=sys.stderr)
            return 2
        if debug:
            raise
        print(
            f"unexpected error: {type(error).__name__}: {one_line(error)} (run it again with --debug for the details)",
            file=sys.stderr,
        )
        return 1


def _out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")  # without it, none of its errors came
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="python -m rag_app", description="Answers questions about a picture from a knowledge base, with evidence."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(subparsers)
    _add_ask(subparsers)
    _add_evaluate(subparsers, merging=arguments[:2] == ["evaluate", "merge"])
    evaluate_commands.add_compare(subparsers)
    score_command.add_score(subparsers)
    presets_command.add_presets(subparsers)
    space_command.add_space(subparsers)
    feedback_command.add_feedback(subparsers)
    kb = subparsers.add_parser("kb", help="look at, make and change knowledge bases")
    kb_commands.add_arguments(kb.add_subparsers(dest="kb_command", required=True, metavar="COMMAND"))
    train = subparsers.add_parser("train", help="train the small checkpoints of this repository")
    if arguments[:1] == ["train"]:
        from rag_app import training

        training.add_arguments(train.add_subparsers(dest="train_command", required=True, metavar="WHAT"))
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset", default=DEFAULT_PRESET, help="a preset's name, or a TOML file (default: %(default)s)"
    )
    parser.add_argument("--kb", help="a knowledge base, or several with commas between (default: the preset's)")
    parser.add_argument("--k", type=positive_whole_number, help="passages to find and read (default: the preset's)")
    parser.add_argument("--retriever", metavar="NAME", help="another retriever than the preset's")
    parser.add_argument("--generator", metavar="NAME", help="another generator: a name, folder, hub id or URL#MODEL")
    parser.add_argument(
        "--mode",
        choices=[mode.value for mode in ReadingMode],
        help="one prompt a passage, or all passages in one prompt (default: the preset's)",
    )
    parser.add_argument("--adapter", metavar="DIR", help="a LoRA adapter to merge into the generator")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change any key of the preset")
    parser.add_argument("--dtype", help="auto, bfloat16, float16 or float32 (default: the preset's)")
    parser.add_argument("--device", help="auto, cpu, cuda, ... (default: the preset's)")
    parser.add_argument("--var", help="folder of indexes and own knowledge bases (default: $RAG_APP_VAR, else var/)")
    parser.add_argument("--debug", action="store_true", help="show what happens, and whole tracebacks")


def _add_demo(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = subparsers.add_parser("demo", help="serve the web page")
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    demo.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    demo.add_argument("--public", action="store_true", help="visitors are strangers: set limits, change nothing")
    demo.add_argument("--mcp", action="store_true", help="offer the endpoints to agents as tools as well")
    demo.add_argument("--auth", metavar="FILE", help="who may log in: user:password a line (or set $RAG_APP_AUTH)")
    demo.add_argument(
        "--trust-proxy",
        metavar="ADDRESS,...",
        help="with --public: proxies whose X-Forwarded-For is believed (default: $FORWARDED_ALLOW_IPS, else none)",
    )
    _add_common(demo)


def _add_ask(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ask = subparsers.add_parser("ask", help="answer one question about a picture")
    ask.add_argument("--image", type=Path, required=True, metavar="FILE", help="the picture")
    ask.add_argument("--question", required=True, metavar="TEXT", help="what you want to know")
    ask.add_argument("--json", action="store_true", help="print one JSON object")
    _add_common(ask)
    ask.set_defaults(run=commands.run_ask)


def _add_evaluate(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], *, merging: bool) -> None:
    evaluate = subparsers.add_parser(
        "evaluate",
        help="answer and score the questions of a dataset",
        epilog="`evaluate merge DIR... --output DIR` puts the shards of an evaluation together.",
    )
    if merging:  # a subcommand beside required options: argparse knows one or the other
        evaluate_commands.add_merge(evaluate.add_subparsers(dest="evaluate_command", required=True, metavar="merge"))
        return
    evaluate_commands.add_evaluate(evaluate)
    _add_common(evaluate)
    evaluate.set_defaults(run=commands.run_evaluate)
