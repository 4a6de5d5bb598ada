"""Where a command computes: `--device`, in one way for all of them."""

import argparse

import torch

WIDE = 64
"""Pictures at a time on a GPU, where more at once cost hardly more time."""


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device: by default a GPU where there is one."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cuda or cpu (%(default)s)")


def at_once(device: torch.device | str, on_cpu: int) -> int:
    """How many pictures to take at a time: on_cpu on a CPU, WIDE elsewhere."""
    return on_cpu if torch.device(device).type == "cpu" else WIDE
