"""A Work small enough to know all of its numbers: each item descends into a bowl of its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from downhill import descend

from gpu_ops.descent import Descent
from gpu_ops.errors import ShapeError
from gpu_ops.many.descending import Descending, Entry
from gpu_ops.many.work import Ready, Stepped
from gpu_ops.patience import Patience
from gpu_ops.progress import State
from gpu_ops.stacked import Stacked

Raises = Callable[[], None]


def nothing() -> None:
    pass


@dataclass(frozen=True)
class Bowl:
    """target [1, L, D], the deepest point; steps to take; blows_up_at: after which the loss is not finite.

    preparing, stepping, finishing  called then; they may raise
    """

    target: torch.Tensor
    steps: int = 5
    blows_up_at: int = 1000
    patience: int = 0
    preparing: Raises = nothing
    stepping: Raises = nothing
    finishing: Raises = nothing

    def rate(self, step: int) -> float:
        return 0.1 * (step + 1) / self.steps


class Depth(Stacked):
    STACKED = ("target", "left")

    def __init__(self, bowl: Bowl) -> None:
        self.target = bowl.target
        self.left = torch.tensor([bowl.blows_up_at])

    def losses(self, value: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        self.left = self.left - 1
        away = value - self.target
        depth = (away.square() + 0.3 * (5 * away).cos()).mean(dim=(1, 2))  # [N]
        total = torch.where(self.left < 0, torch.nan, depth)
        return {"total": total, "depth": depth}, value


def alone(bowl: Bowl) -> State:
    """What becomes of a bowl by itself."""
    depth, descent = Depth(bowl), Descent(torch.zeros_like(bowl.target))
    while descent.step < bowl.steps:
        descend(descent, depth.losses(descent.value)[0]["total"], bowl.rate(descent.step))
    return descent.state()


class Bowls(Descending[State]):
    """A flight of them, with the faults of its work."""

    def __init__(self, work: "BowlWork") -> None:
        super().__init__()
        self._work = work

    def step(self) -> Stepped:
        work = self._work
        if len(self) > work.fits:
            work.exhaust()
        work.stepped.append(len(self))
        time.sleep(work.step_s(len(self)))
        for bowl in self.bowls:
            bowl.stepping()
        return super().step()

    @property
    def bowls(self) -> Sequence[Bowl]:
        return [entry.finish.keywords["bowl"] for entry in self._entries]  # type: ignore[attr-defined]


def exhausted() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")


@dataclass
class BowlWork:
    """fits: how many do; for more `exhaust` is called. step_s: how long a step of so many rows takes.

    stepped  how many rows each step had
    """

    fits: int = 1000
    exhaust: Raises = exhausted
    step_s: Callable[[int], float] = lambda rows: 0.0
    stepped: list[int] = field(default_factory=list)

    def prepare(self, bowl: Bowl, state: State | None) -> Entry[State] | Ready[State]:
        bowl.preparing()
        if bowl.target.dim() != 3:
            raise ShapeError(f"a bowl of {bowl.target.dim()} axes")
        if bowl.steps == 0:
            return Ready({})
        descent = Descent(torch.zeros_like(bowl.target))
        if state is not None:
            descent.restore(state)
        finish = partial(_finish, bowl=bowl)
        return Entry(Depth(bowl), descent, Patience(bowl.patience, 1), bowl.steps, bowl.rate, finish)

    def flight(self) -> Bowls:
        return Bowls(self)


def _finish(objective: Depth, descent: Descent, bowl: Bowl) -> State:
    bowl.finishing()
    assert torch.equal(objective.target, bowl.target), "the constants of another item"
    return descent.state()
