"""LoRA adapters (arXiv:2106.09685) as peft saves them, merged into a model's weights when it is loaded."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_adapter", "merge_adapter"]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_ROUNDING = 0.02


def check_adapter(folder: Path) -> None:
    """Finds out whether an adapter can be merged as far as nothing has to be loaded for it.

    Raises:
        ValueError: the folder holds none, or peft is not installed.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder} with an adapter; give the one that peft saved it in")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} holds no adapter: there is no {name} in it")
    if find_spec("peft") is None:
        raise ValueError("an adapter is merged with peft; install it with `pip install peft`")


def merge_adapter(model: Any, folder: Path) -> Any:  # noqa: ANN401  (transformers ships no types)
    """The model with the adapter added to its weights; afterwards it is as fast as without.

    Args:
        model: of transformers, in whole weights.
        folder: with `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ValueError: peft is not installed, the folder holds no such adapter, or it is of another model.
    """
    check_adapter(folder)
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    peft: Any = import_module("peft")
    try:
        stored = load_file(folder / WEIGHTS)
        with warnings.catch_warnings():  # of keys that do not fit, which are an error below
            warnings.simplefilter("ignore", UserWarning)
            adapted = peft.PeftModel.from_pretrained(model, str(folder))
    except torch.OutOfMemoryError:
        raise
    except (ValueError, RuntimeError, KeyError, TypeError, OSError, SafetensorError) as error:
        raise ValueError(f"adapter {folder} does not fit the model: {' '.join(str(error).split())[:200]}") from error
    taken = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
    if not _alike(stored, taken):
        raise ValueError(f"adapter {folder} does not fit the model: not all of its weights found their place")
    return adapted.merge_and_unload()


def _alike(stored: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> bool:
    """Whether all weights were taken over; names may have been translated and numbers rounded. To peft it is no error
    when one finds no place: others stay where it should be.
    """
    sizes = [sorted(float(weight.float().abs().sum()) for weight in one.values()) for one in (stored, taken)]
    same = (math.isclose(one, other, rel_tol=_ROUNDING) for one, other in zip(*sizes, strict=False))
    return len(stored) == len(taken) and all(same)
