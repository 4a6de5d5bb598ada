"""Where a training computes, and in what: in one way for all of them."""

import argparse
import functools

import torch

WIDE = 64
"""Pictures at a time on a GPU, where more at once cost hardly more time."""


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device: by default a GPU where there is one."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cuda or cpu (%(default)s)")


def low_precision(device: torch.device | str, *, asked: bool = True) -> torch.autocast:
    """Within it, matrix products and convolutions are in bfloat16 if asked; on a CPU only where it has units
    for that: without, a step takes ten times as long as in float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=asked and (kind != "cpu" or _cpu_has_bfloat16()))


@functools.cache
def _cpu_has_bfloat16() -> bool:
    units = torch.cpu.get_capabilities()
    return bool(units.get("amx_bf16") or units.get("avx512_bf16"))


def at_once(device: torch.device | str, on_cpu: int) -> int:
    """How many pictures to take at a time: on_cpu on a CPU, WIDE elsewhere."""
    return on_cpu if torch.device(device).type == "cpu" else WIDE
