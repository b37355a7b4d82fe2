"""Opens generators: our own reader, published checkpoints by folder or hub id, or a server by its address.

Strict and safe: every key of a checkpoint must fit, weights are read from safetensors only, and no code that comes
with a checkpoint is ever run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from generator.adapters import check_adapter, merge_adapter
from generator.blip2 import Blip2Generator
from generator.calibration import Calibration
from generator.catalog import PRESETS, Quantization
from generator.extractive import ExtractiveReader, ExtractiveSettings
from generator.generation import GenerationSettings
from generator.llava import LlavaGenerator
from generator.modes import ReadingMode
from generator.picture_tokens import tell_picture_tokens
from generator.protocol import Generator
from generator.remote import RemoteGenerator, RemoteSettings

__all__ = ["CheckpointError", "load_generator"]


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, of another kind, or needs something that is not installed."""


def load_generator(
    checkpoint: str | Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantization: Quantization | None = None,
    settings: GenerationSettings | ExtractiveSettings | None = None,
    mode: ReadingMode = ReadingMode.RA_VQA,
    adapter: Path | None = None,
    device_map: str = "",
    api_key: str | None = None,
    max_prompt_tokens: int = 0,
    max_knowledge_characters: int = 0,
    server_timeout: int = 0,
) -> Generator:
    """Open a generator.

    Args:
        checkpoint: a name of `PRESETS`, a folder, a hub id, or "http(s)://host:port/v1#model" for a server.
        device: where it runs.
        dtype: of its weights and computations (with quantization: of its computations).
        quantization: fewer bits for the weights; None takes the preset's choice.
        settings: how it generates or reads; None takes the defaults of its kind and mode.
        mode: how it gets to read the passages; only generating models read them all at once.
        adapter: folder of a LoRA adapter that is merged into the weights.
        device_map: how accelerate spreads it over GPUs, such as `auto` or `balanced`; "" puts it on `device`.
        api_key: for a server that wants one.
        max_prompt_tokens: of a generating model, the longest prompt, to which knowledge is cut; 0 takes its mode's.
        max_knowledge_characters: of a server, the longest knowledge of one prompt; 0 takes its mode's.
        server_timeout: of a server, seconds for one answer; 0 takes its own default.

    Raises:
        CheckpointError: it cannot be used; one line says why and what to do.
        ValueError: the settings are of another kind of generator, or a server's address is malformed.
        torch.OutOfMemoryError: the device has no memory for it.
    """
    name = str(checkpoint)
    if name.startswith(("http://", "https://")):
        if adapter is not None:
            raise CheckpointError("a server loads its adapters itself; ask it for the adapted model by its name")
        if device_map or quantization is not None:
            given = "device_map" if device_map else f"quantization={quantization}"
            raise CheckpointError(f"a server places and quantises its models itself; leave {given} out")
        if max_prompt_tokens:
            raise CheckpointError("a server's tokens cannot be counted here; take max_knowledge_characters")
        return _server(name, api_key, mode, max_knowledge_characters or None, server_timeout)
    if server_timeout:
        raise CheckpointError("server_timeout is for a server; leave it out for a checkpoint")
    if max_knowledge_characters:
        raise CheckpointError("max_knowledge_characters is for a server; take max_prompt_tokens for a checkpoint")
    if name in PRESETS:
        quantization = quantization or PRESETS[name].quantization
        name = PRESETS[name].checkpoint
    if adapter is not None and quantization is not None:
        raise CheckpointError("an adapter is merged into whole weights; take the checkpoint that is not quantised")
    if device_map and device.type == "cpu":
        raise CheckpointError("device_map spreads a generator over GPUs and this is the CPU; leave it out here")
    if adapter is not None:
        _as_checkpoint_error(lambda: check_adapter(adapter))
    config = _read_config(name)
    arguments = _arguments(device, dtype, quantization, device_map)
    if any(str(kind).endswith("ForQuestionAnswering") for kind in config.architectures or ()):
        if mode is ReadingMode.LONG_CONTEXT or adapter is not None:
            wanted = "take a generating model" if adapter is not None else "take a generating model or --mode ra_vqa"
            raise CheckpointError(f"{name} is a reader of single passages; {wanted}")
        if max_prompt_tokens:
            raise CheckpointError(
                f"{name} reads passages whole, in windows; max_prompt_tokens is for generating models"
            )
        return _extractive(name, arguments, _of_kind(settings, ExtractiveSettings))
    generative = _of_kind(settings, GenerationSettings) or GenerationSettings.for_mode(mode)
    if max_prompt_tokens:
        generative = replace(generative, max_prompt_tokens=max_prompt_tokens)
    loaders: dict[str, Callable[[str, dict[str, Any], GenerationSettings, Path | None], Generator]] = {
        "blip-2": _blip2,
        "llava": _llava,
        "llava_next": _llava,
        "llava_onevision": _onevision,
    }
    if config.model_type not in loaders:
        raise CheckpointError(
            f"{name} is a {config.model_type!r} checkpoint; generators are {', '.join(sorted(loaders))}, "
            "and extractive readers (an architecture that ends in ForQuestionAnswering)"
        )
    return loaders[config.model_type](name, arguments, generative, adapter)


