"""Operators of ONNX that slide a window over maps [N, C, H, W]: convolution, pools, and padding.

Windows may be padded by different amounts on each side, or by what makes the result a fraction of the size,
neither of which torch's own pools know: so maps are padded first, and what was padded is told apart.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

Settings = Mapping[str, Any]
_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


def convolve(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    """read: x, weight [O, I, kH, kW] and perhaps a bias [O]."""
    x, weight, bias = (*read, None)[:3]
    assert x is not None
    assert weight is not None
    sides = _sides(x, tuple(weight.shape[2:]), settings)
    return F.conv2d(
        _padded(x, sides, 0.0), weight, bias, settings["strides"], 0, settings["dilations"], settings["group"]
    )


def max_pool(x: torch.Tensor, settings: Settings) -> torch.Tensor:
    sides = _whole_windows(x, settings)
    return F.max_pool2d(
        _padded(x, sides, -math.inf), settings["kernel"], settings["strides"], 0, settings["dilations"]
    )


def average_pool(x: torch.Tensor, settings: Settings) -> torch.Tensor:
    """The mean of what lies in the window; of padding too where count_include_pad says so, but never of what
    only completes the last window."""
    kernel, strides = settings["kernel"], settings["strides"]
    declared, whole = _sides(x, kernel, settings), _whole_windows(x, settings)
    counted = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    if settings["count_include_pad"]:
        counted = _padded(counted, declared, 1.0)
        rest = tuple(all_ - mine for all_, mine in zip(whole, declared, strict=True))
    else:
        rest = whole
    sums = F.avg_pool2d(_padded(x, whole, 0.0), kernel, strides, divisor_override=1)
    counts = F.avg_pool2d(_padded(counted, rest, 0.0), kernel, strides, divisor_override=1)
    return sums / counts


def pad(x: torch.Tensor, settings: Settings) -> torch.Tensor:
    """pads: before each axis, then after each."""
    pads, rank = settings["pads"], x.dim()
    if len(pads) != 2 * rank:
        raise ValueError(f"{len(pads)} amounts of padding for {rank} axes")
    sides = [amount for axis in reversed(range(rank)) for amount in (pads[axis], pads[rank + axis])]
    mode = _MODES[settings["mode"]]
    if mode == "constant":
        return F.pad(x, sides, value=settings["value"])
    if any(sides[4:]):
        raise ValueError("only the last two axes can be padded with what is there")
    return F.pad(x, sides[:4], mode)


def _sides(x: torch.Tensor, kernel: tuple[int, ...], settings: Settings) -> tuple[int, int, int, int]:
    """How much to pad at the top, left, bottom and right."""
    if isinstance(settings["pads"], list | tuple):
        top, left, bottom, right = settings["pads"]
        return top, left, bottom, right
    before, after = [], []
    strides, dilations = settings["strides"], settings["dilations"]
    for size, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        reach = (k - 1) * dilation + 1
        total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
        small, large = total // 2, total - total // 2
        before.append(large if settings["pads"] == "same_lower" else small)
        after.append(total - before[-1])
    return before[0], before[1], after[0], after[1]


def _whole_windows(x: torch.Tensor, settings: Settings) -> tuple[int, int, int, int]:
    """The same, and at the bottom and right as much more as completes the last window where ceil_mode asks
    for it. A window that would begin in that padding is none."""
    kernel = settings["kernel"]
    top, left, bottom, right = _sides(x, kernel, settings)
    if not settings["ceil_mode"]:
        return top, left, bottom, right
    more = []
    sizes = zip(x.shape[2:], kernel, settings["strides"], settings["dilations"], strict=True)
    for (size, k, stride, dilation), before, after in zip(sizes, (top, left), (bottom, right), strict=True):
        reach = (k - 1) * dilation + 1
        count = math.ceil((before + size + after - reach) / stride) + 1
        if (count - 1) * stride >= before + size:
            count -= 1
        more.append(max((count - 1) * stride + reach - before - size, after))
    return top, left, more[0], more[1]


def _padded(x: torch.Tensor, sides: tuple[int, ...], value: float) -> torch.Tensor:
    top, left, bottom, right = sides
    return F.pad(x, (left, right, top, bottom), value=value) if any(sides) else x
