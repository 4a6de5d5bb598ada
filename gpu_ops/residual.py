"""The trunk of the small networks that read one thing off a whole picture."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

SMALLEST = 4  # px, the side of the last map


class Trunk(nn.Module):
    """forward: [N, 3, R, R] in [-1, 1], R = resolution -> [N, outputs], the last 4 x 4 map flattened.

    Pictures of another size are resized first. A stage halves the map, doubles the channels up to
    8 times the width, and adds a residual block.
    """

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        self.resolution = resolution
        stages = (resolution // SMALLEST).bit_length() - 2
        widths = [width * min(8, 2**stage) for stage in range(stages + 1)]
        self.outputs = widths[-1] * SMALLEST**2
        self.stem = convolve(3, width, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(convolve(before, after, stride=2), Block(after))
            for before, after in pairwise(widths)
        )

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        size = (self.resolution, self.resolution)
        if picture.shape[2:] != size:
            picture = F.interpolate(picture, size, mode="bilinear", antialias=True)
        x = self.stem(picture)
        for stage in self.stages:
            x = stage(x)
        flat: torch.Tensor = x.flatten(1)
        return flat


class Block(nn.Module):
    """x plus two convolutions of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolve(width, width), convolve(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.body(x)
        return y


def convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution, batch normalisation and SiLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(inplace=True),
    )
