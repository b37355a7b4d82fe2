"""`python -m rag_app presets`: what there is, what each downloads and needs, and whether it can run here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from generator.adapters import check_adapter
from generator.modes import ReadingMode
from rag_app.config import Preset, checkpoint_location, load_preset, preset_names
from rag_app.errors import InputError

__all__ = ["add_presets", "cannot_run", "check_preset"]


def add_presets(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("presets", help="name the presets, what each needs, and whether it can run here")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.set_defaults(run=_run_presets)


def check_preset(preset: Preset) -> None:
    """Says so before anything is loaded when a preset cannot run here.

    Raises:
        InputError: it cannot.
    """
    reason = cannot_run(preset)
    if reason:
        own = preset.name not in preset_names() or load_preset(preset.name).generator == preset.generator
        called = preset.name if own else f"{preset.name} with {preset.generator}"
        raise InputError(f"preset {called} cannot run here: {reason}")


def cannot_run(preset: Preset) -> str:
    """Why a preset cannot run here; "" when it can. Nothing is loaded to find out."""
    from generator.catalog import PRESETS as GENERATORS
    from rag_app.devices import reason_not_to_run
    from retriever.checkpoints import check_name

    try:
        check_name(checkpoint_location(preset.retriever))
    except ValueError as error:
        return f"retriever: {error}"
    if preset.mode == ReadingMode.LONG_CONTEXT and preset.generator == "reader-mini":
        return "reader-mini reads single passages; take --mode ra_vqa or a generating model"
    at_server = preset.generator.startswith(("http://", "https://"))
    given = [key for key in ("device_map", "quantization") if getattr(preset, key)]
    if at_server and given:
        return f"a server places and quantises its models itself; leave {' and '.join(given)} out"
    own = GENERATORS[preset.generator].quantization if preset.generator in GENERATORS else None
    quantised = bool(preset.quantization) or own is not None
    if quantised and preset.adapter:
        return "an adapter is merged into whole weights; take the generator without quantization"
    if quantised and preset.device.startswith("cpu"):
        return "quantised weights need a GPU; take the generator without quantization on the CPU"
    if preset.device_map and preset.device.startswith("cpu"):
        return "device_map spreads a generator over GPUs; leave it out on the CPU"
    needs = [*(["bitsandbytes"] if quantised else []), *(["peft"] if preset.adapter else [])]
    reason = reason_not_to_run(preset.gpu_gb, device=preset.device, needs=needs, spread=bool(preset.device_map))
    return reason or _adapter_missing(preset)


def _adapter_missing(preset: Preset) -> str:
    """Why the preset's adapter cannot be merged; "" when it can, has none, or leaves it to a server to say so."""
    if not preset.adapter or preset.generator.startswith(("http://", "https://")):
        return ""
    try:
        check_adapter(Path(checkpoint_location(preset.adapter)))
    except ValueError as error:
        return str(error)
    return ""


def _reading(preset: Preset) -> str:
    together = ", all passages in one prompt" if preset.mode == ReadingMode.LONG_CONTEXT else ""
    bits = f" in {preset.quantization} weights" if preset.quantization else ""
    return bits + together + (f", with the adapter {preset.adapter}" if preset.adapter else "")


def _run_presets(args: argparse.Namespace) -> int:
    presets = [load_preset(name) for name in preset_names()]
    if args.json:
        print(json.dumps([vars(preset) | {"cannot_run": cannot_run(preset)} for preset in presets], indent=1))
        return 0
    for preset in presets:
        download = f"downloads about {preset.download_gb:g} GB" if preset.download_gb else "downloads nothing"
        gpu = f"a GPU with {preset.gpu_gb:g} GB or so" if preset.gpu_gb else "no GPU"
        print(f"{preset.name}: {preset.description}")
        print(f"    {preset.retriever} + {preset.generator}{_reading(preset)}")
        print(f"    {download}; needs {gpu}; licence: {preset.license}")
        print(f"    {cannot_run(preset) or 'can run here'}")
    return 0
