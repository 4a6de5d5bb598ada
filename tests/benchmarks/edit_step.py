"""A step of an edit, over the published form of it: time, memory, and what either grows with.

    PYTHONPATH=.:tests python -m benchmarks.edit_step [--short] [--threads N]

256 px, base 16384, 32 parts, 10 classifiers, LPIPS-VGG with random weights, a region of a tenth. Both ways in
one process, step by step in turn; the first step of each is not counted. Memory: the highest of a process of
its own for each, networks and libraries included.
"""

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from benchmarks.measuring import Figure, figures_of_child, in_turn, most_held_bytes, of_runs
from benchmarks.published import PublishedEdit
from benchmarks.published_model import Aim, aim_at, published_model
from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent, Sloping
from gpu_ops.stylegan2.precision import has_bfloat16_units

LR = 0.02
SHORT_PX = 64


def own_steps(aim: Aim) -> Iterator[float]:
    """The total loss [mean over N] at each step of gpu_ops."""
    descent = Descent(torch.zeros_like(aim.w_plus))
    sloping = Sloping(aim.ours, aim.w_plus.device)
    while True:
        at = sloping.at(descent.value)
        descent.descend(at, LR)
        yield at.means()["total"]


def published_steps(bundle: Bundle, aim: Aim) -> Iterator[float]:
    for step in PublishedEdit(bundle, aim.w_plus, aim.roi, aim.target).steps(LR):
        yield step.losses["total"]


def finished(call: Callable[[], object], device: str) -> Callable[[], object]:
    """call, and what it left to the device done too."""

    def run() -> object:
        found = call()
        if device != "cpu":
            torch.cuda.synchronize()
        return found

    return run


def against_published(
    size: int, rounds: int, lows: Sequence[torch.dtype | None] = (None,), device: str = "cpu"
) -> Iterator[Figure]:
    """Of each precision, all in turn beside one run of the published form."""
    bundle = published_model(size, device)
    theirs = published_steps(bundle, aim_at(bundle))
    each = {named(low): own_steps(aim_at(replace(bundle, low_precision=low))) for low in lows}
    calls = {name: finished(functools.partial(next, steps), device) for name, steps in each.items()}
    calls["published"] = finished(functools.partial(next, theirs), device)
    in_turn(calls, 1)
    times = in_turn(calls, rounds)
    their = times.pop("published")
    for kind, mine in times.items():
        yield of_runs(f"edit step {size} px, {kind}", mine.wall, "s", their.wall)
        yield of_runs(f"edit step {size} px, {kind}, processor", mine.cpu, "s", their.cpu)


def memory(size: int, lows: tuple[torch.dtype | None, ...] = (None,)) -> Iterator[Figure]:
    """Of processes of their own; the published form, which takes long, is looked at once."""

    def peak_gib(way: str, low: torch.dtype | None = None) -> float:
        asked = ("--peak", way, "--size", str(size), *(["--low"] if low else []))
        return float(figures_of_child("edit_step", *asked)["bytes"]) / 2**30

    theirs = peak_gib("published")
    for low in lows:
        name = f"memory of an edit step {size} px, {named(low)}"
        yield of_runs(name, [peak_gib("ours", low)], "GiB", [theirs])


def dtypes(device: str) -> tuple[torch.dtype | None, ...]:
    """float32, and bfloat16 where that is faster."""
    return (None, torch.bfloat16) if has_bfloat16_units(device) else (None,)


def named(low: torch.dtype | None) -> str:
    return "float32" if low is None else str(low).removeprefix("torch.")


def peak_bytes(way: str, size: int, low: torch.dtype | None) -> int:
    bundle = published_model(size)
    bundle.low_precision = low
    aim = aim_at(bundle)
    steps = own_steps(aim) if way == "ours" else published_steps(bundle, aim)
    for _ in range(2):
        next(steps)
    return most_held_bytes()


def growth(
    sizes: tuple[int, ...],
    items: tuple[int, ...],
    shares: tuple[float, ...],
    rounds: int,
    device: str = "cpu",
) -> Iterator[Figure]:
    """Time of a step by resolution, by N and by the region's share; per picture where N is more than one."""
    middle = sizes[len(sizes) // 2]
    cases = [(size, 1, 0.1) for size in sizes]
    cases += [(middle, n, 0.1) for n in items] + [(middle, 1, share) for share in shares]
    for size, n, share in cases:
        aim = aim_at(published_model(size, device), items=n, share=share)
        ours = own_steps(aim)
        call = {"ours": finished(lambda ours=ours: next(ours), device)}
        in_turn(call, 1)
        times = in_turn(call, rounds)["ours"]
        name = f"edit step {size} px, N = {n}, region {share:.0%}"
        yield of_runs(f"{name}, per picture", [t / n for t in times.wall], "s")
        yield of_runs(f"{name}, per picture, processor", [t / n for t in times.cpu], "s")


def measured(*, short: bool) -> Iterator[Figure]:
    size, rounds = (SHORT_PX, 2) if short else (256, 3)
    sizes = (32, SHORT_PX, 128) if short else (64, 128, 256)
    lows = dtypes("cpu")
    yield from against_published(size, rounds, lows)
    yield from growth(sizes, (2, 4), (0.02, 0.3, 0.9), rounds)
    yield from memory(size, lows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--peak", choices=["ours", "published"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--low", action="store_true")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    if asked.peak:
        low = torch.bfloat16 if asked.low else None
        print(f'{{"bytes": {peak_bytes(asked.peak, asked.size, low)}}}')
        return
    for figure in measured(short=asked.short):
        print(figure)


if __name__ == "__main__":
    main()