def _server(
    name: str, api_key: str | None, mode: ReadingMode, max_knowledge_characters: int | None, timeout: int
) -> Generator:
    address, _, model = name.partition("#")
    settings = RemoteSettings(
        address=address, model=model, api_key=api_key, mode=mode, max_knowledge_characters=max_knowledge_characters
    )
    return RemoteGenerator(replace(settings, timeout=float(timeout)) if timeout else settings)


def _of_kind(settings: object, kind: type[Any]) -> Any:  # noqa: ANN401
    if settings is not None and not isinstance(settings, kind):
        raise ValueError(f"this checkpoint takes {kind.__name__}, not {type(settings).__name__}")
    return settings


def _read_config(name: str) -> Any:  # noqa: ANN401
    """The checkpoint's config.json."""
    from transformers import AutoConfig

    path = Path(name)
    if path.is_dir() and not (path / "config.json").is_file():
        raise CheckpointError(f"{name} has no config.json; give the folder of a checkpoint")
    if not path.is_dir() and (path.is_absolute() or name.startswith(".") or name.count("/") != 1):
        known = ", ".join(sorted(PRESETS))
        raise CheckpointError(f"there is no checkpoint {name}; give a folder, a hub id (owner/name) or one of {known}")
    return _guarded(name, lambda: AutoConfig.from_pretrained(name, trust_remote_code=False))


