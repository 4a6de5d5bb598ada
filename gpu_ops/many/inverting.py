"""Inversions of many pictures: gpu_ops/invert.py, the items in and out one by one."""

from dataclasses import dataclass
from functools import partial

from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent
from gpu_ops.invert import InvertObjective, InvertResult, Start, inverted, learning_rate, start_of
from gpu_ops.many.descending import Descending, Entry
from gpu_ops.patience import Patience
from gpu_ops.picture import Picture
from gpu_ops.progress import State


@dataclass(frozen=True)
class Inverting:
    """A Work: pictures uint8 [R, R, 3] to InvertResults of N = 1; settings as of `invert`.

    The rate ramps up and down by an item's own steps, and its patience is its own. Raises
    IncompleteModelError where an encoder is asked for that the model lacks.
    """

    bundle: Bundle
    steps: int = 500
    lr: float = 0.1
    start: Start | None = None
    patience: int = 0
    lambda_prior: float = 0.0

    def __post_init__(self) -> None:
        start_of(self.bundle, self.start)

    def prepare(self, picture: Picture, state: State | None) -> Entry[InvertResult]:
        start = start_of(self.bundle, self.start)
        objective = InvertObjective(self.bundle, picture[None], self.lambda_prior)
        descent, patience = Descent(objective.first_code(start)), Patience(self.patience, 1)
        if state is not None:
            descent.restore(state)
            patience.restore(state)
        rate = partial(learning_rate, steps=self.steps, lr=self.lr)
        finish = partial(_finish, picture=picture, start=start)
        return Entry(objective, descent, patience, self.steps, rate, finish)

    def flight(self) -> Descending[InvertResult]:
        return Descending()


def _finish(objective: InvertObjective, descent: Descent, picture: Picture, start: Start) -> InvertResult:
    return inverted(objective, descent, picture[None], start, complete=True)
