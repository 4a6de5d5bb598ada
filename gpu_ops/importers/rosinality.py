"""Generators of rosinality's stylegan2-pytorch (g_ema in a .pt file), EditGAN's too, in this project's form.

Facts of the format: weights have a leading axis of 1; blur kernels hold the gain of 4; the mean w, where it
is there, is latent_avg beside g_ema; older files have no noise.
"""

import re
from collections.abc import Callable

import torch

from gpu_ops.importers.layout import (
    Layout,
    as_axes,
    block,
    convolution,
    refuse_foreign,
    same_filters,
    scalar,
    without_first,
)
from gpu_ops.importers.refusals import LayoutMismatch

Convert = Callable[[str, torch.Tensor], torch.Tensor]
UP_GAIN = 4.0


def _kept(_: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _filter(_: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor / UP_GAIN


def _rgb_bias(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return as_axes(name, tensor, 4).flatten()


def _noise(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return without_first(name, without_first(name, tensor))


_STYLED: dict[str, tuple[str, Convert]] = {
    "conv.weight": ("weight", without_first),
    "conv.modulation.weight": ("affine.weight", _kept),
    "conv.modulation.bias": ("affine.bias", _kept),
    "conv.blur.kernel": ("resample_filter", _filter),
    "noise.weight": ("noise_strength", scalar),
    "activate.bias": ("bias", _kept),
}
_RGB: dict[str, tuple[str, Convert]] = {
    "conv.weight": ("weight", without_first),
    "conv.modulation.weight": ("affine.weight", _kept),
    "conv.modulation.bias": ("affine.bias", _kept),
    "upsample.kernel": ("resample_filter", _filter),
    "bias": ("bias", _rgb_bias),
}
_PATTERN = re.compile(
    r"style\.(?P<dense>\d{1,2})\.(?P<part>weight|bias)|input\.(?P<const>input)"
    r"|(?:conv(?P<first>1)|convs\.(?P<conv>\d{1,2}))\.(?P<styled>.+)"
    r"|(?:to_rgb(?P<first_rgb>1)|to_rgbs\.(?P<rgb>\d{1,2}))\.(?P<colour>.+)"
    r"|noises\.noise_(?P<noise>\d{1,2})"
)


def is_rosinality(names: set[str]) -> bool:
    return {"input.input", "conv1.conv.weight", "to_rgb1.conv.weight"} <= names


def from_rosinality(found: dict[str, torch.Tensor]) -> Layout:
    """Rename and reshape. Raises LayoutMismatch, UnsupportedNetwork."""
    refuse_foreign(found)
    layout = Layout({})
    skips: dict[str, torch.Tensor] = {}
    for name, tensor in found.items():
        ours, convert = ("mapping.w_avg", _mean) if name == "latent_avg" else _place(name)
        if ours.endswith("torgb.resample_filter"):
            skips[ours] = convert(name, tensor)
        else:
            layout.add(ours, convert(name, tensor))
    for name, kernel in skips.items():
        ours = name.replace("torgb", "conv0")
        same_filters(name, kernel, layout.tensors.get(ours, kernel))
    return layout


def _mean(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dim() == 1 else without_first(name, tensor)


def _place(name: str) -> tuple[str, Convert]:
    """This project's name of a tensor, and what turns it into this project's form."""
    match = _PATTERN.fullmatch(name)
    if match is None:
        raise LayoutMismatch(f"{name} is no tensor of a generator of stylegan2-pytorch")
    at = match.groupdict()
    if at["dense"]:
        return f"mapping.fc{int(at['dense']) - 1}.{at['part']}", _kept
    if at["const"]:
        return f"{block(4)}.const", without_first
    if at["noise"]:
        return f"{convolution(int(at['noise']))}.noise_const", _noise
    if at["styled"]:
        return _within(name, convolution(0 if at["first"] else int(at["conv"]) + 1), at["styled"], _STYLED)
    resolution = 4 if at["first_rgb"] else 8 << int(at["rgb"])
    return _within(name, f"{block(resolution)}.torgb", str(at["colour"]), _RGB)


def _within(name: str, layer: str, rest: str, known: dict[str, tuple[str, Convert]]) -> tuple[str, Convert]:
    if rest not in known:
        raise LayoutMismatch(f"{name} is no tensor of a generator of stylegan2-pytorch")
    ours, convert = known[rest]
    return f"{layer}.{ours}", convert
