"""Generators as safetensors files, with their shape in the file's metadata."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from gpu_ops.stylegan2.generator import Generator, GeneratorConfig

CONFIG_KEY = "stylegan2_generator"


def save_generator(path: Path | str, generator: Generator) -> None:
    """Write a generator, whole or not at all: a reader never sees half a file."""
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    unfinished = path.with_name(path.name + ".unfinished")
    save_file(tensors, unfinished, metadata={CONFIG_KEY: json.dumps(asdict(generator.config))})
    unfinished.replace(path)


def load_generator(path: Path | str) -> Generator:
    """Read a generator, on the CPU, frozen, in evaluation mode.

    Raises ValueError where the file was not written by save_generator, RuntimeError where its tensors
    do not fit its configuration.
    """
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(CONFIG_KEY)
        if text is None:
            raise ValueError(f"{path} holds no generator configuration")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    shape = json.loads(text)
    if isinstance(shape.get("channel_max"), list):
        shape["channel_max"] = tuple(shape["channel_max"])
    generator = Generator(GeneratorConfig(**shape))
    generator.load_state_dict(tensors)
    return generator.eval().requires_grad_(False)
