"""The same figures for a GPU, in under six minutes and one small file.

    PYTHONPATH=.:tests python -m benchmarks.gpu [--out gpu.json] [--device cuda]
    PYTHONPATH=.:tests python -m benchmarks.gpu --device cpu      the same, small: to try it without a GPU

Steps over the published form at N = 1 and per picture at N = 16, 30 steps at 1024 px (base 32768), applying a
vector at 1024 px up to the PNG's bytes in float16 and float32, the roofline at 256 px, and the most memory
that each took; then the bundled model `cars`: an edit of 100 steps, N = 8 in one tensor step over 8 times
N = 1. The most wanted come first, and every part is written as soon as it is known: what fails or does not
fit in time or memory is named, not lost. Bulk over the bare operation needs the whole service: bulk.py, where
that is installed.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

import gpu_ops
from benchmarks import roofline
from benchmarks.batched_optimisation import Case, cases
from benchmarks.batched_optimisation import together as jointly
from benchmarks.edit_step import against_published, finished, named, own_steps, published_steps
from benchmarks.measuring import Figure, in_turn, of_runs, written
from benchmarks.published_model import aim_at, published_model
from gpu_ops.bundle import load_bundle
from gpu_ops.metrics import psnr_db
from gpu_ops.refine import draw
from storage.pictures import encode_png

LONGEST_S = 300.0  # after this no part begins
BUNDLED = Path(gpu_ops.__path__[0]) / "pretrained" / "cars"
Part = Callable[[], list[Figure]]


def peak(name: str, device: str) -> list[Figure]:
    if device == "cpu":
        return []
    bytes_ = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return [Figure(f"{name}: memory", bytes_ / 2**30, "GiB")]


def singly(size: int, low: torch.dtype | None, device: str) -> list[Figure]:
    found = list(against_published(size, 5, [low], device))
    return found + peak(f"step {size} px, {named(low)} and published", device)


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
    """In float16, over float32, and how far the one's picture is from the other's."""
    bundle = published_model(size, device)
    w_plus = aim_at(bundle).w_plus + 0.1
    half = replace(bundle, half=True)
    ways = {
        "half": lambda: encode_png(draw(half, w_plus).pictures[0]),
        "full": lambda: encode_png(draw(bundle, w_plus).pictures[0]),
    }
    in_turn(ways, 2)
    times = in_turn(ways, 5)
    name = f"apply {size} px, forward to PNG bytes"
    apart = psnr_db(draw(bundle, w_plus).pictures[0], draw(half, w_plus).pictures[0])
    return [
        of_runs(f"{name}, float16", times["half"].wall, "s", times["full"].wall),
        of_runs(f"{name}, float32", times["full"].wall, "s"),
        Figure(f"{name}, float16 against float32", apart, "dB"),
        *peak(name, device),
    ]


def bundled(device: str, steps: int, items: int, kinds: tuple[str, ...]) -> list[Case]:
    return [case for case in cases(load_bundle(BUNDLED, device), items, steps) if case.name in kinds]


def whole_edit(device: str, steps: int) -> list[Figure]:
    """An edit with the bundled model, from the mask to pictures and scores."""
    (case,) = bundled(device, steps, 1, ("edit",))
    call = finished(lambda: case.alone(case.tasks[0]), device)
    call()
    name = f"edit of {steps} steps, bundled model 64 px, in process"
    return [of_runs(name, in_turn({"edit": call}, 3)["edit"].wall, "s"), *peak(name, device)]


def in_one_step(device: str, steps: int, items: int) -> list[Figure]:
    """N pictures in each tensor step, over one after the other: preparation and scores included."""
    figures = []
    for case in bundled(device, steps, items, ("edit", "invert", "draw")):
        ways = {
            "jointly": finished(lambda case=case: jointly(case), device),
            "singly": finished(lambda case=case: [case.alone(task) for task in case.tasks], device),
        }
        in_turn(ways, 1)
        times = in_turn(ways, 3)
        name = f"{case.name}, bundled model 64 px, {steps} steps, N = {items} over {items} times N = 1"
        figures.append(of_runs(name, times["jointly"].wall, "s", times["singly"].wall))
    return [*figures, *peak(f"bundled model, N = {items}", device)]


def parts(device: str) -> dict[str, Part]:
    """In the order in which they are wanted."""
    small = device == "cpu"
    size, large, items, steps, few = (32, 64, 2, 3, 2) if small else (256, 1024, 16, 30, 8)
    lows = (None, torch.bfloat16)
    wanted: dict[str, Part] = {}
    for low in lows:
        wanted[f"N = 1, {named(low)}"] = lambda low=low: singly(size, low, device)
    for low in lows:
        wanted[f"N = {items}, {named(low)}"] = lambda low=low: together(size, items, low, device)
    for low in lows:
        wanted[f"{steps} steps, {named(low)}"] = lambda low=low: thirty(large, low, device, steps)
    wanted["apply"] = lambda: applied(large, device)
    wanted["roofline"] = lambda: roofline.measured(short=small, device=device, items=items, size=size)
    wanted["edit"] = lambda: whole_edit(device, 3 if small else 100)
    wanted["in one step"] = lambda: in_one_step(device, 2 if small else 20, few)
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
        except Exception as error:  # noqa: BLE001  the other parts are wanted all the same
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
        if asked.device != "cpu":
            torch.cuda.empty_cache()
        written(figures, asked.out)
        print(f"{name}: after {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
