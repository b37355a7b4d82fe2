"""Number fields that take whole numbers alone."""

from __future__ import annotations

import gradio as gr

__all__ = ["only_whole_numbers"]


def only_whole_numbers(field: gr.Slider) -> None:
    """Has a field refuse, in one line, what a program gives it in place of a whole number: gradio would fail on a text
    and let a fraction pass."""
    within_bounds = field.preprocess

    def checked(payload: object) -> float:
        if isinstance(payload, bool) or not isinstance(payload, int | float) or payload != payload // 1:
            bounds = f"from {field.minimum} to {field.maximum}"
            told = f"{field.label}: {repr(payload)[:40]} is no whole number; give one {bounds}."
            raise gr.Error(told, print_exception=False)
        return within_bounds(payload)

    field.preprocess = checked  # type: ignore[method-assign]
