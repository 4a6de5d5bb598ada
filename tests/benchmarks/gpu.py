"""The same figures for a GPU, in under eight minutes and one small file.

    PYTHONPATH=.:tests python -m benchmarks.gpu [--out gpu.json] [--device cuda]
    PYTHONPATH=.:tests python -m benchmarks.gpu --device cpu      the same, small: to try it without a GPU

Steps over the published form at N = 1 and per picture at N = 16, 30 steps at 1024 px (base 32768), applying a
vector at 1024 px up to the PNG's bytes, the roofline at 256 px, and the most memory that each took. Every
part is written as soon as it is known: what does not fit in time or memory is named, not lost.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import roofline
from benchmarks.edit_step import against_published, finished, named, own_steps, published_steps
from benchmarks.measuring import Figure, in_turn, of_runs, written
from benchmarks.published_model import aim_at, published_model
from gpu_ops.picture import to_uint8
from storage.pictures import encode_png

LONGEST_S = 450.0
Part = Callable[[], list[Figure]]


def peak(name: str, device: str) -> list[Figure]:
    if device == "cpu":
        return []
    bytes_ = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return [Figure(f"{name}: memory", bytes_ / 2**30, "GiB")]


def singly(size: int, low: torch.dtype | None, device: str) -> list[Figure]:
    return against_published(size, 5, low, device) + peak(
        f"step {size} px, {named(low)} and published", device
    )


def together(size: int, items: int, low: torch.dtype | None, device: str) -> list[Figure]:
    """Per picture: N in one step, over the published form, which takes one at a time."""
    bundle = published_model(size, device)
    bundle.low_precision = low
    ours, theirs = own_steps(aim_at(bundle, items=items)), published_steps(bundle, aim_at(bundle))
    ways = {
        "ours": finished(lambda: next(ours), device),
        "published": finished(lambda: next(theirs), device),
    }
    in_turn(ways, 2)
    times = in_turn(ways, 5)
    mine = [seconds / items for seconds in times["ours"].wall]
    name = f"edit step {size} px, N = {items}, {named(low)}, per picture"
    return [of_runs(name, mine, "s", times["published"].wall), *peak(name, device)]


def thirty(size: int, low: torch.dtype | None, device: str, steps: int) -> list[Figure]:
    bundle = published_model(size, device)
    bundle.low_precision = low
    ours = own_steps(aim_at(bundle))
    next(ours)
    call = finished(lambda: list(itertools.islice(ours, steps)), device)
    name = f"{steps} steps {size} px, {named(low)}"
    return [of_runs(name, in_turn({"ours": call}, 3)["ours"].wall, "s"), *peak(name, device)]


def applied(size: int, device: str) -> list[Figure]:
    bundle = published_model(size, device)
    w_plus = aim_at(bundle).w_plus

    def draw() -> bytes:
        with torch.no_grad():
            return encode_png(to_uint8(bundle.generator.synthesise(w_plus + 0.1).picture)[0])

    in_turn({"apply": draw}, 2)
    name = f"apply {size} px, forward to PNG bytes"
    return [of_runs(name, in_turn({"apply": draw}, 5)["apply"].wall, "s"), *peak(name, device)]


def parts(device: str) -> dict[str, Part]:
    small = device == "cpu"
    size, large, items, steps = (32, 64, 2, 3) if small else (256, 1024, 16, 30)
    lows = (None, torch.bfloat16)
    wanted: dict[str, Part] = {}
    for low in lows:
        kind = named(low)
        wanted[f"N = 1, {kind}"] = lambda low=low: singly(size, low, device)
        wanted[f"N = {items}, {kind}"] = lambda low=low: together(size, items, low, device)
        wanted[f"{steps} steps, {kind}"] = lambda low=low: thirty(large, low, device, steps)
    wanted["apply"] = lambda: applied(large, device)
    wanted["roofline"] = lambda: roofline.measured(short=small, device=device, items=items, size=size)
    return wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 is float32
    torch.backends.cudnn.benchmark = True
    began, figures = time.monotonic(), []
    for name, part in parts(asked.device).items():
        if time.monotonic() - began > LONGEST_S:
            print(f"{name}: no time left", file=sys.stderr)
            continue
        try:
            figures += part()
        except RuntimeError as error:  # out of memory is one
            print(f"{name}: {str(error)[:200]}", file=sys.stderr)
        if asked.device != "cpu":
            torch.cuda.empty_cache()
        written(figures, asked.out)
        print(f"{name}: after {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
