"""A generator's tensors under this project's names, which are those of stylegan2-ada-pytorch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from gpu_ops.importers.refusals import LayoutMismatch, UnsupportedNetwork, shown

Tensors = dict[str, torch.Tensor]

_FOREIGN = (
    (r"synthesis\.(input\.|L\d+_)", "an alias-free network of StyleGAN3"),
    (r"(^|[./])(StyleMod|AdaIN|adain)|(^|\.)progression\.", "a network of the first StyleGAN"),
    (r"mapping[./](embed|LabelConcat)", "a class-conditional network"),
    (r"synthesis\.b\d+\.skip|synthesis/.*/Skip/", "a residual network (architecture 'resnet')"),
)


@dataclass
class Layout:
    """tensors of a generator, some perhaps missing; conv_clamp as in GeneratorConfig; notes for people."""

    tensors: Tensors
    conv_clamp: float | None = None
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, tensor: torch.Tensor) -> None:
        if name in self.tensors:
            raise LayoutMismatch(f"two tensors of the file are {name}")
        self.tensors[name] = tensor


def refuse_foreign(names: Iterable[str]) -> None:
    """Raises UnsupportedNetwork where a name says that this is another kind of network."""
    for name in names:
        for pattern, kind in _FOREIGN:
            if re.search(pattern, name):
                raise UnsupportedNetwork(
                    f"{shown(name)} belongs to {kind}; an unconditional StyleGAN2 generator with skip "
                    "connections to RGB was expected"
                )


def block(resolution: int) -> str:
    return f"synthesis.b{resolution}"


def convolution(index: int) -> str:
    """The styled convolution of a number: 0 is conv1 of 4 x 4, then conv0 and conv1 of 8 x 8, and so on."""
    return f"{block(4 << (index + 1) // 2)}.conv{1 - index % 2}"


def without_first(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """tensor[0], whose first axis has one element."""
    if tensor.dim() == 0 or tensor.shape[0] != 1:
        raise LayoutMismatch(f"{name} is {list(tensor.shape)}; a first axis of 1 was expected")
    return tensor[0]


def as_axes(name: str, tensor: torch.Tensor, count: int) -> torch.Tensor:
    """tensor, which must have so many axes."""
    if tensor.dim() != count:
        raise LayoutMismatch(f"{name} is {list(tensor.shape)}; {count} axes were expected")
    return tensor


def scalar(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """tensor, which must have one element, without axes."""
    if tensor.numel() != 1:
        raise LayoutMismatch(f"{name} is {list(tensor.shape)}; one number was expected")
    return tensor.reshape(())


def same_filters(name: str, found: torch.Tensor, expected: torch.Tensor) -> None:
    """Raises UnsupportedNetwork where a skip is resized with another filter than its block's convolution."""
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-5, atol=1e-7):
        raise UnsupportedNetwork(
            f"{name} is not the resizing filter of its block's convolutions; one filter was expected"
        )
