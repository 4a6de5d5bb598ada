"""Inception v3 as FID and KID read it, from weights that the caller has: none are shipped.

A safetensors file in torchvision's layout (Conv2d_1a_3x3.conv.weight ...). Where fc has 1,008 outputs the
weights are those of FID's own network (as pytorch-fid and torch-fidelity keep them), which pools otherwise.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import gpu_ops.torchvision_shim  # noqa: F401  before torchvision
from gpu_ops.errors import WeightsError
from gpu_ops.fidelity import Features
from gpu_ops.perceptual import read_weights

from torchvision.models.inception import Inception3  # isort: skip

SIZE_PX = 299
FID_CLASSES = 1008


def load_inception(path: Path, device: torch.device | str = "cpu") -> Features:
    """The 2,048 features of the last pooling. Raises WeightsError."""
    weights = {
        name: tensor.float()
        for name, tensor in read_weights(path).items()
        if not name.startswith("AuxLogits.")
    }
    classes = weights["fc.bias"].shape[0] if "fc.bias" in weights else 0
    network = Inception3(classes or 1, aux_logits=False, transform_input=False, init_weights=False)
    try:
        lacking, unknown = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{path.name} does not fit Inception v3: {error}") from error
    lacking = [name for name in lacking if not name.endswith("num_batches_tracked")]
    if lacking or unknown or not classes:
        raise WeightsError(
            f"{path.name} is no Inception v3 in torchvision's layout: {(lacking + unknown)[:3]}"
        )
    if classes == FID_CLASSES:
        pool_as_fid(network)
    network.fc = nn.Identity()
    network.dropout = nn.Identity()
    network.requires_grad_(False).eval().to(device)
    kind = "FID's weights" if classes == FID_CLASSES else "torchvision's weights"

    def read(pictures: torch.Tensor) -> torch.Tensor:
        size = (SIZE_PX, SIZE_PX)
        resized = F.interpolate(pictures, size=size, mode="bilinear", align_corners=False, antialias=False)
        found: torch.Tensor = network(resized)
        return found

    return Features(f"Inception v3, {kind} ({path.name})", read)


def pool_as_fid(network: nn.Module) -> None:
    """FID's network leaves the border out of its averages, and takes the maximum in its last block."""
    for name, block in network.named_children():
        if name == "Mixed_7c":
            _pool_by_maximum(block)
        elif hasattr(block, "branch_pool") and isinstance(block.branch_pool, nn.Module):
            block.branch_pool.register_forward_pre_hook(_without_border)


def _without_border(_branch: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """Undo that an average of 3 x 3 counted the zeros beyond the edge."""
    pooled = inputs[0]
    inside = F.avg_pool2d(torch.ones_like(pooled[:1, :1]), 3, stride=1, padding=1)  # share within the map
    return (pooled / inside,)


def _pool_by_maximum(block: nn.Module) -> None:
    seen: list[torch.Tensor] = []

    def note(_block: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        seen[:] = [inputs[0]]

    def replace(_branch: nn.Module, _inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (F.max_pool2d(seen.pop(), 3, stride=1, padding=1),)

    block.register_forward_pre_hook(note)
    branch = block.branch_pool
    assert isinstance(branch, nn.Module)
    branch.register_forward_pre_hook(replace)
