"""What a model's own classifiers tell of pictures: words of attributes, as `expression` or `body_type`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gpu_ops.bundle import read_description
from gpu_ops.errors import IncompleteModelError
from gpu_ops.network_file import load_network
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.smile import SmileConfig, SmileReader
from gpu_ops.training.perceptual import load_reader

Tell = Callable[[Picture], list[str]]
"""Words of pictures uint8 [N, H, W, 3]."""


def classifiers(folder: Path, device: torch.device | str = "cpu") -> dict[str, tuple[str, Tell]]:
    """By attribute, the network that reads it and how, from a model's folder; none where it has none.

    A reader of smiles (role `smile`) tells the expression; the bundled perceptual backbone comes with a
    head that reads the attributes of scenes.
    """
    files = {role: folder / name for role, name in read_description(folder)["files"].items()}
    found: dict[str, tuple[str, Tell]] = {}
    if "perceptual" in files and "attributes" in load_network(files["perceptual"])[0]:
        found |= _of_reader(files["perceptual"], device)
    if "smile" in files:
        found["expression"] = ("smile", _of_smile(files["smile"], device))
    return found


def classifier(folder: Path, attribute: str, device: torch.device | str = "cpu") -> tuple[str, Tell]:
    """The one that reads an attribute. Raises IncompleteModelError."""
    found = classifiers(folder, device)
    if attribute not in found:
        known = ", ".join(sorted(found)) or "none"
        raise IncompleteModelError(f"the model has no classifier of {attribute}: it has {known}")
    return found[attribute]


def _of_smile(path: Path, device: torch.device | str) -> Tell:
    config, tensors = load_network(path)
    reader = SmileReader(SmileConfig(**config))
    reader.load_state_dict(tensors)
    return reader.eval().requires_grad_(False).to(device).expressions


def _of_reader(path: Path, device: torch.device | str) -> dict[str, tuple[str, Tell]]:
    reader, names = load_reader(path)
    reader.to(device)
    words: dict[str, dict[str, int]] = {}
    for column, name in enumerate(names):
        if "=" in name:
            words.setdefault(name.split("=")[0], {})[name.split("=")[1]] = column

    def telling(columns: dict[str, int]) -> Tell:
        @torch.no_grad()
        def tell(pictures: Picture) -> list[str]:
            guesses = reader(to_tensor(pictures, device))[:, list(columns.values())].cpu().numpy()  # [N, W]
            return [list(columns)[index] for index in np.argmax(guesses, axis=1)]

        return tell

    return {attribute: ("perceptual", telling(columns)) for attribute, columns in words.items()}
