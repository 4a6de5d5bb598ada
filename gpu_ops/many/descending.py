"""The flight of all optimisations: objectives and descents stacked, each item with its own end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import torch

from gpu_ops.descent import Descent, Sloping
from gpu_ops.errors import NonFiniteError
from gpu_ops.many.work import Stepped
from gpu_ops.patience import Patience
from gpu_ops.progress import State

R = TypeVar("R")

STEADY = 10
"""Steps with the same items, after which a GPU's work is worth recording: many may still come or go."""


class Objective(Protocol):
    """Losses of N items, with what is constant of them stacked (gpu_ops/stacked.py)."""

    def losses(self, value: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]: ...

    def take(self, rows: Sequence[int]) -> Self: ...

    def join(self, other: Self) -> Self: ...


@dataclass(frozen=True)
class Entry(Generic[R]):
    """One item, prepared.

    objective, descent, patience  of this item alone, N = 1
    steps   how many it takes at most
    rate    the step size of each, counted from 0
    finish  makes the result of objective and descent, N = 1 again
    """

    objective: Objective
    descent: Descent
    patience: Patience
    steps: int
    rate: Callable[[int], float]
    finish: Callable[[Any, Descent], R]


class Descending(Generic[R]):
    """A Flight. Between steps nothing is held but constants and codes: no graph."""

    def __init__(self) -> None:
        self._entries: list[Entry[R]] = []
        self._objective: Any = None
        self._descent: Any = None
        self._sloping: Any = None

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry[R]) -> None:
        objective, descent = entry.objective, entry.descent.take([0])
        if self._entries:
            objective, descent = self._objective.join(objective), self._descent.join(descent)
        self._take(objective, descent, [*self._entries, entry])

    def step(self) -> Stepped:
        at = self._sloping.at(self._descent.value)
        rates = [entry.rate(step) for entry, step in zip(self._entries, self._steps(), strict=True)]
        try:
            self._descent.descend(at, rates)
        except NonFiniteError as error:
            return Stepped(failed={row: _diverged(self._steps()[row] + 1) for row in error.items})
        best_loss = self._descent.best_loss.cpu()
        for row, (entry, step) in enumerate(zip(self._entries, self._steps(), strict=True)):
            entry.patience.note(best_loss[row : row + 1], step)
        return Stepped(at.means())

    def done(self) -> list[int]:
        return [
            row
            for row, (entry, step) in enumerate(zip(self._entries, self._steps(), strict=True))
            if step >= entry.steps or entry.patience.over(step)
        ]

    def finish(self, row: int) -> R:
        return self._entries[row].finish(self._objective.take([row]), self._descent.take([row]))

    def state(self, row: int) -> State:
        """As the single operation has it: either can go on from the other's."""
        state: State = self._descent.take([row]).state()
        return state | self._entries[row].patience.state()

    def keep(self, rows: Sequence[int]) -> None:
        entries = [self._entries[row] for row in rows]
        if entries:
            objective, descent = self._objective.take(rows), self._descent.take(rows)
        else:
            objective = descent = None
        self._take(objective, descent, entries)

    def _take(self, objective: Any, descent: Any, entries: list[Entry[R]]) -> None:
        self._objective, self._descent, self._entries = objective, descent, entries
        self._sloping = Sloping(objective, descent.value.device, STEADY) if entries else None

    def _steps(self) -> list[int]:
        """How many each item has taken."""
        steps: list[int] = self._descent.steps.tolist() if self._entries else []
        return steps


def _diverged(step: int) -> NonFiniteError:
    return NonFiniteError(f"the loss is no longer finite at step {step}")
