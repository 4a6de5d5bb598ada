"""The least time that a step can take on this machine: by its operations, and by what memory must move.

    PYTHONPATH=.:tests python -m benchmarks --only roofline [--short]

Operations: those of all matrix products and convolutions of a step, forward and backward, as torch counts
them. Bytes: what those operations read and write, each tensor once per operation, as if all that lies between
were free. Peaks are measured: the best of a large matrix product, of a convolution and of a copy.
The floor is the larger of operations over the peak and bytes over the bandwidth.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.edit_step import dtypes, own_steps
from benchmarks.measuring import Figure, in_turn, of_runs
from benchmarks.published_model import aim_at, published_model

BAGS = ("_embedding_bag", "_embedding_bag_forward_only")
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "convolution_backward", *BAGS)


class Moved(TorchDispatchMode):
    """Counts the bytes that matrix products and convolutions read and write."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in PRODUCTS:
            tensors = [*args, *(out if isinstance(out, tuple) else (out,))]
            self.bytes += sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))
        return out


def best(call: Callable[[], object], tries: int = 7) -> float:
    """Seconds of the fastest call."""
    times = []
    for _ in range(tries):
        began = time.perf_counter()
        call()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


def peaks(dtype: torch.dtype, device: str = "cpu") -> tuple[float, float]:
    """Operations a second of the better of matrix product and convolution, and bytes a second of a copy."""
    side = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = 2 * side**3 / best(lambda: a @ b)
    x = torch.randn(1, 256, 64, 64, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = (
        torch.randn(256, 256, 3, 3, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
    )
    convolution = 2 * 256 * 256 * 9 * 64 * 64 / best(lambda: F.conv2d(x, weight, padding=1))
    far = torch.empty(1 << 26, device=device)  # 256 MiB
    near = torch.empty_like(far)
    return max(product, convolution), 2 * far.numel() * 4 / best(lambda: near.copy_(far), 3)


def measured(*, short: bool, device: str = "cpu", items: int = 1, size: int | None = None) -> list[Figure]:
    size = size or (64 if short else 256)
    figures = []
    for low in dtypes(device):
        bundle = published_model(size, device)
        bundle.low_precision = low
        steps = own_steps(aim_at(bundle, items=items))
        next(steps)
        moved = Moved()
        with FlopCounterMode(display=False) as counter, moved:
            next(steps)
        operations, dtype = counter.get_total_flops(), low or torch.float32
        peak, bandwidth = peaks(dtype, device)
        compute_s, memory_s = operations / peak, moved.bytes / bandwidth
        times = in_turn({"step": lambda steps=steps: next(steps)}, 3)["step"].wall
        kind = str(dtype).removeprefix("torch.")
        name = f"roofline {size} px, N = {items}, {kind}"
        figures += [
            Figure(f"{name}: operations of a step", operations / 1e9, "GFLOP"),
            Figure(f"{name}: bytes of a step", moved.bytes / 1e9, "GB"),
            Figure(f"{name}: peak", peak / 1e9, "GFLOP/s"),
            Figure(f"{name}: bandwidth", bandwidth / 1e9, "GB/s"),
            Figure(f"{name}: floor by operations", compute_s, "s"),
            Figure(f"{name}: floor by bytes", memory_s, "s"),
            of_runs(
                f"{name}: step over floor", times, "s", [max(compute_s, memory_s)] * len(times), over=True
            ),
        ]
    return figures
