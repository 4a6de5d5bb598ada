"""Work beside other work, on a core that would be idle where a small model is served best by one thread."""

import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T], *, free: bool) -> Callable[[], T]:
    """What gives the work's result, or raises what it raised. It begins now: in a thread of its own where a
    core is free for it, else it is done before this returns."""
    if not free:
        done = work()
        return lambda: done
    return _thread().submit(contextvars.copy_context().run, work).result


@functools.cache
def _thread() -> ThreadPoolExecutor:
    import torch

    def compute_alone() -> None:
        """OpenMP counts for each thread anew: with the same number it gives the same bytes."""
        torch.get_num_threads()  # else the first operation sets the number, to what another thread asked for
        torch.set_num_threads(1)

    return ThreadPoolExecutor(1, "aside", initializer=compute_alone)
