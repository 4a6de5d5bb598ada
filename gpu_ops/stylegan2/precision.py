"""Which dtype the convolutions run in: chosen from the caller's autocast, then cast explicitly."""

import functools

import torch

LOW_PRECISION_BLOCKS = 4
"""Only this many of the highest resolutions run in low precision, and never 4 x 4."""


def low_precision_dtype(tensor: torch.Tensor) -> torch.dtype | None:
    """Return the dtype of an enclosing autocast for tensor's device, or None where there is none.

    float64 input stays float64 whatever autocast says: only tests use it, for its precision.
    """
    kind = tensor.device.type
    if tensor.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def has_bfloat16_units(device: torch.device | str) -> bool:
    """Whether bfloat16 is faster there than float32: without units for it a step takes ten times as long."""
    return torch.device(device).type != "cpu" or _cpu_has_bfloat16()


@functools.cache
def _cpu_has_bfloat16() -> bool:
    units = torch.cpu.get_capabilities()
    return bool(units.get("amx_bf16") or units.get("avx512_bf16"))


def block_dtype(resolution: int, highest: int, low: torch.dtype | None, full: torch.dtype) -> torch.dtype:
    """Return the dtype that the block of one resolution computes in."""
    lowest_in_half = max(highest >> (LOW_PRECISION_BLOCKS - 1), 8)
    return low if low is not None and resolution >= lowest_in_half else full
