"""The encoder: a picture's first guess of w_plus, in one forward pass.

A feature pyramid with one head per w: coarse layers read the coarse maps, fine ones the fine maps.
Source: Richardson et al. 2021 (pSp), as Ling et al. 2021 use it; departures: a smaller trunk, group
normalisation (the same numbers for any N), and heads that flatten a 4 x 4 map.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

COARSEST, FINEST = 4, 32  # px: the trunk ends at the one, and no head reads finer maps than the other
GROUPS = 8


@dataclass(frozen=True)
class EncoderConfig:
    """resolution of the pictures; w_plus is [N, num_ws, w_dim]; width: channels of the finest trunk map."""

    resolution: int = 64
    num_ws: int = 10
    w_dim: int = 128
    width: int = 32
    widest: int = 160
    pyramid: int = 64

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Encoder(nn.Module):
    """forward: [N, 3, R, R] in [-1, 1] -> w_plus [N, L, D], as an offset from w_avg."""

    w_avg: torch.Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        sizes = _sizes(config.resolution)
        widths = [min(config.widest, config.width * 2**level) for level in range(len(sizes))]
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        self.stem = _convolve(3, widths[0], stride=2)
        self.trunk = nn.ModuleList(
            nn.Sequential(
                _convolve(widths[max(0, level - 1)], width, stride=2 if level else 1), Residual(width)
            )
            for level, width in enumerate(widths)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, config.pyramid, 1) for width in widths)
        self.smooth = nn.ModuleList(_convolve(config.pyramid, config.pyramid) for _ in widths)
        self.heads = nn.ModuleList(Head(size, config) for size in head_sizes(config))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x, levels = self.stem(picture), []
        for layer in self.trunk:
            x = layer(x)
            levels.append(x)
        maps: dict[int, torch.Tensor] = {}
        above: torch.Tensor | None = None
        for level in reversed(range(len(levels))):
            y = self.lateral[level](levels[level])
            if above is not None:
                y = y + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = self.smooth[level](y)
            maps[above.shape[-1]] = above
        codes = [head(maps[size]) for head, size in zip(self.heads, head_sizes(self.config), strict=True)]
        return torch.stack(codes, dim=1).float() + self.w_avg  # [N, L, D]


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolve(width, width), _convolve(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.body(x)
        return y


class Head(nn.Module):
    """One w from a map [N, C, size, size]: down to 4 x 4 by strides of two, then linear."""

    def __init__(self, size: int, config: EncoderConfig) -> None:
        super().__init__()
        steps = (size // COARSEST).bit_length() - 1
        width = config.pyramid
        self.down = nn.Sequential(*(_convolve(width, width, stride=2) for _ in range(steps)))
        self.out = nn.Linear(width * COARSEST**2, config.w_dim)
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():
            self.out.weight.mul_(0.1)  # begin near w_avg

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.out(self.down(x).flatten(1))
        return y


def head_sizes(config: EncoderConfig) -> list[int]:
    """Which map each w is read from: w's of a block of the generator read the map of about its size."""
    largest = min(FINEST, config.resolution // 2)
    return [min(largest, max(8, 4 * 2 ** ((layer + 1) // 2))) for layer in range(config.num_ws)]


def _sizes(resolution: int) -> list[int]:
    """Sizes of the trunk's maps, from half the picture down to 4 px."""
    sizes = []
    size = resolution // 2
    while size >= COARSEST:
        sizes.append(size)
        size //= 2
    return sizes


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(GROUPS, outputs),
        nn.SiLU(inplace=True),
    )
