"""Changes the preset of an opened application: other models take the place of those that answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from rag_app.assembly import Application, open_application
from rag_app.config import Preset, load_preset, preset_names
from rag_app.errors import InputError, reported_as_input
from rag_app.presets_command import cannot_run, check_preset

__all__ = ["PresetChoice", "PresetInUse"]


@dataclass(frozen=True, kw_only=True)
class PresetChoice:
    """A preset that there is.

    Attributes:
        preset: what it says.
        cannot: why it cannot run here; "" where it can.
    """

    preset: Preset
    cannot: str


class PresetInUse:
    """The preset that answers, for all visitors of a page."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._first = application.preset  # it may be a file's, or have changes of the command line

    @property
    def name(self) -> str:
        """Its name."""
        return self._application.preset.name

    def choices(self) -> list[PresetChoice]:
        """Every preset that has a name, and the one that the application was opened with."""
        names = dict.fromkeys([self._first.name, *preset_names()])
        presets = [self._named(name) for name in names]
        return [PresetChoice(preset=one, cannot="" if one.name == self.name else cannot_run(one)) for one in presets]

    def use(
        self,
        name: str,
        *,
        progress: Callable[[int, int], None] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Loads a preset's models, and has them answer from then on; until then, and for good where it fails, the
        others do. Both lie in memory meanwhile.

        Args:
            name: of a preset of `choices`.
            progress: told (passages encoded, passages to encode).
            check: called before and after each of the models; what it raises leaves the others where they are.

        Raises:
            InputError: there is none of this name, it cannot run here, or something of it cannot be loaded.
        """
        preset, application = self._named(name), self._application
        with application.changing:
            if name == self.name:
                return
            check()
            check_preset(preset)
            too_large = (torch.OutOfMemoryError, MemoryError)
            with reported_as_input(f"there is no memory for preset {name} beside {self.name}", kinds=too_large):
                fresh = open_application(
                    preset,
                    *application.knowledge,
                    var=application.var,
                    retrieve=application.pipeline.finder is not None,
                    progress=progress,
                    check=check,
                )
            check()
            application.change(**{**vars(fresh), "changing": application.changing})

    def _named(self, name: str) -> Preset:
        if name == self._first.name:
            return self._first
        if name not in preset_names():
            raise InputError(f"unknown preset {name!r}; choose one of {', '.join(preset_names())}")
        return replace(load_preset(name), device=self._first.device)
