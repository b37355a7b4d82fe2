"""Small plots as SVG text. Everything that comes from data is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rag_app.counting import number_of

__all__ = ["COLOURS", "bars", "curves", "reliability_diagram"]

COLOURS = ("#1f5fa8", "#c8572b", "#3d8a5a", "#8a5fb0", "#8a7a2b", "#4a4a4a")
_GRID, _INK = "#d8d8d8", "#222"
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 560, 280, 44, 34, 22, 24


def curves(series: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Values in [0, 1] over ranks K, one polyline a series; the K are set at equal distances.

    Args:
        series: for each name, (K, value) pairs in rising order of K.
    """
    ranks = sorted({rank for points in series.values() for rank, _ in points})
    place = {rank: _LEFT + (index + 0.5) * _plot_width() / len(ranks) for index, rank in enumerate(ranks)}
    parts = [_axes(), *(_text(place[rank], _HEIGHT - 14, f"K = {rank}") for rank in ranks)]
    for colour, points in zip(_colours(len(series)), series.values(), strict=True):
        corners = " ".join(f"{place[rank]:.1f},{_y(value):.1f}" for rank, value in points)
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for rank, value in points:
            parts.append(f'<circle cx="{place[rank]:.1f}" cy="{_y(value):.1f}" r="3.5" fill="{colour}"/>')
            highest = all(value >= other for name in series for other_rank, other in series[name] if other_rank == rank)
            beside = -8 if highest else 16
            parts.append(_text(place[rank], _y(value) + beside, f"{100 * value:.1f}", colour=colour))
    return _legend(series) + _svg(parts, _HEIGHT, "values over K")


def bars(groups: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> str:
    """Values in [0, 1] as horizontal bars, one group a row, one colour a name; a value that is missing has no bar."""
    thick, gap, label = 11, 9, 150
    height = sum(thick * len(names) + gap for _ in groups) + 26
    scale = (_WIDTH - label - 60) / 1.0
    parts = [
        f'<line x1="{label + scale * tick:.1f}" x2="{label + scale * tick:.1f}" y1="0" y2="{height - 20}" '
        f'stroke="{_GRID}"/>' + _text(label + scale * tick, height - 6, f"{100 * tick:.0f} %")
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    top = 2
    for group, values in groups.items():
        parts.append(_text(label - 6, top + thick * len(names) / 2 + 4, group, anchor="end"))
        for place, (name, colour) in enumerate(zip(names, _colours(len(names)), strict=True)):
            if name in values:
                y, value = top + thick * place, values[name]
                parts.append(
                    f'<rect x="{label}" y="{y}" width="{scale * value:.1f}" height="{thick - 2}" fill="{colour}"/>'
                )
                end = label + scale * value + 4
                parts.append(_text(end, y + thick - 3, f"{100 * value:.1f}", anchor="start", size=9))
        top += thick * len(names) + gap
    return _legend(names) + _svg(parts, height, "bars")


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> str:
    """Mean score over mean confidence of each bin with questions; the diagonal is perfect calibration.

    Args:
        bins: with `count`, `confidence` and `accuracy`; a dot's area tells its count.
    """
    most = max((one["count"] for one in bins), default=0) or 1
    parts = [
        _axes(),
        f'<line x1="{_x(0):.1f}" y1="{_y(0):.1f}" x2="{_x(1):.1f}" y2="{_y(1):.1f}" stroke="{_INK}" '
        'stroke-dasharray="4 4"/>',
        *(_text(_x(tick), _HEIGHT - 14, f"{100 * tick:.0f} %") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)),
    ]
    for one in bins:
        if one["count"]:
            asked = number_of(round(one["count"]), "question")
            radius = 3 + 11 * (one["count"] / most) ** 0.5
            parts.append(
                f'<circle cx="{_x(one["confidence"]):.1f}" cy="{_y(one["accuracy"]):.1f}" r="{radius:.1f}" '
                f'fill="{COLOURS[0]}" fill-opacity="0.6"><title>{asked}: confidence '
                f"{100 * one['confidence']:.1f} %, accuracy {100 * one['accuracy']:.1f} %</title></circle>"
            )
    return _svg(parts, _HEIGHT, "accuracy over confidence")


def _colours(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]


def _plot_width() -> float:
    return _WIDTH - _LEFT - _RIGHT


def _x(value: float) -> float:
    return _LEFT + value * _plot_width()


def _y(value: float) -> float:
    return _TOP + (1 - value) * (_HEIGHT - _TOP - _BOTTOM)


def _axes() -> str:
    return "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(tick):.1f}" y2="{_y(tick):.1f}" stroke="{_GRID}"/>'
        + _text(_LEFT - 6, _y(tick) + 4, f"{100 * tick:.0f} %", anchor="end")
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _text(x: float, y: float, text: str, *, anchor: str = "middle", colour: str = _INK, size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
    )


def _legend(names: Sequence[str] | Mapping[str, object]) -> str:
    keys = "".join(
        f'<span class="key"><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(names, _colours(len(names)), strict=True)
    )
    return f'<p class="legend">{keys}</p>'


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
