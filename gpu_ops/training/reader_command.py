"""The command line of the networks that read faces: trained on renders, scored on held-out ones."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from gpu_ops.network_file import save_network
from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from gpu_ops.training.going_on import go_on
from gpu_ops.training.place import add_device
from gpu_ops.training.reading import Reading


class Config(Protocol):
    def as_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Reader:
    """What is to be trained.

    network, config  what is kept of it
    train            runs the training, on from a state where there is one
    figures          of held-out pictures uint8 [n, H, W, 3] and their scenes (a .jsonl file)
    """

    network: nn.Module
    config: Config
    train: Callable[[State | None], Steps[None]]
    figures: Callable[[Picture, Path], dict[str, Any]]


def train_and_score(
    name: str, about: str, steps: int, begin: Callable[[Picture, Path, Reading, str], Reader]
) -> None:
    """Read the command line; write the weights, and the figures beside them.

    begin  makes the reader of training pictures uint8 [n, H, W, 3] and their scenes (a .jsonl file),
           on a device
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures.npy and scenes.jsonl")
    parser.add_argument("--held-out", type=Path, required=True, help="the same, of people never trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    pictures = np.load(options.data / "pictures.npy", mmap_mode="r")
    reading = Reading(options.steps, seed=options.seed)
    reader = begin(pictures, options.data / "scenes.jsonl", reading, options.device)
    go_on(reader.train, options.out.with_suffix(".state"), name)
    save_network(options.out, reader.network, reader.config.as_dict(), half=True)
    held = np.load(options.held_out / "pictures.npy")
    figures = reader.figures(held, options.held_out / "scenes.jsonl")
    options.out.with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures), flush=True)
