"""What `many` tells of, one small value at a time."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpu_ops.progress import State

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Entered:
    """An item takes part in the steps from now on; once more, where it had to wait for memory."""

    key: Hashable


@dataclass(frozen=True, slots=True)
class Finished(Generic[R]):
    """An item is done; result is of N = 1."""

    key: Hashable
    result: R


@dataclass(frozen=True, slots=True)
class Failed:
    """An item cannot be done, by its own fault or for want of memory; the others go on.

    error  keeps no tensors alive
    """

    key: Hashable
    error: Exception


@dataclass(frozen=True, slots=True)
class Tick:
    """A tensor step was taken, or tried in vain for want of memory.

    steps      tensor steps so far
    in_flight  items that take part in the next one, and are not done
    finished, failed  items so far
    width      how many may take part: as asked for, or less where memory ran out
    losses     of the step, each the mean over its items; of none where there was no step
    states     copies of where all unfinished items are, by key: what `many` takes as `resume`. To be called
               before the next event is asked for
    """

    steps: int
    in_flight: int
    finished: int
    failed: int
    width: int
    losses: Mapping[str, float]
    states: Callable[[], dict[Hashable, State]]
