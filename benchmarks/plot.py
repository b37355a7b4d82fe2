"""Plots as SVG text, so that measuring needs no plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["bars", "scatter"]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 460, 70, 50, 40
MOST_TICKS = 6  # one at each point's place, where there are no more of these
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")


def scatter(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    x: str,
    y: str,
    log_x: bool = False,
    share: bool = False,
) -> str:
    """Lines through (x, y) points, y on a logarithmic axis, or a share.

    Args:
        series: name -> points.
        title: above the plot.
        x, y: names of the axes.
        log_x: whether x is on a logarithmic axis, too.
        share: whether y is a share, on a plain axis that ends at 1 and begins at a fifth below all points.
    """
    if log_x:
        series = {name: [(math.log10(across), up) for across, up in values] for name, values in series.items()}
    points = [point for values in series.values() for point in values]
    left, right = min(point[0] for point in points) - 0.02, max(point[0] for point in points) + 0.02
    if share:
        low = math.floor(5 * min(0.8, *(point[1] for point in points))) / 5
        rows = {value: value for step in range(6) for value in [low + (1 - low) * step / 5]}
    else:
        low = math.floor(math.log10(min(point[1] for point in points)))
        high = math.ceil(math.log10(max(point[1] for point in points)) + 1e-9)
        rows = {float(power): 10.0**power for power in range(low, high + 1)}
    bottom, top = min(rows), max(rows)
    plot_width, plot_height = WIDTH - LEFT - 190, HEIGHT - TOP - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = LEFT + (point[0] - left) / (right - left) * plot_width
        up = point[1] if share else math.log10(point[1])
        return across, TOP + (top - up) / (top - bottom) * plot_height

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
        f'<text x="{LEFT + plot_width / 2:.0f}" y="{HEIGHT - 10}">{escape(x)}</text>',
        f'<text x="8" y="{TOP - 8}">{escape(y)}</text>',
    ]
    for value in rows.values():
        height = place((left, value))[1]
        parts.append(f'<path d="M{LEFT} {height:.1f}h{plot_width}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{value:g}</text>')
    places = sorted({point[0] for point in points})
    if not log_x or len(places) > MOST_TICKS:
        places = [left + (right - left) * step / 4 for step in range(5)]
    for value in places:
        across = LEFT + (value - left) / (right - left) * plot_width
        parts.append(
            f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_tick(value, log_x)}</text>'
        )
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = [place(point) for point in sorted(values)]
        path = "M" + "L".join(f"{across:.1f} {height:.1f}" for across, height in line)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{height:.1f}" r="3" fill="{colour}"/>' for across, height in line]
        parts.append(f'<text x="{WIDTH - 180}" y="{TOP + 18 * number + 10}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _tick(value: float, log_x: bool) -> str:
    return f"{float(f'{10.0**value:.2g}'):,.0f}" if log_x else f"{value:.2f}"


def bars(values: Mapping[str, float], *, title: str) -> str:
    """One horizontal bar a name, with its value beside it.

    Args:
        values: name -> what its bar is as long as.
        title: above the plot.
    """
    height, left = TOP + 34 * len(values) + 16, 200
    widest = max(values.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="20" y="22" font-size="14">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(values.items()):
        top, length = TOP + 34 * number, value / widest * (WIDTH - left - 90)
        parts.append(f'<text x="{left - 8}" y="{top + 16}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{left}" y="{top}" width="{length:.1f}" height="24" fill="{COLOURS[0]}"/>')
        parts.append(f'<text x="{left + length + 6:.1f}" y="{top + 16}">{value:.3g}</text>')
    return "\n".join([*parts, "</svg>", ""])
