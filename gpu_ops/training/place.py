"""Where a training computes, and in what: in one way for all of them."""

import argparse

import torch

from gpu_ops.stylegan2.precision import has_bfloat16_units

WIDE = 64
"""Pictures at a time on a GPU, where more at once cost hardly more time."""


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device: by default a GPU where there is one."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cuda or cpu (%(default)s)")


def low_precision(device: torch.device | str, *, asked: bool = True) -> torch.autocast:
    """Within it, matrix products and convolutions are in bfloat16 if asked, and where that is faster."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=asked and has_bfloat16_units(device))


def at_once(device: torch.device | str, on_cpu: int) -> int:
    """How many pictures to take at a time: on_cpu on a CPU, WIDE elsewhere."""
    return on_cpu if torch.device(device).type == "cpu" else WIDE
