"""Adaptive augmentation of what the discriminator sees, for sets of few pictures.

Pixel blitting, geometry and colour, each transform on its own with probability p; p follows the signs of the
discriminator's scores of real pictures.
Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (ADA), section 3.1,
appendix B. The other groups of the paper (filtering, corruption) are left out, as in its main results.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

# Symlet of six vanishing moments, the low-pass filter of the paper (Daubechies 1992, table 6.3).
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
LAG = (sum(at * tap for at, tap in enumerate(SYM6)) / sum(SYM6) - (len(SYM6) - 1) / 2) / 2
"""Pixels by which the filter, which is not quite symmetric, displaces what it doubles."""
TRANSLATION, SCALE, SHIFT = 0.125, 0.2, 0.125
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0
INTERVAL = 4
"""Steps between two changes of the probability."""


def augment(pictures: torch.Tensor, p: float, rng: torch.Generator) -> torch.Tensor:
    """Transform pictures [N, 3, R, R], each transform with probability p; differentiable.

    p = 0 returns them unchanged. rng is on the pictures' device.
    """
    if p == 0:
        return pictures
    dice = Dice(len(pictures), p, rng, pictures.device)
    size = pictures.shape[-1]
    with torch.autocast(pictures.device.type, enabled=False):
        moved = warp(blit(pictures, blitting(dice, size)), geometry(dice, size))
        return recolour(moved, colours(dice))


@dataclass
class Adaptive:
    """The probability p, moved every few steps so that the discriminator's mean sign meets its target.

    target  of E[sign D(real)], in (0, 1]; 0: p stays 0
    kimg    thousands of pictures in which p may go from 0 to 1
    """

    target: float
    kimg: float
    p: float = 0.0
    signs: float = 0.0
    steps: int = 0

    def note(self, sign: float, batch: int) -> None:
        """Take in the mean sign of the scores of a step's `batch` real pictures."""
        if not self.target:
            return
        self.signs += sign
        self.steps += 1
        if self.steps == INTERVAL:
            gap = self.signs / INTERVAL - self.target
            change = math.copysign(batch * INTERVAL / (self.kimg * 1000), gap) if gap else 0.0
            self.p = min(1.0, max(0.0, self.p + change))
            self.signs, self.steps = 0.0, 0

    def numbers(self) -> torch.Tensor:
        """What a checkpoint keeps."""
        return torch.tensor([self.p, self.signs, self.steps], dtype=torch.float64)

    def restore(self, numbers: torch.Tensor) -> None:
        p, signs, steps = numbers.tolist()
        self.p, self.signs, self.steps = p, signs, int(steps)


