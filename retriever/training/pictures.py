"""Training pictures of flags, rendered in batches: cloth, perspective, light, backgrounds, cover, blur, noise.

Everything is a tensor operation over the batch; a picture never exists as a file. Coordinates run from -1 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from retriever.region import REGION_MARGIN
from retriever.training.backgrounds import add_clutter, cover_mask, draw_background
from retriever.training.canvas import chance, mesh, uniform
from retriever.training.flag_atlas import FlagAtlas

__all__ = ["PictureRenderer", "PictureSettings"]

_AT_ONCE, _AT_ONCE_ON_CPU = 512, 32  # pictures; so few stay in a processor's cache
_SQUARE = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """How varied the pictures are. Shares are probabilities a picture.

    Attributes:
        flat_share: flags that fill the frame, as a drawing does.
        min_scale, max_scale: the flag's width as a part of the frame's; above 1 its edges are cut off.
        wave_share, cover_share, noise_share: how often cloth waves, something covers a part, noise is added.
        rotation: largest turn, radians.
        perspective: largest shift of a corner as a part of the frame.
        outline_share: how often the flag's edge is drawn as a line.
        other_drawings: flags as another than flag-icons draws them.
        clutter_share: pictures without a flag that are full of shapes.
        closer_share: pictures that are cut to the flag, about as well as its place can be estimated.
    """

    flat_share: float = 0.2
    min_scale: float = 0.33
    max_scale: float = 1.35
    wave_share: float = 0.65
    cover_share: float = 0.35
    noise_share: float = 0.4
    outline_share: float = 0.0
    rotation: float = 0.3
    perspective: float = 0.18
    other_drawings: float = 0.0
    clutter_share: float = 0.0
    closer_share: float = 0.0


def _homography(corners: Tensor) -> Tensor:
    """(n, 3, 3) maps from frame coordinates to flag coordinates, given where the flag's corners lie (n, 4, 2)."""
    target = torch.tensor(_SQUARE)
    n = corners.shape[0]
    x, y = corners[..., 0], corners[..., 1]  # (n, 4)
    u, v = target[:, 0].expand(n, 4), target[:, 1].expand(n, 4)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solution = torch.linalg.solve(torch.cat([rows_u, rows_v], dim=1), torch.cat([u, v], dim=1)[..., None])[..., 0]
    return torch.cat([solution, torch.ones(n, 1)], dim=1).view(n, 3, 3)


