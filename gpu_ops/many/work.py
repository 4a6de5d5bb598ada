"""The border between the loop of `many` and what it does: a Work prepares items, a Flight steps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from gpu_ops.progress import State

T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)


@dataclass(frozen=True)
class Ready(Generic[R]):
    """The result of an item that needs no steps."""

    result: R


@dataclass(frozen=True)
class Stepped:
    """losses, each the mean over the items; failed: items whose own loss ended them, by row.

    Where any failed, nothing was changed and no step was taken.
    """

    losses: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[int, Exception] = field(default_factory=dict)


class Flight(Protocol[E_contra, R_co]):
    """Items that share tensor steps, in rows from 0 by when they were added."""

    def __len__(self) -> int: ...

    def add(self, entry: E_contra) -> None:
        """As the last row. An error leaves everything as it was."""

    def step(self) -> Stepped:
        """One step of all rows. An error leaves everything as it was."""

    def done(self) -> list[int]:
        """Rows that need no further step."""

    def finish(self, row: int) -> R_co:
        """The result of a row, which stays where it is."""

    def state(self, row: int) -> State | None:
        """What `prepare` needs to go on where a row is; None where that is nothing."""

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all others; those kept are in this order from now on."""


class Work(Protocol[T_contra, E, R]):
    """One kind of operation with its settings, for any number of items."""

    def prepare(self, task: T_contra, state: State | None) -> E | Ready[R]:
        """Make one item ready for its steps, from the start or from a state of it.

        Raises what is wrong with that item.
        """

    def flight(self) -> Flight[E, R]:
        """An empty one."""


AnyWork = Work[Any, Any, Any]
