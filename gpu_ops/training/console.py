"""Long training work shown on a terminal."""

import time
from collections.abc import Generator, Iterable
from typing import TypeVar

from gpu_ops.progress import Progress

R = TypeVar("R")
EVERY_S = 10.0


def report(run: Generator[Progress, None, R], title: str) -> R:
    """Run an operation to its end, printing a line every ten seconds; returns its result."""
    started = shown = time.monotonic()
    while True:
        try:
            progress = next(run)
        except StopIteration as end:
            print(f"{title}: done in {time.monotonic() - started:.0f} s", flush=True)
            result: R = end.value
            return result
        now = time.monotonic()
        if now - shown > EVERY_S:
            shown = now
            left = (now - started) / progress.step * (progress.total - progress.step)
            losses = " ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
            print(f"{title}: {progress.step}/{progress.total} {losses}, {left:.0f} s left", flush=True)


def follow(run: Iterable[Progress], title: str) -> None:
    """The same for a run without a result."""

    def ending() -> Generator[Progress, None, None]:
        yield from run

    report(ending(), title)
