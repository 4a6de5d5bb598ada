"""Adam on N independent codes at once, which can stop at any step and go on from there to the same bits.

Each item has its own count of steps: items can join a descent, and leave it, at any time (gpu_ops/many).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from gpu_ops.errors import NonFiniteError, ShapeError
from gpu_ops.progress import State
from gpu_ops.recorded import Recorded, Tensors
from gpu_ops.stacked import Stacked

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class Losing(Protocol):
    """What has losses at a value."""

    def losses(self, value: torch.Tensor, /) -> tuple[dict[str, torch.Tensor], torch.Tensor]: ...


@dataclass(frozen=True)
class Slope:
    """At a value [N, L, D], all detached: losses [N] by name, the slope of their "total", the picture."""

    losses: Tensors
    slope: torch.Tensor
    drawn: torch.Tensor

    def means(self) -> dict[str, float]:
        """Each loss, averaged over the items: one wait for the device."""
        means = torch.stack([losses.mean() for losses in self.losses.values()]).tolist()
        return dict(zip(self.losses, means, strict=True))


class Sloping:
    """An objective as something to descend: on a GPU, recorded from the third value on (gpu_ops/recorded.py).

    after  or from a later one: recording costs as much as several steps do
    """

    def __init__(self, objective: Losing, device: torch.device, after: int = 2) -> None:
        self._objective = objective
        self._work = Recorded(self._at, device, after=after)

    def at(self, value: torch.Tensor) -> Slope:
        """value [N, L, D], which requires a gradient; of the same shape at each call."""
        losses = self._work(value)
        return Slope(slope=losses.pop("slope"), drawn=losses.pop("drawn"), losses=losses)

    def _at(self, value: torch.Tensor) -> Tensors:
        losses, drawn = self._objective.losses(value)
        (slope,) = torch.autograd.grad(losses["total"].sum(), value)
        each = {name: loss.detach() for name, loss in losses.items()}
        return {**each, "slope": slope, "drawn": drawn.detach()}


class Descent(Stacked):
    """Minimises one loss per item and keeps each item's best value.

    value  [N, L, D] float32, what is optimised; its items never influence each other
    steps  int64 [N], how many each item has taken
    free   what of value may change, 1 or 0, of a shape that fits [N, L, D]; None: all
    """

    STACKED = ("value", "free", "exp_avg", "exp_avg_sq", "best", "best_loss", "first_loss", "steps")

    def __init__(self, start: torch.Tensor, free: torch.Tensor | None = None) -> None:
        self.value = start.detach().clone().requires_grad_(True)
        self.free = free
        self.exp_avg = torch.zeros_like(self.value, requires_grad=False)
        self.exp_avg_sq = torch.zeros_like(self.value, requires_grad=False)
        self.best = start.detach().clone()
        self.best_loss = torch.full((start.shape[0],), torch.inf, device=start.device)
        self.first_loss = self.best_loss.clone()
        self.steps = torch.zeros(start.shape[0], dtype=torch.int64)

    @property
    def step(self) -> int:
        """How many steps all of the items have taken, which began together."""
        first = int(self.steps[0])
        assert bool((self.steps == first).all()), "the items are at different steps"
        return first

    def descend(self, at: Slope, lr: float | Sequence[float]) -> None:
        """Take one Adam step down the slope at the value, which is remembered with its total loss.

        lr  of all items, or of each. An error leaves everything as it was. Raises NonFiniteError, which
        names the items whose losses are not finite.
        """
        losses = at.losses["total"]  # [N]
        finite = torch.isfinite(losses)
        if not bool(finite.all()):
            bad = (~finite).nonzero()[:, 0].tolist()
            raise NonFiniteError(
                f"the loss is no longer finite at step {int(self.steps[bad[0]]) + 1}", items=bad
            )
        with torch.no_grad():
            self._step(losses, at.slope, [lr] * len(losses) if isinstance(lr, float | int) else lr)

    def _step(self, losses: torch.Tensor, slope: torch.Tensor, lr: Sequence[float]) -> None:
        if self.free is not None:
            slope = slope * self.free
        exp_avg = self.exp_avg.lerp(slope, 1 - BETA1)
        exp_avg_sq = (self.exp_avg_sq * BETA2).addcmul_(slope, slope, value=1 - BETA2)
        steps = self.steps + 1
        counts = steps.tolist()
        pace = self._each([-rate / (1 - BETA1**count) for rate, count in zip(lr, counts, strict=True)])
        spread = self._each([math.sqrt(1 - BETA2**count) for count in counts])
        value = self.value + pace * exp_avg / (exp_avg_sq.sqrt() / spread).add_(EPS)
        better = losses < self.best_loss  # [N]
        best = torch.where(better[:, None, None], self.value, self.best)
        fresh = (self.steps == 0).to(losses.device)
        self.first_loss = torch.where(fresh, losses, self.first_loss)
        self.best_loss, self.best = torch.where(better, losses, self.best_loss), best
        self.value, self.exp_avg, self.exp_avg_sq = value.requires_grad_(True), exp_avg, exp_avg_sq
        self.steps = steps

    def _each(self, numbers: list[float]) -> torch.Tensor:
        """A number for each item: [N, 1, 1]"""
        return torch.tensor(numbers, dtype=self.value.dtype, device=self.value.device)[:, None, None]

    def _restacked(self) -> None:
        self.value = self.value.requires_grad_(True)

    def state(self) -> State:
        """Copies of all that `restore` needs."""
        state = {
            "value": self.value,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
            "best": self.best,
            "best_loss": self.best_loss,
            "first_loss": self.first_loss,
            "step": torch.tensor(self.step),
        }
        return {name: tensor.detach().clone().cpu() for name, tensor in state.items()}

    def restore(self, state: State) -> None:
        """Go on from a state of the same shape, which stays as it is. Raises ShapeError."""
        if state["value"].shape != self.value.shape:
            raise ShapeError(f"checkpoint of shape {list(state['value'].shape)} for {list(self.value.shape)}")
        copies = {name: tensor.to(self.value.device, copy=True) for name, tensor in state.items()}
        self.value = copies["value"].to(self.value.dtype).requires_grad_(True)
        self.exp_avg, self.exp_avg_sq = copies["exp_avg"], copies["exp_avg_sq"]
        self.best, self.best_loss, self.first_loss = (
            copies[name] for name in ("best", "best_loss", "first_loss")
        )
        self.steps = torch.full_like(self.steps, int(state["step"]))
