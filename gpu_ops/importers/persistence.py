"""Generators of stylegan2-ada-pytorch, and StyleGAN2 ones of stylegan3, in this project's layout.

Facts of the format: names and shapes are this project's; each block keeps a filter of its own for the RGB
skip. Which layers ran in half precision (num_fp16_res) says nothing of the weights and is left out.
"""

import re
from typing import Any

import torch

from gpu_ops.importers.layout import Layout, refuse_foreign, same_filters
from gpu_ops.importers.refusals import UnsupportedNetwork

_BLOCK_FILTER = re.compile(r"synthesis\.b\d{1,4}\.resample_filter")
_MAPPING_GAIN = 0.01


def from_persistence(found: dict[str, torch.Tensor], facts: dict[str, Any]) -> Layout:
    """Check the settings, and leave out what is there twice. Raises UnsupportedNetwork."""
    refuse_foreign(found)
    arguments = facts.get("kwargs")
    attributes = facts.get("attributes")
    arguments = arguments if isinstance(arguments, dict) else {}
    attributes = attributes if isinstance(attributes, dict) else {}
    _check_attributes(attributes)
    tensors = {name: tensor for name, tensor in found.items() if not _BLOCK_FILTER.fullmatch(name)}
    for name, kernel in found.items():
        if _BLOCK_FILTER.fullmatch(name):
            ours = name.replace("resample_filter", "conv0.resample_filter")
            same_filters(name, kernel, tensors.get(ours, kernel))
    return Layout(tensors, _conv_clamp(arguments, attributes))


def _check_attributes(attributes: dict[str, Any]) -> None:
    """What the modules say of themselves and this project's generator cannot do otherwise."""
    for name, value in attributes.items():
        expected: tuple[object, ...] | None = None
        if name.endswith("activation"):
            expected = ("lrelu", "linear")
        elif name.endswith("architecture"):
            expected = ("skip",)
        elif re.fullmatch(r"mapping\.fc\d+\.bias_gain", name):
            expected = (_MAPPING_GAIN,)
        if expected is not None and value not in expected:
            raise UnsupportedNetwork(f"{name} is {value!r:.60}; {expected[0]!r} was expected")


def _conv_clamp(arguments: dict[str, Any], attributes: dict[str, Any]) -> float | None:
    """The clamp of all layers of the synthesis: as they say themselves, or as the network was built."""
    found = {value for name, value in attributes.items() if re.fullmatch(r"synthesis\..*\.conv_clamp", name)}
    if not found:
        synthesis = arguments.get("synthesis_kwargs")
        found = {(synthesis if isinstance(synthesis, dict) else arguments).get("conv_clamp")}
    if len(found) > 1 or not isinstance(next(iter(found)), int | float | None):
        raise UnsupportedNetwork(f"layers are clamped at {sorted(map(str, found))}; one value was expected")
    clamp = found.pop()
    return None if clamp is None else float(clamp)
