"""Edits of many pictures: gpu_ops/edit.py, the items in and out one by one."""

from dataclasses import dataclass
from functools import partial

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent
from gpu_ops.edit import EditResult, edited, free_layers
from gpu_ops.edit_objective import EditObjective, objective_of, refuse_unchanged
from gpu_ops.many.descending import Descending, Entry
from gpu_ops.patience import Patience
from gpu_ops.picture import Picture
from gpu_ops.presets import EditWeights, weigh
from gpu_ops.progress import State


@dataclass(frozen=True)
class EditTask:
    """w_plus [1, L, D] float32, the code to edit; target_mask uint8 [R, R]; q_edit: part ids it is about."""

    w_plus: torch.Tensor
    target_mask: Picture
    q_edit: tuple[int, ...]


@dataclass(frozen=True)
class Editing:
    """A Work: EditTasks to EditResults of N = 1; settings as of `edit`, weights as `weigh` gives them.

    Raises ShapeError for layers that the code has not.
    """

    bundle: Bundle
    steps: int = 100
    lr: float = 0.02
    weights: EditWeights | None = None
    layers: tuple[int, int] | None = None
    buffer_px: int | None = None

    def __post_init__(self) -> None:
        if self.layers is not None:
            free_layers(torch.zeros(1, self.bundle.generator.num_ws, 1), self.layers)

    def prepare(self, task: EditTask, state: State | None) -> Entry[EditResult]:
        w_plus = task.w_plus.to(self.bundle.device)
        weights = self.weights or weigh(self.bundle)
        objective = objective_of(
            self.bundle, w_plus, task.target_mask[None], task.q_edit, weights, self.buffer_px
        )
        refuse_unchanged(objective)
        start = torch.zeros_like(w_plus)
        descent = Descent(start, None if self.layers is None else free_layers(start, self.layers))
        if state is not None:
            descent.restore(state)
        finish = partial(_finish, q_edit=task.q_edit)
        return Entry(objective, descent, Patience(0, 1), self.steps, lambda _: self.lr, finish)

    def flight(self) -> Descending[EditResult]:
        return Descending()


def _finish(objective: EditObjective, descent: Descent, q_edit: tuple[int, ...]) -> EditResult:
    return edited(objective, descent, q_edit)
