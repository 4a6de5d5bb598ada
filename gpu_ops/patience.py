"""When to end an optimisation whose loss no longer improves."""

import torch

from gpu_ops.progress import State

NOTABLE = 0.01


class Patience:
    """Over once, for `steps` steps, no item's best loss fell by 1 % of what it was at its last such fall.

    steps 0: never over. What it remembers is part of a checkpoint, so that a restart ends at the same step.
    """

    def __init__(self, steps: int, items: int) -> None:
        self._steps = steps
        self._mark = torch.full((items,), torch.inf)  # [N], best loss at the last notable fall
        self._since = 0  # the step of it

    def note(self, best_loss: torch.Tensor, step: int) -> None:
        """best_loss [N] after so many steps."""
        best = best_loss.detach().to("cpu", self._mark.dtype)
        fell = best < (1 - NOTABLE) * self._mark
        if bool(fell.any()):
            self._mark = torch.where(fell, best, self._mark)
            self._since = step

    def over(self, step: int) -> bool:
        return self._steps > 0 and step - self._since >= self._steps

    def state(self) -> State:
        return {"patience_mark": self._mark.clone(), "patience_since": torch.tensor(self._since)}

    def restore(self, state: State) -> None:
        if "patience_mark" in state:  # not in checkpoints of before there was patience
            self._mark, self._since = state["patience_mark"].clone(), int(state["patience_since"])
