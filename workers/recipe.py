"""What binds a kind of job to its work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from workers.attempt import Attempt, Saved

if TYPE_CHECKING:
    from gpu_ops.progress import State, Steps

L = TypeVar("L")
R = TypeVar("R")


@dataclass(frozen=True)
class Recipe(Generic[L, R]):
    """load reads the inputs; operate yields after every step and returns the result; save keeps it. What is
    known for sure before the end may be put by then: it is written while the rest is worked out.

    `operate` gets what an earlier attempt's checkpoint held, or None. Sent True, it ends early. `together`
    sees what several jobs that were claimed at once have loaded, before each of them operates, and may do
    for all of them what they share; where it fails, or there is none, each does it for itself.
    """

    load: Callable[[Attempt], L]
    operate: "Callable[[L, State | None], Steps[R]]"
    save: Callable[[Attempt, L, R], Saved]
    together: Callable[[Sequence[L]], None] | None = None


AnyRecipe = Recipe[Any, Any]
