"""Flags of no country: bands, crosses, discs, cantons in any colours.

A retriever that is only ever shown known flags learns to find each by what its passages say. Whoever adds a country of
their own shows a flag that it never saw, which only the picture beside a passage can find.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from retriever.training.canvas import chance, uniform
from retriever.training.flag_atlas import FlagAtlas

__all__ = ["draw_invented_flags", "with_invented_flags"]

_MOST_BANDS = 5


def with_invented_flags(atlas: FlagAtlas, n: int, generator: torch.Generator) -> tuple[FlagAtlas, range]:
    """The atlas with `n` drawings more, and their places in it; classes and codes stay those of the countries."""
    n_levels, n_drawings, _, height, width = atlas.pixels.shape
    sharp = draw_invented_flags(n, height, width, generator)
    levels = [sharp]
    for level in range(1, n_levels):
        small = functional.interpolate(sharp, scale_factor=0.5**level, mode="area")
        levels.append(functional.interpolate(small, size=(height, width), mode="bicubic").clamp(0, 1))
    added = (torch.stack(levels) * 255).round().to(torch.uint8)
    places = range(n_drawings, n_drawings + n)
    own = torch.tensor(places)[:, None].expand(-1, atlas.drawings.shape[1])
    room = torch.zeros(n_drawings - len(atlas.drawings), atlas.drawings.shape[1], dtype=own.dtype)
    drawings = torch.cat([atlas.drawings, room, own])  # by place; what is no flag of its own is never asked for
    return replace(atlas, pixels=torch.cat([atlas.pixels, added], dim=1), drawings=drawings), places


def draw_invented_flags(n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """(n, 3, height, width) float32 in 0..1."""
    across = (torch.arange(width) + 0.5) / width
    down = (torch.arange(height) + 0.5) / height
    y, x = torch.meshgrid(down, across, indexing="ij")
    upright = chance(n, 0.5, generator)[:, None, None]
    along = torch.where(upright, x, y)  # (n, height, width)
    n_bands = torch.randint(2, _MOST_BANDS + 1, (n, 1, 1), generator=generator)
    band = (along * n_bands).long().clamp(max=_MOST_BANDS - 1)
    colours = _colours(n, _MOST_BANDS, generator)
    mirrored = chance(n, 0.3, generator)[:, None, None] & (n_bands > 2)  # red, white, red
    band = torch.where(mirrored, torch.minimum(band, n_bands - 1 - band), band)
    flags = colours.gather(1, band.flatten(1)[:, :, None].expand(-1, -1, 3)).view(n, height, width, 3)
    for drawn in (_canton, _triangle, _disc, _cross):
        inside = drawn(n, x, y, generator) & chance(n, 0.25, generator)[:, None, None]
        flags = torch.where(inside[..., None], _colours(n, 1, generator)[:, :, None], flags)
    return flags.permute(0, 3, 1, 2).contiguous()


def _colours(n: int, each: int, generator: torch.Generator) -> Tensor:
    """(n, each, 3): strong colours of any hue, some of them white, black or grey."""
    hue = uniform((n, each, 1), 0, 6.2832, generator)
    wheel = 0.5 + 0.5 * torch.cos(hue + torch.tensor([0.0, -2.0944, 2.0944]))
    strength = uniform((n, each, 1), 0.5, 1.0, generator)
    value = uniform((n, each, 1), 0.4, 1.0, generator)
    grey = (chance(n * each, 0.3, generator).view(n, each, 1)) & torch.ones(3, dtype=torch.bool)
    plain = torch.rand(n, each, 1, generator=generator).round().expand(-1, -1, 3)
    return torch.where(grey, plain, value * (1 - strength + strength * wheel))


def _canton(n: int, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    return (x < uniform((n, 1, 1), 0.25, 0.5, generator)) & (y < uniform((n, 1, 1), 0.3, 0.6, generator))


def _triangle(n: int, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    return x < uniform((n, 1, 1), 0.25, 0.6, generator) * (1 - (2 * y - 1).abs())


def _disc(n: int, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    radius, centre = uniform((n, 1, 1), 0.12, 0.35, generator), uniform((n, 1, 1), 0.3, 0.6, generator)
    return ((x - centre) * 4 / 3) ** 2 + (y - 0.5) ** 2 < radius**2


def _cross(n: int, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    half, centre = uniform((n, 1, 1), 0.04, 0.12, generator), uniform((n, 1, 1), 0.3, 0.5, generator)
    return ((x - centre).abs() < half) | ((y - 0.5).abs() < half * 4 / 3)
