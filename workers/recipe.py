"""What binds a kind of job to its work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from workers.attempt import Attempt, Saved

if TYPE_CHECKING:
    from gpu_ops.progress import State, Steps

L = TypeVar("L")
R = TypeVar("R")


@dataclass(frozen=True)
class Recipe(Generic[L, R]):
    """load reads the inputs; operate yields after every step and returns the result; save keeps it.

    `operate` gets what an earlier attempt's checkpoint held, or None. Sent True, it ends early.
    """

    load: Callable[[Attempt], L]
    operate: "Callable[[L, State | None], Steps[R]]"
    save: Callable[[Attempt, L, R], Saved]


AnyRecipe = Recipe[Any, Any]
