"""Smoothing, and resizing by two, with the separable filter [1, 3, 3, 1].

Both are depthwise convolutions on purpose. In channels_last layout the CPU and CUDA libraries run
them in one pass over memory; slicing sums or chained average pools need four or more, and on a CPU
measured 7 to 16 times slower.
"""

from typing import Any

import torch
import torch.nn.functional as F


def resample_filter() -> torch.Tensor:
    """Return the filter [4, 4] float32, which sums to 1."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return torch.outer(row, row)


def smooth(x: torch.Tensor, kernel: torch.Tensor, padding: int, gain: float = 1.0) -> torch.Tensor:
    """Filter x [N, C, H, W] at its own resolution -> [N, C, H + 2 padding - 3, W + 2 padding - 3]."""
    smoothed: torch.Tensor = _Smooth.apply(x, kernel * gain, padding)  # type: ignore[no-untyped-call]
    return smoothed


def upsample(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Spread x [N, C, H, W] with zeros between and filter it -> [N, C, 2H, 2W].

    The gain of 4 makes up for the zeros.
    """
    spread: torch.Tensor = _Resize.apply(x, kernel * 4.0, True)  # type: ignore[no-untyped-call]
    return spread


def _depthwise(kernel: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    # the values are small multiples of a power of two: exact in bfloat16 too
    return kernel.to(x.dtype).expand(x.shape[1], 1, *kernel.shape)


# The filter is symmetric and never learned, so the gradient of each of these is another of them. Left to
# itself, torch works out a gradient for the filter too where gradients are differentiated (R1, path length),
# channel by channel: most of the time of such a step, on a GPU.


class _Smooth(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kernel: torch.Tensor, padding: int) -> torch.Tensor:
        ctx.kernel, ctx.padding = kernel, padding
        return F.conv2d(x, _depthwise(kernel, x), padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return smooth(slope, ctx.kernel, len(ctx.kernel) - 1 - ctx.padding), None, None


class _Resize(torch.autograd.Function):
    """Up, or down by the same weights: each is the other's gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kernel: torch.Tensor, up: bool) -> torch.Tensor:
        ctx.kernel, ctx.up = kernel, up
        resize = F.conv_transpose2d if up else F.conv2d
        return resize(x, _depthwise(kernel, x), stride=2, padding=1, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Resize.apply(slope, ctx.kernel, not ctx.up), None, None  # type: ignore[no-untyped-call]
