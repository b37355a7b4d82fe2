"""Which settings have to be equal for predictions to be of one evaluation: those that the answers depend on.

What is kept beside the predictions says more, for people: the whole preset and the kind of device. On another kind of
device last digits may come out differently, as on another machine; the dtype, which moves more, is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["BEM", "compared", "different", "on_all_devices"]

BEM = "bem_fingerprint"
"""Checksum of the model that answers are scored with when all is asked; absent without one."""

_FOR_PEOPLE = frozenset({"device", "searched", "headline"})
_FOR_PEOPLE_IN_PRESETS = frozenset(
    {"name", "description", "device", "dtype", "license", "download_gb", "gpu_gb", "device_map", "server_timeout"}
)
"""`dtype` stands beside the preset as it was resolved."""
_ABSENT_WHERE_0 = frozenset({"max_prompt_tokens", "max_knowledge_characters"})
"""As in what was kept before presets had them."""


def compared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the answers depend on."""
    kept = {key: value for key, value in settings.items() if key not in _FOR_PEOPLE}
    if isinstance(preset := kept.get("preset"), Mapping):
        unset = {key for key in _ABSENT_WHERE_0 if preset.get(key) == 0}
        kept["preset"] = {key: preset[key] for key in preset.keys() - _FOR_PEOPLE_IN_PRESETS - unset}
    return kept


def different(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The names of settings that the answers depend on and that differ, sorted; null and absent are the same."""
    one, other = compared(first), compared(second)
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def on_all_devices(settings: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings with every kind of device that took part, such as `cpu; cuda`, and every way of searching."""
    together = dict(settings)
    for key in ("device", "searched"):
        named = {name for one in (settings, *others) for name in str(one.get(key) or "").split("; ") if name}
        if named:
            together[key] = "; ".join(sorted(named))
    return together
