"""A network as one safetensors file: its tensors, and in the metadata the configuration to build it from."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

CONFIG_KEY = "config"


def save_network(path: Path, network: nn.Module, config: dict[str, Any], *, half: bool = False) -> None:
    """Write a network's tensors, whole or not at all, with its configuration in the metadata."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    unfinished = path.with_name(path.name + ".unfinished")
    save_file(tensors, unfinished, metadata={CONFIG_KEY: json.dumps(config)})
    unfinished.replace(path)


def load_network(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and float32 tensors that save_network wrote."""
    with safe_open(path, framework="pt") as file:
        config: dict[str, Any] = json.loads(file.metadata()[CONFIG_KEY])
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    return config, {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