def _corners(n: int, flat: Tensor, settings: PictureSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where the flag's corners lie in the frame (n, 4, 2), and the flag's scale (n,)."""
    scale = uniform((n,), settings.min_scale, settings.max_scale, generator)
    height = (scale * torch.exp(uniform((n,), -0.65, 0.35, generator))).clamp(min=0.25)  # the frame is squashed
    turn = uniform((n,), -settings.rotation, settings.rotation, generator) * chance(n, 0.6, generator)
    base = torch.tensor(_SQUARE) * torch.stack([scale, height], -1)[:, None]
    jitter = uniform((n, 4, 2), -1, 1, generator) * settings.perspective * scale[:, None, None]
    base = base + jitter * chance(n, 0.6, generator)[:, None, None]
    cos, sin = turn.cos(), turn.sin()
    rotation = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)  # (n, 2, 2)
    base = base @ rotation.transpose(1, 2)
    room = (1 - torch.stack([scale, height], -1)).clamp(min=0.12)
    centre = uniform((n, 2), -1, 1, generator) * room
    full = torch.tensor(_SQUARE).expand(n, 4, 2)
    full = full * (1 + uniform((n, 1, 2), -0.04, 0.12, generator))
    placed = base + centre[:, None]
    return torch.where(flat[:, None, None], full, placed), torch.where(flat, torch.ones(n), scale)


def _cut_to_flag(corners: Tensor, scale: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Corners and scales in the frame of a box around the part of the flag that is seen, with errors of estimation."""
    n = len(corners)
    low, high = corners.amin(dim=1).clamp(min=-1), corners.amax(dim=1).clamp(max=1)  # (n, 2) each
    extent = (high - low).clamp(min=0.1)
    low = low - extent * (REGION_MARGIN + 0.06 * torch.randn(n, 2, generator=generator))
    high = high + extent * (REGION_MARGIN + 0.06 * torch.randn(n, 2, generator=generator))
    low, high = low.clamp(min=-1), high.clamp(max=1)
    half = ((high - low) / 2).clamp(min=0.1)
    return (corners - ((low + high) / 2)[:, None]) / half[:, None], scale / half[:, 0]


def _flag_grid(
    n: int, size: int, flat: Tensor, settings: PictureSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sampling grid (n, size, size, 2), opacity and shade (n, 1, size, size), and scale (n,)."""
    x, y = mesh(size)
    corners, scale = _corners(n, flat, settings, generator)
    if settings.closer_share > 0:
        nearer, larger = _cut_to_flag(corners, scale, generator)
        closer = chance(n, settings.closer_share, generator)
        corners, scale = torch.where(closer[:, None, None], nearer, corners), torch.where(closer, larger, scale)
    h = _homography(corners)[:, :, :, None, None]  # (n, 3, 3, 1, 1)
    w = h[:, 2, 0] * x + h[:, 2, 1] * y + h[:, 2, 2]
    w = torch.where(w.abs() < 1e-3, torch.full_like(w, 1e-3), w)
    u = (h[:, 0, 0] * x + h[:, 0, 1] * y + h[:, 0, 2]) / w
    v = (h[:, 1, 0] * x + h[:, 1, 1] * y + h[:, 1, 2]) / w
    waving = (chance(n, settings.wave_share, generator) & ~flat).float()[:, None, None]
    shade = torch.ones_like(u)
    du, dv = torch.zeros_like(u), torch.zeros_like(v)
    for octave in (1.0, 2.2):
        fu, fv = uniform((n, 1, 1), 0.3, 1.3, generator) * octave, uniform((n, 1, 1), -0.6, 0.6, generator) * octave
        phase = 6.2832 * (fu * u + fv * v) / 2 + uniform((n, 1, 1), 0, 6.2832, generator)
        strength = waving * uniform((n, 1, 1), 0.0, 0.16, generator) / octave
        dv = dv + strength * phase.sin()
        du = du + strength * uniform((n, 1, 1), -0.6, 0.6, generator) * phase.cos()
        shade = shade + waving * uniform((n, 1, 1), -0.28, 0.28, generator) * (phase + 0.8).cos()
    u, v = u + du, v + dv
    edge = torch.minimum(1 - u.abs(), 1 - v.abs())
    corner = 0.2 - ((u.abs() - 0.8).clamp(min=0).square() + (v.abs() - 0.8).clamp(min=0).square()).sqrt()
    disc = 1 - (u.square() + v.square()).sqrt()
    shape = torch.rand(n, 1, 1, generator=generator)
    edge = torch.where(shape < 0.08, disc, torch.where(shape < 0.2, corner, edge))
    opacity = (edge * scale[:, None, None] * size / 2 + 0.5).clamp(0, 1) * (w > 0)
    if settings.outline_share > 0:
        outlined = chance(n, settings.outline_share, generator)[:, None, None]
        line = outlined & (edge < uniform((n, 1, 1), 0.01, 0.08, generator))
        ink = torch.where(chance(n, 0.8, generator)[:, None, None], 0.1, 4.0)  # black, or the white rim of a sticker
        shade = torch.where(line, ink, shade)
    return torch.stack([u, v], dim=-1), opacity[:, None], shade[:, None], scale


def _light(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Lamp colour, contrast, gamma, saturation and a gradient of light over the whole picture."""
    n, _, size, _ = picture.shape
    x, y = mesh(size)
    strong = chance(n, 0.75, generator).float()[:, None, None, None]
    gradient = uniform((n, 1, 1), -0.25, 0.25, generator) * x + uniform((n, 1, 1), -0.25, 0.25, generator) * y
    lamp = uniform((n, 3, 1, 1), -0.13, 0.13, generator) + uniform((n, 1, 1, 1), -0.45, 0.2, generator)
    gain = torch.exp(lamp)
    picture = picture * (1 + strong * (gain * (1 + gradient[:, None]) - 1))
    grey = picture.mean(dim=1, keepdim=True)
    picture = grey + (picture - grey) * (1 + strong * uniform((n, 1, 1, 1), -0.5, 0.3, generator))
    picture = 0.5 + (picture - 0.5) * (1 + strong * uniform((n, 1, 1, 1), -0.4, 0.2, generator))
    lift = strong * uniform((n, 1, 1, 1), -0.08, 0.12, generator)
    picture = (picture + lift).clamp(0, 1)
    return picture + strong * uniform((n, 1, 1, 1), -0.4, 0.4, generator) * picture * (1 - picture)


def _turn_colours(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Every drawer's red, green, blue is another: a small random 3 x 3 colour matrix and tone curve a picture."""
    n = picture.shape[0]
    matrix = torch.eye(3) + uniform((n, 3, 3), -0.1, 0.1, generator) * chance(n, 0.7, generator)[:, None, None]
    matrix = matrix / matrix.sum(dim=2, keepdim=True)  # white stays white
    turned = torch.bmm(matrix, picture.flatten(2)).view_as(picture)
    return turned + uniform((n, 3, 1, 1), -0.45, 0.45, generator) * turned * (1 - turned)


def _soften(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Blur (also along a line, as a moving hand does) or few pixels, a kind for each eighth of the batch."""
    size = picture.shape[-1]
    parts = list(picture.chunk(8))
    line = torch.arange(-4.0, 5.0)
    for place, part in enumerate(parts):
        if place in (0, 1):
            sigma = float(uniform((1,), 0.5, 1.8, generator))
            kernel = torch.exp(-(line**2) / (2 * sigma**2))
            kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(3, 1, 1, 9)
            if place == 0:
                part = F.conv2d(F.pad(part, (0, 0, 4, 4), mode="replicate"), kernel.transpose(2, 3), groups=3)
            parts[place] = F.conv2d(F.pad(part, (4, 4, 0, 0), mode="replicate"), kernel, groups=3)
        elif place == 2:
            few = int(uniform((1,), 0.3, 0.8, generator) * size)
            small = F.interpolate(part, size=(few, few), mode="area")
            parts[place] = F.interpolate(small, size=(size, size), mode="bilinear")
    return torch.cat(parts)


def _blocks(picture: Tensor, quality: float) -> Tensor:
    """What JPEG does: 8 x 8 cosine transform, high frequencies rounded coarsely, and back."""
    n, c, h, w = picture.shape
    k = torch.arange(8.0)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    basis[0] = 8**-0.5
    tiles = picture.reshape(n, c, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
    step = (1 + k[:, None] + k[None]) * quality
    coded = torch.round(basis @ tiles @ basis.T / step) * step
    return (basis.T @ coded @ basis).permute(0, 1, 2, 4, 3, 5).reshape(n, c, h, w)


def _boxes(masks: Tensor) -> Tensor:
    """(n, 4) left, top, right, bottom in 0..1 of what is True in (n, size, size) masks; zeros where nothing is."""
    size = masks.shape[-1]
    edges = []
    for along in (masks.any(dim=1), masks.any(dim=2)):  # columns, then lines
        first, last = along.int().argmax(dim=1), size - along.flip(1).int().argmax(dim=1)
        edges.append((first, torch.where(along.any(dim=1), last, 0)))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], dim=1) / size


class PictureRenderer:
    """Draws training pictures of an atlas' flags.

    Args:
        atlas: the drawings.
        generator: all randomness; pictures are drawn on its device.
        size: side of the square pictures, pixels; a multiple of 8.
        n_backgrounds: how many are drawn once, to be drawn upon again, flipped and tinted; a multiple of 64.
    """

    def __init__(
        self, atlas: FlagAtlas, generator: torch.Generator, size: int = 112, n_backgrounds: int = 2048
    ) -> None:
        device = generator.device
        self._atlas, self._generator, self._size = atlas.to(device), generator, size
        self._at_once = _AT_ONCE_ON_CPU if device.type == "cpu" else _AT_ONCE
        with device:
            drawn = [draw_background(64, size, generator) for _ in range(n_backgrounds // 64)]
            self._noise = torch.randn(64, 3, size, size, generator=generator)
        self._backgrounds = torch.cat([(picture * 255).to(torch.uint8) for picture in drawn])

    def _draw_background(self, n: int) -> Tensor:
        places = torch.randint(len(self._backgrounds), (n,), generator=self._generator)
        chosen = self._backgrounds[places].float() / 255
        if torch.rand(1, generator=self._generator) < 0.5:
            chosen = chosen.flip(-1)
        return _turn_colours(chosen, self._generator)

    @torch.no_grad()
    def render(self, flags: Tensor, settings: PictureSettings) -> Tensor:
        """One picture a flag.

        Args:
            flags: (n,) int64 flags of the atlas; -1 asks for a picture without a flag.
            settings: how varied.
        Returns:
            (n, 3, size, size) float32 in 0..1.
        """
        return self.render_with_boxes(flags, settings)[0]

    @torch.no_grad()
    def render_with_boxes(self, flags: Tensor, settings: PictureSettings) -> tuple[Tensor, Tensor]:
        """One picture a flag, and where in it the flag is.

        Args:
            flags: (n,) int64 flags of the atlas; -1 asks for a picture without a flag.
            settings: how varied.
        Returns:
            (n, 3, size, size) float32 in 0..1, and (n, 4) float32 left, top, right and bottom of the part of the flag
            within the frame, in 0..1 of the frame; zeros where there is no flag.
        """
        with self._generator.device:
            few = torch.split(flags.to(self._generator.device), self._at_once)
            parts = [self._render_few(part, settings) for part in few]
        return torch.cat([pictures for pictures, _ in parts]), torch.cat([boxes for _, boxes in parts])

    def _choose_drawings(self, flags: Tensor, share: float) -> Tensor:
        """Places of the drawings to show."""
        flags = flags.clamp(min=0)
        n_sources = self._atlas.drawings.shape[1]
        if share <= 0 or n_sources < 2:
            return flags
        other = torch.randint(1, n_sources, flags.shape, generator=self._generator)
        return torch.where(chance(len(flags), share, self._generator), self._atlas.drawings[flags, other], flags)

    def _render_few(self, flags: Tensor, settings: PictureSettings) -> tuple[Tensor, Tensor]:
        n, size, generator = flags.shape[0], self._size, self._generator
        flat = chance(n, settings.flat_share, generator)
        grid, opacity, shade, scale = _flag_grid(n, size, flat, settings, generator)
        level = (scale < 0.75).long() + (scale < 0.42).long()
        drawing = self._atlas.pixels[level, self._choose_drawings(flags, settings.other_drawings)].float() / 255
        cloth = F.grid_sample(drawing, grid, mode="bilinear", padding_mode="border", align_corners=False)
        cloth = (_turn_colours(cloth, generator) * shade).clamp(0, 1)
        background = self._draw_background(n)
        if settings.clutter_share > 0:
            background = add_clutter(background, chance(n, settings.clutter_share, generator) & (flags < 0), generator)
        opacity = opacity * (flags >= 0)[:, None, None, None]
        picture = background + (cloth - background) * opacity
        hidden = (chance(n, settings.cover_share, generator) & ~flat)[:, None, None, None]
        covered = cover_mask(n, size, generator) & hidden
        picture = torch.where(covered, torch.rand(n, 3, 1, 1, generator=generator), picture)
        picture = _soften(_light(picture, generator), generator)
        noisy = chance(n, settings.noise_share, generator).float() * uniform((n,), 0, 0.07, generator)
        noise = self._noise[torch.randint(64, (n,), generator=generator)]
        picture = picture + noisy[:, None, None, None] * noise
        few = max(1, n // 6)
        picture[-few:] = _blocks(picture[-few:], float(uniform((1,), 0.01, 0.08, generator)))
        return picture.clamp(0, 1), _boxes(opacity[:, 0] > 0.5)
