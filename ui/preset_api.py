"""Presets over HTTP: listed and chosen, in JSON."""

from __future__ import annotations

from rag_app.assembly import Application
from rag_app.preset_use import PresetInUse
from ui.api import Json, add_endpoint, kindly, texts
from ui.queues import LOADING, READING

__all__ = ["add_preset_api"]


def add_preset_api(application: Application) -> None:
    """Adds `presets` and `use_preset`, which answer for all who see the page: not for strangers."""
    in_use = PresetInUse(application)

    def presets() -> Json:
        """Names every preset, and the one that answers.

        Returns:
            presets, each with name, description and cannot, which says why it cannot run here; and in_use, a name.
        """
        found = [
            {"name": one.preset.name, "description": one.preset.description, "cannot": one.cannot}
            for one in in_use.choices()
        ]
        return {"presets": found, "in_use": in_use.name}

    def use_preset(name: str) -> Json:
        """Has another preset answer from now on, for everybody; it may have to be fetched first.

        Args:
            name: of the preset, as presets gives it.

        Returns:
            in_use: its name.
        """
        with kindly(folder=application.var):
            in_use.use(name)
            return {"in_use": in_use.name}

    add_endpoint("presets", presets, [], queue=READING)
    add_endpoint("use_preset", use_preset, texts("Name"), queue=LOADING)
