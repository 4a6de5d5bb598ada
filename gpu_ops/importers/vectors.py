"""Editing vectors as .npy files: float [1, L, D] or [L, D], to be added to w_plus."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from gpu_ops.importers.refusals import LayoutMismatch
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.network_file import CONFIG_KEY
from gpu_ops.stylegan2.generator import Generator

DELTA_W = "delta_w"


def is_vector(checkpoint: Checkpoint) -> bool:
    return checkpoint.format == "npy"


def import_vector(checkpoint: Checkpoint, generator: Generator | None) -> torch.Tensor:
    """delta_w [L, D] float32. Raises LayoutMismatch where it fits no generator, or not this one."""
    delta_w = checkpoint.tensors["array"]
    found = f"{checkpoint.path.name} is {list(delta_w.shape)} of kind {delta_w.dtype}"
    if delta_w.dim() == 3 and delta_w.shape[0] == 1:
        delta_w = delta_w[0]
    if delta_w.dim() != 2 or not delta_w.is_floating_point() or delta_w.shape[0] % 2 or not delta_w.numel():
        raise LayoutMismatch(f"{found}; [1, L, D] with an even number of layers L was expected")
    if generator is not None:
        expected = (generator.num_ws, generator.config.w_dim)
        if tuple(delta_w.shape) != expected:
            raise LayoutMismatch(f"{found}; the generator's vectors are [1, {expected[0]}, {expected[1]}]")
    return delta_w.float().contiguous()


def save_vector(path: Path, delta_w: torch.Tensor) -> None:
    """Write delta_w [L, D] as a safetensors file that says what it is."""
    layers, dimensions = delta_w.shape
    config = f'{{"kind": "editing vector", "num_ws": {layers}, "w_dim": {dimensions}}}'
    save_file({DELTA_W: delta_w}, path, metadata={CONFIG_KEY: config})
