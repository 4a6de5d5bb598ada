"""Running an operation of gpu_ops, as tests need it."""

from typing import TypeVar

from gpu_ops.progress import Progress, Steps

R = TypeVar("R")


def finish(run: Steps[R], *, stop_at: int | None = None) -> tuple[list[Progress], R]:
    """All progress of an operation, and its result; from step stop_at on it is sent True."""
    seen: list[Progress] = []
    enough: bool | None = None
    while True:
        try:
            seen.append(run.send(enough))
        except StopIteration as end:
            return seen, end.value
        enough = stop_at is not None and seen[-1].step >= stop_at