class Dice:
    """Draws one number per picture. All draws are made at any p, so that their order is fixed."""

    def __init__(self, count: int, p: float, rng: torch.Generator, device: torch.device) -> None:
        self.count, self.p, self.rng, self.device = count, p, rng, device

    def uniform(self, low: float, high: float) -> torch.Tensor:
        return torch.rand(self.count, generator=self.rng, device=self.device) * (high - low) + low

    def normal(self) -> torch.Tensor:
        return torch.randn(self.count, generator=self.rng, device=self.device)

    def some(self, value: torch.Tensor, rest: float, p: float | None = None) -> torch.Tensor:
        """`value` [N] where the transform strikes, `rest` elsewhere."""
        struck = self.uniform(0, 1) < (self.p if p is None else p)
        return torch.where(struck, value, torch.full_like(value, rest))

    def together(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        """The values [N] each where one transform strikes, which they all belong to; 0 elsewhere."""
        struck = self.uniform(0, 1) < self.p
        return [torch.where(struck, value, torch.zeros_like(value)) for value in values]


def blitting(dice: Dice, size_px: int) -> torch.Tensor:
    """Mirror, quarter turns and whole-pixel shifts: where each pixel comes from, as of `geometry`."""
    mirror = dice.some(1 - 2 * dice.uniform(0, 2).floor(), 1.0)
    turn = dice.some(dice.uniform(0, 4).floor() * (math.pi / 2), 0.0)
    shifts = [(dice.uniform(-TRANSLATION, TRANSLATION) * size_px).round() for _ in range(2)]
    across, down = dice.together(shifts)
    return scaling(mirror, torch.ones_like(mirror)) @ rotation(turn) @ translation(across, down)


def geometry(dice: Dice, size_px: int) -> torch.Tensor:
    """Scale, turn, stretch, turn and shift: where each pixel of the new picture comes from.

    [N, 3, 3], applied to (x, y, 1) in pixels from the picture's centre.
    """
    turning = 1 - math.sqrt(1 - dice.p)  # so that either turn strikes with probability p
    scale = dice.some(torch.exp2(dice.normal() * SCALE), 1.0)
    before = dice.some(dice.uniform(-math.pi, math.pi), 0.0, turning)
    stretch = dice.some(torch.exp2(dice.normal() * SCALE), 1.0)
    after = dice.some(dice.uniform(-math.pi, math.pi), 0.0, turning)
    across, down = dice.together([dice.normal() * SHIFT * size_px for _ in range(2)])
    turned = scaling(scale, scale) @ rotation(before) @ scaling(stretch, 1 / stretch) @ rotation(after)
    return turned @ translation(across, down)


def scaling(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """[N], [N] -> [N, 3, 3]"""
    return torch.diag_embed(torch.stack([across, down, torch.ones_like(down)], dim=1))


def rotation(angle: torch.Tensor) -> torch.Tensor:
    """[N], in radians -> [N, 3, 3]"""
    zero, one, cos, sin = torch.zeros_like(angle), torch.ones_like(angle), angle.cos(), angle.sin()
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).reshape(-1, 3, 3)


def translation(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """[N], [N] -> [N, 3, 3]"""
    matrix = torch.eye(3, device=across.device).repeat(len(across), 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = across, down
    return matrix


def colours(dice: Dice) -> torch.Tensor:
    """What becomes of (red, green, blue, 1) in [-1, 1]: [N, 3, 4]."""
    eye = torch.eye(4, device=dice.device)
    grey = torch.tensor([1.0, 1.0, 1.0, 0.0], device=dice.device) / math.sqrt(3)
    luma = torch.outer(grey, grey)  # [4, 4]
    matrix = eye.repeat(dice.count, 1, 1)
    matrix[:, :3, 3] = dice.some(dice.normal() * BRIGHTNESS, 0.0)[:, None]
    contrast = dice.some(torch.exp2(dice.normal() * CONTRAST), 1.0)
    matrix = torch.diag_embed(torch.stack([contrast] * 3 + [torch.ones_like(contrast)], dim=1)) @ matrix
    flip = dice.some(dice.uniform(0, 2).floor(), 0.0)[:, None, None]
    matrix = (eye - 2 * luma * flip) @ matrix
    matrix = about_grey(dice.some(dice.uniform(-math.pi, math.pi), 0.0)) @ matrix
    saturation = dice.some(torch.exp2(dice.normal() * SATURATION), 1.0)[:, None, None]
    matrix = (luma + (eye - luma) * saturation) @ matrix
    return matrix[:, :3]


def about_grey(angle: torch.Tensor) -> torch.Tensor:
    """Rotation of colours about the axis of greys, by angle [N] in radians: [N, 4, 4]."""
    axis = 1 / math.sqrt(3)
    cross = torch.tensor([[0.0, -axis, axis], [axis, 0.0, -axis], [-axis, axis, 0.0]], device=angle.device)
    sin, cos = angle.sin()[:, None, None], angle.cos()[:, None, None]
    eye = torch.eye(3, device=angle.device)
    turned = torch.eye(4, device=angle.device).repeat(len(angle), 1, 1)
    turned[:, :3, :3] = eye + sin * cross + (1 - cos) * (cross @ cross)
    return turned


def recolour(pictures: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Apply matrix [N, 3, 4] to each pixel of pictures [N, 3, H, W]."""
    matrix = matrix.to(pictures)
    moved = matrix[:, :, :3] @ pictures.flatten(2) + matrix[:, :, 3:]
    return moved.reshape(pictures.shape)


def blit(pictures: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Pictures [N, 3, R, R] read at matrix times each pixel's place, which is another pixel's: exact."""
    size = pictures.shape[-1]
    read = (_places(matrix, size, 1) + (size - 1) / 2).round().long()  # [N, R, R, 2]
    read = read.remainder(2 * size - 2)
    x, y = torch.minimum(read, 2 * size - 2 - read).unbind(-1)  # mirrored beyond the edge
    index = (y * size + x).flatten(1)[:, None].expand(-1, pictures.shape[1], -1)
    return pictures.flatten(2).gather(2, index).reshape(pictures.shape)


def warp(pictures: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Pictures [N, 3, R, R] read at matrix [N, 3, 3] times each pixel's place; mirrored beyond their edge.

    At twice the resolution between two low-pass filters, bilinearly, so that nothing aliases.
    """
    size = pictures.shape[-1]
    room = size + len(SYM6)  # drawn, so that the filter on the way back finds all it needs
    off = torch.full((1,), LAG)
    centred = (translation(off, off).to(matrix) @ matrix @ translation(-off, -off).to(matrix)).to(pictures)
    places = _places(centred, room, 2)  # [N, 2 room, 2 room, 2]
    reach = math.ceil(float(places.detach().abs().max())) - size // 2
    margin = max(0, min(size - 1, reach + len(SYM6) // 2))
    x = _twice(F.pad(pictures, (margin,) * 4, mode="reflect"))  # [N, 3, 2 (R + 2 margin), ...]
    grid = places * (4 / x.shape[-1])
    return _half(F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False))


def _places(matrix: torch.Tensor, size: int, per_px: int) -> torch.Tensor:
    """matrix [N, 3, 3] times the places of a square of size px: [N, size per_px, size per_px, 2], x and y."""
    line = torch.arange(size * per_px, device=matrix.device, dtype=matrix.dtype)
    line = (line + 0.5) / per_px - size / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    return points @ matrix[:, None, :2].mT


def _twice(x: torch.Tensor) -> torch.Tensor:
    """Double x [N, C, S, S] by the low-pass filter; a border of zeros is read beyond the edge."""
    for axis in (2, 3):
        kernel = _kernel(x, axis) * math.sqrt(2)
        padding = [0, 0]
        padding[axis - 2] = len(SYM6) // 2 - 1
        stride = [1, 1]
        stride[axis - 2] = 2
        x = F.conv_transpose2d(x, kernel, stride=stride, padding=padding, groups=x.shape[1])
    return x


def _half(x: torch.Tensor) -> torch.Tensor:
    """Halve x [N, C, 2 S, 2 S], less what the filter spans: [N, C, S - len(SYM6), S - len(SYM6)]."""
    drop = len(SYM6) // 2 + 1
    for axis in (2, 3):
        stride = [1, 1]
        stride[axis - 2] = 2
        x = x.narrow(axis, drop, x.shape[axis] - 2 * drop)
        x = F.conv2d(x, _kernel(x, axis) / math.sqrt(2), stride=stride, groups=x.shape[1])
    return x


def _kernel(x: torch.Tensor, axis: int) -> torch.Tensor:
    """The filter along an axis, once per channel: [C, 1, 12, 1] or [C, 1, 1, 12]."""
    shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
    return torch.tensor(SYM6, dtype=x.dtype, device=x.device).reshape(shape).expand(x.shape[1], -1, -1, -1)
