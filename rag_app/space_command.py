"""`python -m rag_app space push`: puts the application on a Hugging Face Space."""

from __future__ import annotations

import argparse

from rag_app.config import DEFAULT_PRESET, load_preset, preset_names
from rag_app.counting import number_of
from rag_app.errors import InputError
from rag_app.space import HUB_REPO, push, space_files

__all__ = ["add_space"]


def add_space(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    space = subparsers.add_parser("space", help="put the application on a Hugging Face Space")
    command = space.add_subparsers(dest="space_command", required=True, metavar="COMMAND").add_parser(
        "push", help="upload what the Space needs of this checkout"
    )
    command.add_argument("--repo", required=True, metavar="USER/NAME", help="the Space; it is made if there is none")
    command.add_argument("--preset", default=DEFAULT_PRESET, help="what the Space runs (default: %(default)s)")
    command.add_argument("--private", action="store_true", help="a Space that is made now is seen by its owner alone")
    command.add_argument("--dry-run", action="store_true", help="list what would go up, without the network")
    command.set_defaults(run=_run_push)


def _run_push(args: argparse.Namespace) -> int:
    if not HUB_REPO.fullmatch(args.repo):
        raise InputError(f"--repo must be user/name, not {args.repo!r}")
    if args.preset not in preset_names():
        raise InputError(
            f"a Space runs presets by name, not {args.preset!r}; choose one of {', '.join(preset_names())}"
        )
    preset = load_preset(args.preset)
    if "://" in preset.generator:
        raise InputError(f"preset {preset.name} reads with a server on this machine, which a Space cannot reach")
    files = space_files(preset)
    for file in files:
        print(f"{file.size:>11,}  {file.path}")
    print(f"{sum(file.size for file in files):>11,}  bytes in {number_of(len(files), 'file')}")
    if args.dry_run:
        return 0
    print(f"pushed to {push(files, args.repo, preset, private=args.private)}")
    return 0
