"""Adam on N independent codes at once, which can stop at any step and go on from there to the same bits."""

import torch

from gpu_ops.errors import NonFiniteError, ShapeError
from gpu_ops.progress import State


class Descent:
    """Minimises one loss per item and keeps each item's best value.

    value  [N, L, D] float32, what is optimised; its items never influence each other
    """

    def __init__(self, start: torch.Tensor) -> None:
        self.value = start.detach().clone().requires_grad_(True)
        self.optimiser = torch.optim.Adam([self.value], lr=1.0, betas=(0.9, 0.999), eps=1e-8)
        self.step = 0
        self.best = start.detach().clone()
        self.best_loss = torch.full((start.shape[0],), torch.inf, device=start.device)
        self.first_loss = self.best_loss.clone()

    def descend(self, losses: torch.Tensor, lr: float) -> None:
        """Take one Adam step down losses [N], remembering the values they were computed at."""
        if not bool(torch.isfinite(losses).all()):
            raise NonFiniteError(f"the loss is no longer finite at step {self.step + 1}")
        self._remember(losses.detach())
        self.optimiser.param_groups[0]["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        self.optimiser.step()
        self.step += 1

    def _remember(self, losses: torch.Tensor) -> None:
        if self.step == 0:
            self.first_loss = losses.clone()
        better = losses < self.best_loss  # [N]
        self.best_loss = torch.where(better, losses, self.best_loss)
        self.best = torch.where(better[:, None, None], self.value.detach(), self.best)

    def state(self) -> State:
        """Copies of all that `restore` needs."""
        moments = self.optimiser.state.get(self.value, {})
        zeros = torch.zeros_like(self.value)
        state = {
            "value": self.value.detach(),
            "exp_avg": moments.get("exp_avg", zeros),
            "exp_avg_sq": moments.get("exp_avg_sq", zeros),
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
        with torch.no_grad():
            self.value.copy_(state["value"])
        copies = {name: tensor.to(self.value.device, copy=True) for name, tensor in state.items()}
        self.best, self.best_loss, self.first_loss = (
            copies[name] for name in ("best", "best_loss", "first_loss")
        )
        self.step = int(state["step"])
        if self.step:
            self.optimiser.state[self.value] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": copies["exp_avg"],
                "exp_avg_sq": copies["exp_avg_sq"],
            }
