"""The preset that a benchmark measures; run by itself, how many bytes its weights take.

python -m benchmarks.presets [--preset FILE.toml]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from generator.catalog import known_generator
from rag_app.assembly import Application, open_application
from rag_app.config import DEFAULT_PRESET, Preset, checkpoint_location, load_preset, var_folder
from rag_app.errors import InputError
from rag_app.knowledge import find_knowledge
from rag_app.progress import ProgressLine
from retriever.checkpoints import resolve

__all__ = ["add_preset_argument", "open_measured"]


def add_preset_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--preset`, read as a preset; what cannot be read ends the benchmark with one line."""
    parser.add_argument(
        "--preset", type=_preset, default=DEFAULT_PRESET, help="name or .toml file (default: %(default)s)"
    )


def open_measured(preset: Preset, knowledge_base: str | None = None) -> Application:
    """Opens a preset over its own knowledge base or another one, by name or folder; passages without an index are
    encoded first."""
    var = var_folder()
    knowledge = find_knowledge(knowledge_base or preset.knowledge_base, var)
    return open_application(preset, knowledge, var=var, progress=ProgressLine("passages encoded"))


def _preset(name: str) -> Preset:
    try:
        return load_preset(name)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    """Prints the bytes of each and of both together, as far as they lie on this disk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_preset_argument(parser)
    preset = parser.parse_args().preset
    generator = known_generator(preset.generator)
    folders = {
        "retriever": resolve(checkpoint_location(preset.retriever)),
        "generator": Path(generator.checkpoint if generator else checkpoint_location(preset.generator)),
    }
    both = 0
    for part, folder in folders.items():
        if not folder.is_dir():
            print(f"{part:10} {'?':>11} bytes of weights: {folder} is not on this disk")
            continue
        size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
        both += size
        print(f"{part:10} {size:>11} bytes of weights in {folder}")
    print(f"{'together':10} {both:>11}")


if __name__ == "__main__":
    main()
