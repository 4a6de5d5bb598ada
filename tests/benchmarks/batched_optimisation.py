"""How much faster N pictures go through one tensor step than one after the other, and how far results part.

    python tests/benchmarks/batched_optimisation.py [--items 8] [--steps 20] [--threads 1] [--repeats 1]

On the bundled model `cars` and its own samples: inversion, edit (wheels moved by three pixels), and drawing
with a vector. In each repeat both ways are timed in turn, preparation and scores included, and the faster
time of each counts: wall time, and the process's CPU time, which other load disturbs less. Results differ
since float32 rounds otherwise for another N, which Adam carries on from step to step: so losses and PSNR
are told as well.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gpu_ops
from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.edit import edit
from gpu_ops.invert import invert
from gpu_ops.many.applying import ApplyTask, Drawing
from gpu_ops.many.editing import Editing, EditTask
from gpu_ops.many.events import Finished
from gpu_ops.many.inverting import Inverting
from gpu_ops.many.loop import many
from gpu_ops.many.width import best_width
from gpu_ops.many.work import AnyWork
from gpu_ops.progress import Steps
from gpu_ops.refine import look
from gpu_ops.sample import seeded_code

WHEEL_GROUP, MOVED_PX = "wheel", 3


@dataclass(frozen=True)
class Case:
    """alone: does one task as the single call does. tell: figures of a result, by name."""

    name: str
    work: AnyWork
    tasks: list[Any]
    alone: Callable[[Any], Any]
    tell: Callable[[Any], dict[str, float]]


def finish(run: Steps[Any]) -> Any:
    while True:
        try:
            next(run)
        except StopIteration as end:
            return end.value


def cases(bundle: Bundle, items: int, steps: int) -> list[Case]:
    w_plus = torch.cat([seeded_code(bundle, seed, 0.7) for seed in range(items)]).to(bundle.device)
    view = look(bundle, w_plus)
    names = bundle.description["groups"].get(WHEEL_GROUP, bundle.parts[:1])
    wheel = tuple(bundle.parts.index(name) for name in names)
    moved = np.roll(view.masks, MOVED_PX, axis=2)
    targets = np.where(np.isin(moved, wheel), moved, view.masks)
    codes = [w_plus[n : n + 1] for n in range(items)]
    return [
        Case(
            "invert",
            Inverting(bundle, steps=steps),
            list(view.pictures),
            lambda picture: finish(invert(bundle, picture[None], steps=steps)),
            lambda result: {"loss": result.losses_last[0], "PSNR dB": result.psnr_db[0]},
        ),
        Case(
            "edit",
            Editing(bundle, steps=steps),
            [EditTask(code, target, wheel) for code, target in zip(codes, targets, strict=True)],
            lambda task: finish(edit(bundle, task.w_plus, task.target_mask[None], task.q_edit, steps=steps)),
            lambda result: {
                "loss": result.metrics[0]["loss_last"],
                "PSNR outside dB": result.metrics[0]["psnr_outside_db"],
            },
        ),
        Case(
            "draw",
            Drawing(bundle),
            [ApplyTask(code, 0.1 * (codes[0] - code)[0]) for code in codes],
            lambda task: look(bundle, task.w_plus + task.delta_w),
            lambda result: {},
        ),
    ]


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What call gives, and its wall and CPU time in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def together(case: Case) -> list[Any]:
    events = many(case.work, enumerate(case.tasks), width=len(case.tasks))
    found = {event.key: event.result for event in events if isinstance(event, Finished)}
    return [found[n] for n in range(len(case.tasks))]


def compare(case: Case, repeats: int) -> None:
    singly: list[tuple[float, float]] = []
    jointly: list[tuple[float, float]] = []
    for _ in range(repeats):
        apart, *took = timed(lambda: [case.alone(task) for task in case.tasks])
        singly.append((took[0], took[1]))
        joined, *took = timed(lambda: together(case))
        jointly.append((took[0], took[1]))
    (wall, cpu), (wall_n, cpu_n) = (np.min(times, axis=0) for times in (singly, jointly))
    print(
        f"{case.name}: N = 1, {len(case.tasks)} times {wall:.2f} s (CPU {cpu:.2f}), N = {len(case.tasks)} "
        f"{wall_n:.2f} s (CPU {cpu_n:.2f}): {wall / wall_n:.2f} times as fast (CPU {cpu / cpu_n:.2f})"
    )
    pairs = list(zip(apart, joined, strict=True))
    levels = [np.abs(one.pictures.astype(int) - other.pictures).max() for one, other in pairs]
    masks = [np.mean(one.masks != other.masks) for one, other in pairs]
    print(f"  largest difference: {max(levels)} grey levels, {100 * max(masks):.2f} % of a mask's pixels")
    for name in case.tell(apart[0]):
        figures = np.array([[case.tell(result)[name] for result in pair] for pair in pairs])  # [items, 2]
        means = figures.mean(axis=0)
        apart_by = np.abs(figures[:, 0] - figures[:, 1]).max()
        print(f"  {name}: mean {means[0]:.4g} and {means[1]:.4g}, largest difference {apart_by:.3g}")
    widths = best_width(case.work, case.tasks[0], most=16)
    rates = ", ".join(f"{width}: {rate:.1f}" for width, rate in widths.items_per_s.items())
    print(f"  items stepped per second by width {rates}; best: {widths.width}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("items", 8), ("steps", 20), ("threads", 1), ("repeats", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    bundle = load_bundle(Path(gpu_ops.__path__[0]) / "pretrained" / "cars", asked.device)
    print(f"cars, {asked.device}, {asked.threads} threads, {asked.items} items of {asked.steps} steps")
    for case in cases(bundle, asked.items, asked.steps):
        compare(case, asked.repeats)


if __name__ == "__main__":
    main()
