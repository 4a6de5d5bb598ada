"""Generators of the first StyleGAN2, TensorFlow's, in this project's layout.

Facts of the format: dense weights are [in, out] and convolutions [k, k, in, out]; the resizing convolution's
kernel lies the other way round; a style's bias is stored less 1; the mean w is dlatent_avg.
"""

import re
from collections.abc import Callable
from typing import Any

import torch

from gpu_ops.importers.layout import (
    Layout,
    as_axes,
    block,
    convolution,
    refuse_foreign,
    scalar,
    without_first,
)
from gpu_ops.importers.refusals import LayoutMismatch, UnsupportedNetwork, shown

Convert = Callable[[str, torch.Tensor], torch.Tensor]


def _kept(_: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _dense(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return as_axes(name, tensor, 2).T


def _kernel(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return as_axes(name, tensor, 4).permute(3, 2, 0, 1)


def _turned(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return _kernel(name, tensor).flip((2, 3))


def _style_bias(_: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor + 1


def _noise(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return without_first(name, without_first(name, tensor))


_PARTS: dict[str, tuple[str, Convert]] = {
    "weight": ("weight", _kernel),
    "bias": ("bias", _kept),
    "mod_weight": ("affine.weight", _dense),
    "mod_bias": ("affine.bias", _style_bias),
    "noise_strength": ("noise_strength", scalar),
}
_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}
_PATTERN = re.compile(
    r"mapping/Dense(?P<dense>\d{1,2})/(?P<part>weight|bias)|synthesis/4x4/Const/(?P<const>const)"
    r"|synthesis/(?P<size>\d{1,4})x(?P=size)/(?P<layer>Conv|Conv0_up|Conv1|ToRGB)/(?P<rest>[a-z_]+)"
    r"|synthesis/noise(?P<noise>\d{1,2})|(?P<mean>dlatent_avg)"
)
_IGNORED = {"lod", "synthesis/lod"}  # how far a progressive training had come

# arguments that change what a network computes, and the values that this project's generator has
_EXPECTED = {
    "num_channels": (3,),
    "label_size": (0,),
    "architecture": ("skip",),
    "nonlinearity": ("lrelu",),
    "mapping_nonlinearity": ("lrelu",),
    "mapping_lrmul": (0.01,),
    "normalize_latents": (True,),
    "use_noise": (True,),
    "resample_kernel": ([1, 3, 3, 1],),
    "resample_filter": ([1, 3, 3, 1],),
}


def from_tensorflow(found: dict[str, torch.Tensor], facts: dict[str, Any]) -> Layout:
    """Rename, transpose and turn. Raises LayoutMismatch, UnsupportedNetwork."""
    refuse_foreign(found)
    layout = Layout({}, _conv_clamp(facts))
    for name, tensor in found.items():
        if name not in _IGNORED:
            ours, convert = _place(name)
            layout.add(ours, convert(name, tensor))
    return layout


def _conv_clamp(facts: dict[str, Any]) -> float | None:
    """Check the networks' arguments; their conv_clamp."""
    clamp: float | None = None
    for part in ("kwargs", "mapping", "synthesis"):
        arguments = facts.get(part)
        for name, value in arguments.items() if isinstance(arguments, dict) else ():
            if name in _EXPECTED and value not in _EXPECTED[name]:
                raise UnsupportedNetwork(
                    f"the network was built with {name}={value!r:.60}; {_EXPECTED[name][0]!r} was expected"
                )
            if name == "conv_clamp" and isinstance(value, int | float):
                clamp = float(value)
    return clamp


def _place(name: str) -> tuple[str, Convert]:
    """This project's name of a variable, and what turns it into this project's form."""
    match = _PATTERN.fullmatch(name)
    if match is None:
        raise LayoutMismatch(f"{shown(name)} is no variable of a StyleGAN2 generator")
    at = match.groupdict()
    if at["mean"]:
        return "mapping.w_avg", _kept
    if at["dense"]:
        return f"mapping.fc{int(at['dense'])}.{at['part']}", _dense if at["part"] == "weight" else _kept
    if at["const"]:
        return f"{block(4)}.const", without_first
    if at["noise"]:
        return f"{convolution(int(at['noise']))}.noise_const", _noise
    if at["rest"] not in _PARTS:
        raise LayoutMismatch(f"{shown(name)} is no variable of a StyleGAN2 generator")
    part, convert = _PARTS[str(at["rest"])]
    if at["layer"] == "Conv0_up" and part == "weight":
        convert = _turned
    return f"{block(int(str(at['size'])))}.{_LAYERS[str(at['layer'])]}.{part}", convert
