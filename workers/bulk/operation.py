"""The border between the loop of a chunk and what is done to its items."""

import contextlib
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

from gpu_ops.many.events import Failed, Finished, Tick
from gpu_ops.many.loop import many
from gpu_ops.many.width import best_width
from gpu_ops.many.work import AnyWork
from gpu_ops.picture import Picture
from workers.bulk.pieces import Fault, Piece
from workers.retry import named

Files = Mapping[str, bytes]
MEASURED_WITHIN_S = 3.0


@dataclass(frozen=True)
class Made:
    """A result to be kept under its digest. `encode` gives its files, and is called by another thread.

    index  of the item that it is the result of; None where it only serves one
    needs  digests of results that it builds on
    """

    index: int | None
    digest: str
    encode: Callable[[], Files]
    figures: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stepped:
    """A tensor step was taken; its losses."""

    losses: Mapping[str, float] = field(default_factory=dict)


Event = Made | Fault | Stepped
Events = Generator[Event, None, None]


class Operation(Protocol):
    """What is done to the items of a chunk."""

    def digest_of(self, item: Mapping[str, Any], picture: Picture | None) -> str:
        """What an item's result is found by. Called by several threads."""

    def known(self, picture: Picture) -> Any:
        """What of the work is done already; `run` finds it in the piece. Called by several threads."""

    def run(self, pieces: Iterator[Piece]) -> Events:
        """Do them, as many at once as suits; one Made or Fault for each. Takes a piece when it needs one."""


@dataclass
class Widths:
    """How many items share a tensor step, measured once in a process for each kind of work."""

    measured: dict[Hashable, int] = field(default_factory=dict)

    def for_work(self, name: Hashable, work: AnyWork, task: Any, most: int) -> int:
        if name not in self.measured:
            found = best_width(work, task, most=most, within_s=MEASURED_WITHIN_S)
            self.measured[name] = found.width
        return min(self.measured[name], most)


WIDTHS = Widths()


def run_many(
    name: Hashable, work: AnyWork, items: Iterable[tuple[Any, Any]], most: int
) -> Generator[tuple[Any, Any] | Stepped, None, None]:
    """`many`, as wide as suits this kind of work (`name`) on this device.

    Yields (key, result or error) of each item, and Stepped after each tensor step.
    """
    source = iter(items)
    tried: list[tuple[Any, Any]] = []
    width = 1
    for item in source:
        tried.append(item)
        with contextlib.suppress(ValueError):  # the item's own fault, of which `many` tells
            width = WIDTHS.for_work(name, work, item[1], most)
            break
    for event in many(work, chain(tried, source), width=width):
        match event:
            case Finished(key=key, result=result):
                yield key, result
            case Failed(key=key, error=error):
                yield key, error
            case Tick(losses=losses):
                yield Stepped(losses)


def fault_of(index: int, error: Exception) -> Fault:
    return Fault(index, named(error))
