"""How many items to take at once: found out by measuring, in a few seconds."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from gpu_ops.many.work import Ready, Work
from gpu_ops.memory import make_room, out_of_memory

T = TypeVar("T")
E = TypeVar("E")
R = TypeVar("R")

TIMED = 2  # steps, after one to warm up; the faster one counts


@dataclass(frozen=True)
class Measured:
    """width: the best; items_per_s: how many items take a step in a second, by width, as far as measured."""

    width: int
    items_per_s: Mapping[int, float]


def best_width(
    work: Work[T, E, R], task: T, *, most: int = 64, gain: float = 0.05, within_s: float = 6.0
) -> Measured:
    """The width at which `work` does most items per second, on this device with the load that it has now.

    task      a typical one; it is prepared once
    most      widths 1, 2, 4, 8 ... up to this are tried
    gain      how much more a width must give to be taken, as a share of the best one before it; two in a row
              that do not end it
    within_s  so does a width that cannot be expected to be measured within this time, the first one aside

    Memory that runs out ends it too. A task that needs no steps tells nothing, nor does one that does not fit
    alone: width 1. Raises what is wrong with the task.
    """
    began = time.perf_counter()
    rates: dict[int, float] = {}
    best = width = 1
    try:
        entry = work.prepare(task, None)
        while width <= most and not isinstance(entry, Ready):
            step_s = _step_s(work, entry, width)
            rates[width] = width / step_s
            if rates[width] > (1 + gain) * rates[best]:
                best = width
            expected_s = 2 * (1 + TIMED) * step_s
            if width >= 4 * best or time.perf_counter() - began + expected_s > within_s:
                break
            width *= 2
    except Exception as error:
        if not out_of_memory(error):
            raise
        make_room(error)
    return Measured(best, rates)


def _step_s(work: Work[T, E, R], entry: E, width: int) -> float:
    flight = work.flight()
    for _ in range(width):
        flight.add(entry)
    times = []
    for _ in range(1 + TIMED):
        _wait()
        began = time.perf_counter()
        flight.step()
        _wait()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _wait() -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
