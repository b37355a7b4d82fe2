"""Weights of a checkpoint: safetensors only, whole or in shards, in any of the published key layouts, strictly."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from retriever.configuration import read_json_object

__all__ = ["canonical_names", "read_weights", "stored_names", "weight_files"]

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_UNUSED_BUFFER = re.compile(r"\.embeddings\.(position_ids|token_type_ids)$")
_PICKLE_FILES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder.

    Raises:
        ValueError: there are none, or the index names a file that is not there.
    """
    if (folder / INDEX_FILE).is_file():
        weight_map = read_json_object(folder / INDEX_FILE).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ValueError(f"{folder / INDEX_FILE} is damaged (no weight_map); fetch the checkpoint again")
        files = [folder / str(name) for name in sorted(set(weight_map.values()))]
        for file in files:
            if file.parent != folder or not file.is_file():
                raise ValueError(
                    f"{folder / INDEX_FILE} names {file.name}, which is missing; fetch the checkpoint again"
                )
        return files
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if any((folder / name).exists() for name in _PICKLE_FILES):
        raise ValueError(f"{folder} holds pickled weights only, which are never read; convert them to {WEIGHTS_FILE}")
    raise ValueError(f"{folder} holds no {WEIGHTS_FILE}; give the folder of a complete checkpoint")


def stored_names(files: Iterable[Path]) -> dict[str, Path]:
    """Every key of the files and the file that holds it.

    Raises:
        ValueError: a file is damaged.
    """
    names: dict[str, Path] = {}
    for file in files:
        with _opened(file) as weights:
            names.update(dict.fromkeys(weights.keys(), file))
    return names


def canonical_names(stored: Iterable[str], wanted: Mapping[str, object]) -> dict[str, str]:
    """Maps the model's keys to the stored ones, whichever published layout they are in.

    Accepted: modules shared by queries and passages under either side's name or both, the vision model with and
    without the extra level of nesting, the alias `text_model` of `bert_model`, unused index buffers.

    Args:
        stored: keys of the files.
        wanted: keys of the model.

    Returns:
        model key -> stored key.

    Raises:
        ValueError: a key is missing or unexpected; the message names them.
    """
    found: dict[str, str] = {}
    unexpected = []
    for name in sorted(stored):
        aliases = [alias for alias in _aliases(name) if alias in wanted]
        if aliases:
            # The name itself comes first and beats an alias of it that was stored too.
            if name == aliases[0] or aliases[0] not in found:
                found[aliases[0]] = name
        elif not _UNUSED_BUFFER.search(name):
            unexpected.append(name)
    missing = sorted(wanted.keys() - found.keys())
    problems = [
        f"{len(keys)} {kind} ({_some(keys)})"
        for kind, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    ]
    if problems:
        raise ValueError(f"the weights do not fit config.json: {'; '.join(problems)}; use the files of one checkpoint")
    return found


def read_weights(
    names: Mapping[str, str],
    files: Mapping[str, Path],
    shapes: Mapping[str, torch.Size],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """Reads tensors and converts them one by one to the dtype asked for.

    Args:
        names: model key -> stored key.
        files: stored key -> file.
        shapes: model key -> shape that the model has.

    Raises:
        ValueError: a file is damaged or a shape differs.
    """
    state: dict[str, Tensor] = {}
    by_file: dict[Path, list[str]] = {}
    for name, stored in names.items():
        by_file.setdefault(files[stored], []).append(name)
    for file, members in by_file.items():
        with _opened(file) as weights:
            for name in members:
                tensor = weights.get_tensor(names[name])
                if tensor.shape != shapes[name]:
                    raise ValueError(
                        f"{file}: {names[name]} has shape {tuple(tensor.shape)} and config.json says "
                        f"{tuple(shapes[name])}; use the files of one checkpoint"
                    )
                state[name] = tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)
    return state


def fingerprint(files: Iterable[Path]) -> str:
    """First 16 hexadecimal digits of SHA-256 over names and contents of files, whatever folder they lie in."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + str(file.stat().st_size).encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def _aliases(name: str) -> Iterator[str]:
    """Names that the model may give to a stored tensor, likeliest first."""
    nested = name.replace("_text_encoder.text_model.", "_text_encoder.bert_model.")
    if "_vision_encoder.vision_model." in nested and "_vision_encoder.vision_model.vision_model." not in nested:
        nested = nested.replace("_vision_encoder.vision_model.", "_vision_encoder.vision_model.vision_model.")
    yield from dict.fromkeys((name, nested))
    if nested.startswith("context_"):
        yield "query_" + nested.removeprefix("context_")


def _some(names: list[str], limit: int = 3) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Opens a safetensors file; whatever is wrong with it becomes one clear line."""
    try:
        with safe_open(str(file), framework="pt", device="cpu") as weights:
            yield weights
    except (SafetensorError, OSError) as error:
        raise ValueError(f"cannot read {file} ({error}); fetch the checkpoint again") from error
