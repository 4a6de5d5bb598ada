"""Vectors applied to many pictures: drawn in one forward pass, or optimised as gpu_ops/apply.py does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from gpu_ops.apply import Applied, Outlook, Plan, aim_of, look_ahead, optimised, settle
from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent
from gpu_ops.edit_objective import EditObjective, check_codes
from gpu_ops.errors import ShapeError
from gpu_ops.many.descending import Descending, Entry
from gpu_ops.many.work import Ready, Stepped
from gpu_ops.patience import Patience
from gpu_ops.progress import State
from gpu_ops.refine import View, look


@dataclass(frozen=True)
class ApplyTask:
    """As of `apply`: w_plus [1, L, D]; delta_w [L, D], None where all strengths are 0; q_edit, part ids."""

    w_plus: torch.Tensor
    delta_w: torch.Tensor | None
    q_edit: tuple[int, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """A Work: ApplyTasks to Views of N = 1, by one forward pass for `width` of them.

    What is drawn differs from a pass of its own in the last bits of float32: by one grey level at most.
    """

    bundle: Bundle

    def prepare(self, task: ApplyTask, state: State | None) -> torch.Tensor:  # noqa: ARG002
        w_plus, delta_w = _placed(self.bundle, task)
        return w_plus if delta_w is None else w_plus + delta_w

    def flight(self) -> "Canvas":
        return Canvas(self.bundle)


class Canvas:
    """The Flight of codes [1, L, D] that are drawn in one step."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._codes: list[torch.Tensor] = []
        self._views: list[View | None] = []

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, entry: torch.Tensor) -> None:
        self._codes.append(entry)
        self._views.append(None)

    def step(self) -> Stepped:
        view = look(self._bundle, torch.cat(self._codes))
        self._views = [
            View(view.pictures[row : row + 1], view.masks[row : row + 1]) for row in range(len(self))
        ]
        return Stepped()

    def done(self) -> list[int]:
        return [row for row, view in enumerate(self._views) if view is not None]

    def finish(self, row: int) -> View:
        view = self._views[row]
        assert view is not None, "rows that are done have been drawn"
        return view

    def state(self, row: int) -> None:  # noqa: ARG002
        return None

    def keep(self, rows: Sequence[int]) -> None:
        self._codes = [self._codes[row] for row in rows]
        self._views = [self._views[row] for row in rows]


@dataclass(frozen=True)
class Applying:
    """A Work: ApplyTasks to Applieds, as `apply` makes them: refined, optimised, or what `auto` finds best.

    What needs no optimisation is ready at once.
    """

    bundle: Bundle
    plan: Plan = field(default_factory=lambda: Plan(mode="refinement"))

    def prepare(self, task: ApplyTask, state: State | None) -> Entry[Applied] | Ready[Applied]:
        w_plus, delta_w = _placed(self.bundle, task)
        outlook = look_ahead(self.bundle, w_plus, delta_w, task.q_edit, self.plan)
        if outlook.way == "vector":
            return Ready(settle(self.bundle, w_plus, outlook, None))
        aim = aim_of(self.bundle, w_plus, outlook, self.plan)
        descent = Descent(aim.start)
        if state is not None:
            descent.restore(state)
        finish = partial(_finish, w_plus=w_plus, outlook=outlook)
        return Entry(aim.objective, descent, Patience(0, 1), aim.steps, lambda _: self.plan.lr, finish)

    def flight(self) -> Descending[Applied]:
        return Descending()


def _placed(bundle: Bundle, task: ApplyTask) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Code and vector on the bundle's device. Raises ShapeError."""
    check_codes(bundle, task.w_plus)
    if task.delta_w is not None and task.delta_w.shape != task.w_plus.shape[1:]:
        raise ShapeError(f"delta_w is {list(task.delta_w.shape)}, codes are {list(task.w_plus.shape[1:])}")
    w_plus = task.w_plus.to(bundle.device)
    return w_plus, None if task.delta_w is None else task.delta_w.to(w_plus)


def _finish(objective: EditObjective, descent: Descent, w_plus: torch.Tensor, outlook: Outlook) -> Applied:
    found = optimised(objective.bundle, w_plus, outlook, descent)
    return settle(objective.bundle, w_plus, outlook, found)
