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
    gain      for as long as each gives this share more than the best one before it
    within_s  and can be expected to be measured within this time, the first one aside

    Memory that runs out ends it too, unless it does so at width 1: that error comes through. A task that
    needs no steps tells nothing: width 1. Raises what is wrong with the task.
    """
    began = time.perf_counter()
    entry = work.prepare(task, None)
    if isinstance(entry, Ready):
        return Measured(1, {})
    rates: dict[int, float] = {}
    best = width = 1
    while width <= most:
        try:
            step_s = _step_s(work, entry, width)
        except Exception as error:
            if not rates or not out_of_memory(error):
                raise
            make_room(error)
            break
        rates[width] = width / step_s
        if width > 1 and rates[width] < (1 + gain) * rates[best]:
            break
        best, width = width, 2 * width
        if time.perf_counter() - began + 2 * (1 + TIMED) * step_s > within_s:
            break
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
