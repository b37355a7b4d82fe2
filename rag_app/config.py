"""Presets: which checkpoints and knowledge base go together, and how they are used."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.modes import ReadingMode
from rag_app.errors import InputError, one_line, reported_as_input

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "CHECKOUT",
    "DEFAULT_PRESET",
    "Preset",
    "checkpoint_location",
    "load_preset",
    "preset_names",
    "var_folder",
    "with_settings",
]

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_PRESET = "embedded"
_PRESETS_FOLDER = Path(__file__).parent / "presets"
_CHOICES = {
    "mode": tuple(mode.value for mode in ReadingMode),
    "quantization": ("", "4-bit", "8-bit"),
    "device_map": ("", "auto", "balanced"),
}
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One way to run the application.

    Attributes:
        name: what it is called in reports.
        description: one line for people.
        retriever: a PreFLMR checkpoint: a name of `retriever.checkpoints.PRESETS`, a folder (relative ones start at
            the checkout) or a hub id.
        generator: a reader or generator: a name of `generator.catalog.PRESETS`, a folder, a hub id, or the address of
            a server, `http://host:port/v1#model`.
        knowledge_base: name of the knowledge base that is asked when none is given.
        k: passages that are found and read for a question.
        batch_size: questions that `evaluate` asks at once.
        mode: how a generating model reads the passages: `ra_vqa`, one prompt each and a choice, or `long_context`, all
            in one prompt.
        max_prompt_tokens: longest prompt of a generating model in tokens of text, to which passages are cut; 0 takes
            its mode's (512, or 3,072 in `long_context`). Fewer where the model has no positions for so many.
        max_knowledge_characters: the same for a server, whose tokens cannot be counted: characters of the passages in
            one prompt; 0 takes its mode's (2,000, or 12,000 in `long_context`).
        server_timeout: of a server, seconds for one answer, from connecting to its end; 0 takes 60.
        adapter: folder of a LoRA adapter that is merged into the generator; "" for none.
        quantization: `4-bit` or `8-bit` weights of the generator, by bitsandbytes; "" takes the generator's own choice.
        device_map: `auto` or `balanced` spreads the generator over several GPUs, by accelerate; "" for one device.
        device: `auto`, `cpu`, `cuda`, ...
        dtype: `auto`, `bfloat16`, `float16` or `float32`.
        download_gb: what its checkpoints weigh on the hub, about, in gigabytes; 0 when nothing is downloaded.
        gpu_gb: memory of a GPU that it needs in bfloat16, estimated from its parameters, in gigabytes; 0: runs without.
        license: of its checkpoints, for orientation: their pages on the hub have the last word.
    """

    name: str
    description: str = ""
    retriever: str
    generator: str
    knowledge_base: str = "world_flags"
    k: int = 5
    batch_size: int = 16
    mode: str = ReadingMode.RA_VQA.value
    max_prompt_tokens: int = 0
    max_knowledge_characters: int = 0
    server_timeout: int = 0
    adapter: str = ""
    quantization: str = ""
    device_map: str = ""
    device: str = "auto"
    dtype: str = "auto"
    download_gb: float = 0.0
    gpu_gb: float = 0.0
    license: str = ""

    def __post_init__(self) -> None:
        least = {"k": 1, "batch_size": 1}
        least |= dict.fromkeys(("max_prompt_tokens", "max_knowledge_characters", "server_timeout"), 0)
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} must be at least {lowest}, not {getattr(self, name)}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                known = ", ".join(choice for choice in choices if choice)
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose one of {known}")
        for name in ("name", "retriever", "generator", "knowledge_base"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")


def preset_names() -> list[str]:
    """The presets that come with the application, the default first."""
    names = sorted(path.stem for path in _PRESETS_FOLDER.glob("*.toml"))
    return sorted(names, key=lambda name: name != DEFAULT_PRESET)


def load_preset(name_or_file: str) -> Preset:
    """A preset by its name, or from a TOML file that may start from another one with `base = "..."`.

    Raises:
        InputError: the name is unknown, or the file cannot be read or has an unknown key or a value of a wrong kind.
    """
    path = Path(name_or_file)
    if name_or_file in preset_names():
        path = _PRESETS_FOLDER / f"{name_or_file}.toml"
    elif path.suffix != ".toml":
        raise InputError(
            f"unknown preset {name_or_file!r}; choose one of {', '.join(preset_names())}, or give a .toml file"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return _from_values(values, default_name=path.stem)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"there is no preset file {path}; check the path") from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"preset file {path}: {one_line(error)}") from error


def with_settings(preset: Preset, settings: Sequence[str]) -> Preset:
    """The preset with single keys changed.

    Args:
        preset: what to start from.
        settings: `KEY=VALUE`, the value as in a preset file; a text may stand without quotes.

    Raises:
        InputError: one is no such pair, or names an unknown key or a value of a wrong kind.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set takes KEY=VALUE, not {setting!r}")
        values[key.strip()] = _value(text.strip())
    with reported_as_input("--set", kinds=(ValueError, TypeError)):
        _check_values(values)
        return dataclasses.replace(preset, **values)


def _value(text: str) -> Any:  # noqa: ANN401 - any TOML value
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _check_values(values: Mapping[str, Any], *, others: Sequence[str] = ()) -> None:
    """A ValueError or TypeError says what is wrong with the keys and values of a preset; `others` are keys as well."""
    fields = {field.name: field for field in dataclasses.fields(Preset)}
    for key, value in values.items():
        if key not in fields:
            raise ValueError(f"unknown key {key!r}; the keys are {', '.join([*others, *fields])}")
        wanted, kind = _KINDS[str(fields[key].type)]
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise TypeError(f"{key} must be {kind}, not {value!r}")


def _from_values(values: dict[str, Any], *, default_name: str) -> Preset:
    base_name = values.pop("base", None)
    _check_values(values, others=["base"])
    if base_name is not None:
        if base_name not in preset_names():
            raise ValueError(f"unknown base {base_name!r}; choose one of {', '.join(preset_names())}")
        return dataclasses.replace(load_preset(base_name), **{"name": default_name, **values})
    missing = [name for name in ("retriever", "generator") if name not in values]
    if missing:
        raise ValueError(f"missing {' and '.join(missing)}; add them, or start from a preset with base = ...")
    return Preset(**{"name": default_name, **values})


def checkpoint_location(checkpoint: str) -> str:
    """What a checkpoint is loaded by: a folder of the checkout where there is one, else the name, path or hub id."""
    folder = CHECKOUT / checkpoint
    return str(folder) if folder.is_dir() else checkpoint


def var_folder(given: str | None = None) -> Path:
    """Where derived data and your own knowledge bases lie.

    The given folder, else `$RAG_APP_VAR`, else `var/` here; where there is none and this checkout cannot be written, a
    folder of the user's caches. It need not be there yet.

    Raises:
        InputError: something other than a folder is at the path, or on the way to it.
    """
    named = given or os.environ.get("RAG_APP_VAR")
    if named:
        return _possible_folder(Path(named), "--var" if given else "$RAG_APP_VAR")
    here = CHECKOUT / "var"
    if here.is_dir() or os.access(CHECKOUT, os.W_OK):
        return here
    caches = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or tempfile.gettempdir()) / ".cache"
    return Path(caches) / "ask-about-a-picture"


def _possible_folder(path: Path, option: str) -> Path:
    with reported_as_input(option, kinds=(OSError,)):  # a path that is too long
        there = next((place for place in (path, *path.parents) if place.exists()), None)
        if there is not None and not there.is_dir():
            raise InputError(f"{option}: {there} is not a folder; give a folder, which may be a new one")
    return path
