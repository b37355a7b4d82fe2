"""What a Hugging Face Space of this checkout consists of, and how it gets there."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rag_app.config import CHECKOUT, Preset
from rag_app.errors import InputError, one_line

__all__ = ["HUB_REPO", "INCLUDED", "SpaceFile", "hub_checkpoints", "push", "space_files", "space_readme"]

INCLUDED = (  # what answering needs, and what README points at; nothing else of a checkout ever goes up
    "app.py",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "requirements.txt",
    "docs",
    "generator",
    "knowledge_bases",
    "rag_app",
    "retriever",
    "ui",
)
_CPU_TORCH = "--extra-index-url https://download.pytorch.org/whl/cpu\n"  # its build is preferred to PyPI's with CUDA
_GPUS = ((24.0, "l4x1"), (48.0, "l40sx1"), (80.0, "a100-large"))  # gigabytes; all of them multiply bfloat16
HUB_REPO = re.compile(r"[\w.-]+/[\w.-]+", flags=re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SpaceFile:
    """A file as the Space will have it.

    Attributes:
        path: in the Space, with `/`.
        source: where it lies, or its content where it is made for the Space.
    """

    path: str
    source: Path | bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


def space_files(preset: Preset, checkout: Path = CHECKOUT) -> list[SpaceFile]:
    """Everything that goes up, by path.

    Hidden files, links and what Python compiled are left out. README and requirements are made for the preset: one
    with a GPU takes `requirements-gpu.txt`.

    Raises:
        InputError: a part of the checkout is missing.
    """
    files: dict[str, SpaceFile] = {}
    for name in INCLUDED:
        top = checkout / name
        if not top.exists():
            raise InputError(f"{top} is missing; push from a whole checkout")
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            parts = path.relative_to(checkout).parts
            if path.is_file() and not path.is_symlink() and not any(map(_is_left_out, parts)):
                files["/".join(parts)] = SpaceFile(path="/".join(parts), source=path)
    readme = space_readme((checkout / "README.md").read_text(encoding="utf-8"), preset)
    needs = (checkout / ("requirements-gpu.txt" if preset.gpu_gb else "requirements.txt")).read_text(encoding="utf-8")
    made = {"README.md": readme, "requirements.txt": needs if preset.gpu_gb else _CPU_TORCH + needs}
    files |= {path: SpaceFile(path=path, source=text.encode()) for path, text in made.items()}
    return [files[path] for path in sorted(files)]


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__" or name.endswith((".pyc", ".part"))


def space_readme(text: str, preset: Preset) -> str:
    """README with the front matter of a Space that runs a preset.

    Raises:
        InputError: it has no front matter, or no GPU of a Space has enough memory.
    """
    head, mark, body = text.removeprefix("---\n").partition("\n---\n")
    if not text.startswith("---\n") or not mark:
        raise InputError("README.md has no front matter; it begins with --- and the settings of the Space")
    lines = [line for line in head.splitlines() if not line.startswith("suggested_hardware:")]
    lines.append(f"suggested_hardware: {_hardware(preset)}")
    checkpoints = hub_checkpoints(preset)
    if checkpoints:
        lines += ["startup_duration_timeout: 1h", "preload_from_hub:", *(f"- {name}" for name in checkpoints)]
    return "\n".join(["---", *lines, "---", body])


def _hardware(preset: Preset) -> str:
    if not preset.gpu_gb:
        return "cpu-basic"
    for memory, name in _GPUS:
        if preset.gpu_gb <= memory:
            return name
    raise InputError(f"preset {preset.name} needs {preset.gpu_gb:g} GB of GPU memory; no Space has that")


def hub_checkpoints(preset: Preset) -> list[str]:
    """Ids of the repositories on the hub that a preset's checkpoints come from."""
    if not preset.download_gb:
        return []
    from generator.catalog import PRESETS as GENERATORS
    from retriever.checkpoints import PRESETS as RETRIEVERS

    retriever = RETRIEVERS.get(preset.retriever, preset.retriever)
    known = GENERATORS.get(preset.generator)
    named = [retriever, preset.generator if known is None else known.checkpoint]
    return [name for name in named if HUB_REPO.fullmatch(name) and not Path(name).is_dir()]


def push(files: list[SpaceFile], repo: str, preset: Preset, *, private: bool = False) -> str:
    """Makes the Space where there is none, and gives it these files, in place of those that it has.

    The token is that of `HF_TOKEN`, or of `hf auth login`.

    Args:
        files: from `space_files`.
        repo: `user/name`.
        preset: which the Space is to run.
        private: whether only its owner sees a Space that is made now.

    Returns:
        The Space's address.

    Raises:
        InputError: nobody is logged in, or the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if not get_token():
        raise InputError(
            "nobody is logged in to the hub; run `hf auth login`, or set HF_TOKEN to a token that may write"
        )
    api = HfApi()
    try:
        address = api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True)
        api.add_space_variable(repo, "RAG_APP_PRESET", preset.name)
        with tempfile.TemporaryDirectory() as folder:
            _lay_out(files, Path(folder))
            api.upload_folder(
                repo_id=repo,
                repo_type="space",
                folder_path=folder,
                delete_patterns="*",
                commit_message=f"The application, with preset {preset.name}",
            )
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise InputError(
            f"{repo} was not pushed ({one_line(error)}); check the name, the token and the network"
        ) from error
    return str(address)


def _lay_out(files: list[SpaceFile], folder: Path) -> None:
    """A folder that looks like the Space; links stand for files that need not be copied."""
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.source, bytes):
            path.write_bytes(file.source)
        else:
            path.symlink_to(file.source.resolve())
