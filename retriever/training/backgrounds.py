"""What is behind, in front of and in place of a flag in training pictures: backgrounds, covers, shapes, patterns."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from retriever.training.canvas import chance, mesh, uniform

__all__ = ["add_clutter", "cover_mask", "draw_background"]


def draw_background(n: int, size: int, generator: torch.Generator) -> Tensor:
    """(n, 3, size, size): plain, gradient, or clouds of colour at several sizes, with some hard shapes."""
    plain = torch.rand(n, 3, 1, 1, generator=generator).expand(n, 3, size, size)
    sort = torch.rand(n, generator=generator)
    whitish = (sort < 0.18)[:, None, None, None]
    plain = torch.where(whitish, plain * 0.1 + 0.9, plain)
    layers = torch.zeros(n, 3, size, size)
    for cells in (2, 4, 8, 16, 40):
        weight = uniform((n, 1, 1, 1), 0, 1, generator) ** 2
        coarse = torch.rand(n, 3, cells, cells, generator=generator) - 0.5
        grey = coarse.mean(dim=1, keepdim=True).expand_as(coarse)
        coarse = torch.where((sort > 0.6)[:, None, None, None], grey, coarse)
        mode = "bilinear" if cells != 8 else "nearest"
        layers = layers + weight * F.interpolate(coarse, size=(size, size), mode=mode)
    busy = (sort > 0.35)[:, None, None, None]
    picture = torch.where(busy, plain + layers, plain)
    shapes = cover_mask(n, size, generator) & busy
    return torch.where(shapes, torch.rand(n, 3, 1, 1, generator=generator), picture).clamp(0, 1)


def cover_mask(n: int, size: int, generator: torch.Generator, *, upright_share: float = 0.0) -> Tensor:
    """(n, 1, size, size) bool: a rectangle or ellipse, or a band, somewhere in the frame; a share is not turned."""
    x, y = mesh(size)
    cx, cy = uniform((n, 1, 1), -1, 1, generator), uniform((n, 1, 1), -1, 1, generator)
    turn = uniform((n, 1, 1), 0, 3.1416, generator)
    if upright_share > 0:
        turn = turn * ~chance(n, upright_share, generator)[:, None, None]
    a, b = uniform((n, 1, 1), 0.05, 0.5, generator), uniform((n, 1, 1), 0.04, 0.4, generator)
    a = torch.where(chance(n, 0.2, generator)[:, None, None], torch.full_like(a, 3.0), a)  # a pole, an arm
    dx, dy = x - cx, y - cy
    p, q = (dx * turn.cos() + dy * turn.sin()) / a, (dy * turn.cos() - dx * turn.sin()) / b
    ellipse = p * p + q * q < 1
    rectangle = (p.abs() < 1) & (q.abs() < 1)
    return torch.where(chance(n, 0.5, generator)[:, None, None], ellipse, rectangle)[:, None]


def add_clutter(picture: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Shapes in colours of their own, over each other, on the chosen pictures; some show a pattern, some a face."""
    if not chosen.any():
        return picture
    n, _, size, _ = picture.shape
    plain = (chosen & chance(n, 0.3, generator))[:, None, None, None]
    picture = torch.where(plain, torch.rand(n, 3, 1, 1, generator=generator), picture)
    for _ in range(8):
        drawn = cover_mask(n, size, generator, upright_share=0.5)
        drawn = drawn & (chosen & chance(n, 0.5, generator))[:, None, None, None]
        picture = torch.where(drawn, torch.rand(n, 3, 1, 1, generator=generator), picture)
    patterned = _pattern(n, size, generator) & (chosen & chance(n, 0.25, generator))[:, None, None, None]
    picture = torch.where(patterned, torch.rand(n, 3, 1, 1, generator=generator), picture)
    return _add_faces(picture, chosen & chance(n, 0.2, generator), generator)


def _pattern(n: int, size: int, generator: torch.Generator) -> Tensor:
    """(n, 1, size, size) bool: many lines, whole or broken, as of print, windows, shelves or cloth."""
    x, y = mesh(size)
    turn = uniform((n, 1, 1), -0.3, 0.3, generator) + 1.5708 * chance(n, 0.3, generator)[:, None, None]
    along, across = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    n_lines, share = uniform((n, 1, 1), 6, 22, generator), uniform((n, 1, 1), 0.2, 0.7, generator)
    place = across * n_lines / 2
    lines = place.frac().abs() < share
    number = place.trunc()  # each line is broken at places of its own
    pieces = (3.1 * number + along * uniform((n, 1, 1), 2, 9, generator)).sin() + (1.7 * number + 5.3 * along).cos()
    broken = chance(n, 0.7, generator)[:, None, None] & (pieces < uniform((n, 1, 1), -1.0, 0.3, generator))
    margin = uniform((n, 1, 1), 0.6, 1.1, generator)
    within = (x.abs() < margin) & (y.abs() < margin)
    return (lines & ~broken & within)[:, None]


def _add_faces(picture: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """A head with two eyes, a mouth and perhaps ears on the chosen pictures; no two have the same measures."""
    n, _, size, _ = picture.shape
    x, y = mesh(size)
    half = uniform((n, 1, 1), 0.3, 0.9, generator)
    x, y = (x - uniform((n, 1, 1), -0.4, 0.4, generator)) / half, (y - uniform((n, 1, 1), -0.4, 0.4, generator)) / half
    turn = uniform((n, 1, 1), -0.3, 0.3, generator)
    x, y = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    power = torch.where(chance(n, 0.7, generator), 2.0, 6.0)[:, None, None]  # round, or nearly square
    head = (x / uniform((n, 1, 1), 0.75, 1.0, generator)).abs() ** power + y.abs() ** power < 1
    apart, level = uniform((n, 1, 1), 0.2, 0.5, generator), uniform((n, 1, 1), -0.5, 0.0, generator)
    eye = uniform((n, 1, 1), 0.06, 0.2, generator)
    eyes = (x.abs() - apart) ** 2 + (y - level) ** 2 < eye**2
    wide, deep = uniform((n, 1, 1), 0.2, 0.5, generator), uniform((n, 1, 1), -0.5, 0.5, generator)
    lips = uniform((n, 1, 1), 0.2, 0.5, generator) + deep * (1 - (x / wide) ** 2)
    mouth = ((y - lips).abs() < uniform((n, 1, 1), 0.02, 0.12, generator)) & (x.abs() < wide)
    ears = ((x.abs() - 0.8) ** 2 + (y + uniform((n, 1, 1), 0.0, 0.9, generator)) ** 2) < 0.3**2
    ears = ears & chance(n, 0.3, generator)[:, None, None]
    features = torch.rand(n, 3, 1, 1, generator=generator)
    for part, colour in ((ears | head, torch.rand(n, 3, 1, 1, generator=generator)), (eyes | mouth, features)):
        drawn = (part & chosen[:, None, None])[:, None]
        picture = torch.where(drawn, colour, picture)
    return picture
