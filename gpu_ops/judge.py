"""The judge: a segmentation network that sees the picture alone.

It shares nothing with the generator or its classifiers and is part of no optimisation, so it can say
whether an edit is really in the picture.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.picture import Picture, to_tensor

CHUNK = 64


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Judge(nn.Module):
    """A U-Net of four levels; forward: [N, 3, H, W] in [-1, 1] -> logits [N, K, H, W]."""

    def __init__(self, parts: int, width: int = 16) -> None:
        super().__init__()
        self.parts, self.width = parts, width
        widths = [width, width * 2, width * 3, width * 4]
        self.stem = nn.Sequential(_convolve(3, width), _convolve(width, width))
        self.down = nn.ModuleList(
            nn.Sequential(_convolve(a, b, stride=2), _convolve(b, b)) for a, b in pairwise(widths)
        )
        self.up = nn.ModuleList(_convolve(a + b, b) for b, a in reversed(list(pairwise(widths))))
        self.head = nn.Conv2d(width, parts, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        levels = [self.stem(picture)]
        for layer in self.down:
            levels.append(layer(levels[-1]))
        x = levels.pop()
        for layer in self.up:
            skip = levels.pop()
            x = layer(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits

    @torch.no_grad()
    def predict(self, pictures: Picture) -> Picture:
        """Part ids uint8 [N, H, W] of pictures uint8 [N, H, W, 3]."""
        device = self.head.weight.device
        masks = [
            self(to_tensor(pictures[start : start + CHUNK], device)).argmax(dim=1)
            for start in range(0, len(pictures), CHUNK)
        ]
        found: Picture = torch.cat(masks).to(torch.uint8).cpu().numpy()
        return found