def _guarded(name: str, load: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Run a loader of transformers; its many-line errors become one line that names the checkpoint."""
    from safetensors import SafetensorError

    try:
        return load()
    except (CheckpointError, torch.OutOfMemoryError):
        raise
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        where = "the folder may be damaged" if Path(name).is_dir() else "check the id and the network"
        raise CheckpointError(f"cannot load {name}; {where}: {reason}") from error


def _arguments(
    device: torch.device, dtype: torch.dtype, quantization: Quantization | None, device_map: str
) -> dict[str, Any]:
    """Arguments of every `from_pretrained`."""
    arguments: dict[str, Any] = {
        "dtype": dtype,
        "trust_remote_code": False,
        "use_safetensors": True,
        "output_loading_info": True,
    }
    if device.type != "cpu":
        arguments["device_map"] = device_map or {"": str(device)}
    if quantization is None:
        return arguments
    if find_spec("bitsandbytes") is None:
        raise CheckpointError(f"{quantization} weights need bitsandbytes; install it with `pip install bitsandbytes`")
    if device.type == "cpu":
        raise CheckpointError(
            f"{quantization} weights need a GPU and `pip install -r requirements-gpu.txt`; take whole weights here"
        )
    from transformers import BitsAndBytesConfig

    four_bit = quantization is Quantization.FOUR_BIT
    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=four_bit,
        load_in_8bit=not four_bit,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_type="nf4",
    )
    return {**arguments, "quantization_config": config}


def _load_model(kind: Any, name: str, arguments: dict[str, Any], *, spare: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
    """A model all of whose weights came from the checkpoint.

    Args:
        kind: a model class of transformers.
        name: folder or hub id.
        arguments: of its `from_pretrained`.
        spare: parts of key names that a checkpoint may have beyond what the model uses.
    """
    model, info = _guarded(name, lambda: kind.from_pretrained(name, **arguments))
    missing = sorted(info["missing_keys"])
    unexpected = sorted(key for key in info["unexpected_keys"] if not any(part in key for part in spare))
    mismatched = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    for what, keys in (("lacks", missing), ("has unknown", unexpected), ("has other shapes for", mismatched)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise CheckpointError(f"{name} {what} {', '.join(keys[:3])}{more}; it does not fit {type(model).__name__}")
    return model


def _open(kind: Any, name: str) -> Any:  # noqa: ANN401
    return kind.from_pretrained(name, trust_remote_code=False)


def _extractive(name: str, arguments: dict[str, Any], settings: ExtractiveSettings | None) -> Generator:
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    # some published readers carry the unused pooler of the model they were tuned from
    model = _load_model(AutoModelForQuestionAnswering, name, arguments, spare=("pooler.",))
    tokenizer = _guarded(name, lambda: AutoTokenizer.from_pretrained(name, trust_remote_code=False))
    positions = int(getattr(model.config, "max_position_embeddings", 512))
    settings = settings or ExtractiveSettings(max_tokens=min(positions, ExtractiveSettings().max_tokens))
    if settings.max_tokens > positions:
        raise ValueError(f"{name} reads at most {positions} tokens at once; max_tokens is {settings.max_tokens}")
    try:
        calibration = Calibration.load(Path(name))
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return ExtractiveReader(model, tokenizer, settings, calibration)


def _adapted(model: Any, adapter: Path | None) -> Any:  # noqa: ANN401
    return model if adapter is None else _as_checkpoint_error(lambda: merge_adapter(model, adapter))


def _as_checkpoint_error(use: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        return use()
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def _blip2(name: str, arguments: dict[str, Any], settings: GenerationSettings, adapter: Path | None) -> Generator:
    from transformers import AutoImageProcessor, AutoTokenizer, Blip2ForConditionalGeneration

    tokenizer = _guarded(name, lambda: AutoTokenizer.from_pretrained(name, trust_remote_code=False))
    image_processor = _guarded(name, lambda: _open(AutoImageProcessor, name))
    model = _adapted(_load_model(Blip2ForConditionalGeneration, name, arguments), adapter)
    return Blip2Generator(model, tokenizer, image_processor, settings)


def _llava(name: str, arguments: dict[str, Any], settings: GenerationSettings, adapter: Path | None) -> Generator:
    from transformers import AutoProcessor

    return _with_processor(AutoProcessor, name, arguments, settings, adapter)


def _onevision(name: str, arguments: dict[str, Any], settings: GenerationSettings, adapter: Path | None) -> Generator:
    from generator.onevision import OnevisionPictureProcessor

    return _with_processor(OnevisionPictureProcessor, name, arguments, settings, adapter)


def _with_processor(
    kind: Any,  # noqa: ANN401
    name: str,
    arguments: dict[str, Any],
    settings: GenerationSettings,
    adapter: Path | None,
) -> Generator:
    """A LLaVA of any version; its processor is opened before the weights: it is small, and may be what is missing."""
    from transformers import AutoModelForImageTextToText

    processor = _guarded(name, lambda: _open(kind, name))
    model = _adapted(_load_model(AutoModelForImageTextToText, name, arguments), adapter)
    tell_picture_tokens(processor, model.config)
    return LlavaGenerator(model, processor, settings)
