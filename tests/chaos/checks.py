"""What a fault tells of a run: checks that hold or not, and figures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from chaos.parts import EMBEDDED, Stack

if TYPE_CHECKING:
    from chaos.world import World


@dataclass(frozen=True)
class Check:
    name: str
    holds: bool
    detail: str = ""


@dataclass(frozen=True)
class Figure:
    name: str
    value: float


Told = Iterator[Check | Figure]


# Faults with equal options share a World. Here the workers reach broker and database by way of proxies.
WIRED: dict[str, Any] = {"through": frozenset({"broker", "database"})}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, what must be true afterwards, and the World that it happens in.

    `run` does it once and judges; it may raise TimeoutError for what never happened. `bar` is the number of
    runs that the long form needs. `quick`: takes seconds. `options` are those of World.
    """

    name: str
    story: str
    promise: str
    run: Callable[["World", Random], Told]
    bar: int
    short: int = 1
    quick: bool = False
    stacks: tuple[Stack, ...] = (EMBEDDED,)
    options: dict[str, Any] | None = None
    needs: Callable[[], str | None] = lambda: None  # why it cannot be done here, if so


def equal(name: str, found: object, wanted: object) -> Check:
    return Check(name, found == wanted, "" if found == wanted else f"{found!r}, not {wanted!r}")


def at_most(name: str, found: float, limit: float) -> Check:
    return Check(name, found <= limit, "" if found <= limit else f"{found:.3f} is over {limit:.3f}")
