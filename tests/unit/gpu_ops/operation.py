"""Running an operation of gpu_ops to its end, as tests need it."""

from collections.abc import Generator
from typing import TypeVar

from gpu_ops.progress import Progress

R = TypeVar("R")


def finish(run: Generator[Progress, None, R]) -> tuple[list[Progress], R]:
    """All progress of an operation, and its result."""
    seen = []
    while True:
        try:
            seen.append(next(run))
        except StopIteration as end:
            return seen, end.value
