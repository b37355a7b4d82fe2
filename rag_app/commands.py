"""The commands `demo`, `ask` and `evaluate`. What is given is checked first; models are imported only after that."""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from generator.catalog import Quantization, known_generator
from knowledge_bases.records import VisualQuestion
from rag_app.answers import Answer
from rag_app.config import Preset, load_preset, var_folder, with_settings
from rag_app.errors import InputError, one_line
from rag_app.knowledge import find_together
from rag_app.pictures import open_picture
from rag_app.presets_command import check_preset
from rag_app.progress import ProgressLine
from rag_app.questions import check_question
from rag_app.serving import PageSettings, check_mcp, public_page, read_accounts, read_proxies

if TYPE_CHECKING:
    from rag_app.assembly import Application

__all__ = ["run_ask", "run_demo", "run_evaluate"]


def run_ask(args: argparse.Namespace) -> int:
    """Answers one question."""
    question = check_question(args.question)
    image = open_picture(args.image)
    application = _open(args)
    answer = application.pipeline.invoke(VisualQuestion(text=question, image=image))
    if args.json:
        names = {"preset": application.preset.name, "knowledge_base": application.knowledge_base}
        print(json.dumps({**answer.as_json(), **names}, ensure_ascii=False))
    else:
        print(answer_text(answer, width=min(100, shutil.get_terminal_size((100, 24)).columns)))
    return 0


def run_demo(args: argparse.Namespace, serve: Callable[[Application, str, int, PageSettings], None] | None) -> int:
    """Serves the web page until it is interrupted."""
    if serve is None:
        raise RuntimeError("this entry point cannot serve the page; use python -m rag_app demo")
    _check_address(args.host, args.port)
    if args.mcp:
        check_mcp(public=args.public)
    accounts = read_accounts(args.auth)
    if args.trust_proxy is not None and not args.public:
        raise InputError("--trust-proxy is for --public: only there visitors are told apart")
    settings = PageSettings(accounts=accounts, mcp=args.mcp)
    if args.public:
        settings = public_page(accounts, read_proxies(args.trust_proxy))
    application = _open(args)
    print(f"Serving http://{args.host}:{args.port} - press Ctrl-C to stop", file=sys.stderr)
    serve(application, args.host, args.port, settings)
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Answers and scores a dataset."""
    from rag_app import evaluate_commands

    return evaluate_commands.run_evaluate(args, _preset, _open)


def answer_text(answer: Answer, *, width: int) -> str:
    """The answer for people reading a terminal."""
    if answer.abstained:
        guess = f" My best guess: {answer.text}" if answer.text else ""
        lines = [f"I am not sure enough to answer.{guess} (confidence {answer.confidence:.2f})"]
    else:
        lines = [f"{answer.text} (confidence {answer.confidence:.2f})"]
    for rank, found in enumerate(answer.passages, start=1):
        lines += ["", f"{rank}. {found.passage.title} [{found.passage.passage_id}] score {found.score:.2f}"]
        lines += textwrap.wrap(found.passage.text, width=width, initial_indent="   ", subsequent_indent="   ")
    timings = ", ".join(f"{stage} {taken:.0f} ms" for stage, taken in answer.timings_ms.items())
    return "\n".join([*lines, "", timings])


def _preset(args: argparse.Namespace) -> Preset:
    preset = load_preset(args.preset)
    same_name = ("k", "device", "dtype", "retriever", "generator", "mode", "adapter")
    given: dict[str, Any] = {name: getattr(args, name) for name in same_name} | {"knowledge_base": args.kb}
    changed = replace(preset, **{name: value for name, value in given.items() if value is not None})
    changed = with_settings(changed, args.set)
    if (changed.retriever, changed.generator) != (preset.retriever, preset.generator):
        # what the preset's own pair needs says nothing of another
        return with_settings(_needing_what_its_generator_does(changed), args.set)
    if changed.quantization != preset.quantization:
        return with_settings(_needing_fewer_bits(changed, preset.gpu_gb), args.set)
    return changed


def _needing_what_its_generator_does(preset: Preset) -> Preset:
    """The preset with what is known of its generator's needs; 0 where nothing is."""
    known = known_generator(preset.generator)
    if known is None:
        return replace(preset, gpu_gb=0.0, download_gb=0.0, license="")
    quantization = Quantization(preset.quantization) if preset.quantization else None
    return replace(preset, gpu_gb=known.gpu_gb_in(quantization), download_gb=known.download_gb, license="")


def _needing_fewer_bits(preset: Preset, gpu_gb: float) -> Preset:
    """The preset with what it needs where its generator's weights have fewer bits than in `gpu_gb`."""
    known = known_generator(preset.generator)
    if known is None or not preset.quantization:
        return preset
    saved = known.gpu_gb - known.gpu_gb_in(Quantization(preset.quantization))
    return replace(preset, gpu_gb=gpu_gb - saved)


def _open(args: argparse.Namespace, *, retrieve: bool = True) -> Application:
    """The application that the arguments ask for; names are checked before anything heavy is imported."""
    preset = _preset(args)
    var = var_folder(args.var)
    knowledge = find_together(preset.knowledge_base, var)
    check_preset(preset)
    from rag_app.assembly import open_application

    return open_application(
        preset, *knowledge, var=var, retrieve=retrieve, notify=_notify, progress=ProgressLine("passages encoded")
    )


def _notify(message: str) -> None:
    print(f"note: {message}", file=sys.stderr)


def _check_address(host: str, port: int) -> None:
    """Finds out that an address is taken before minutes of work rather than after.

    Raises:
        InputError: it cannot be listened on.
    """
    if not 0 < port < 65536:
        raise InputError(f"--port must lie between 1 and 65535, not {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InputError(f"cannot serve on {host}:{port} ({one_line(error)}); choose another --port") from error
