"""A step of a descent down losses in hand."""

from collections.abc import Sequence

import torch

from gpu_ops.descent import Descent, Slope


def descend(descent: Descent, losses: torch.Tensor, lr: float | Sequence[float]) -> None:
    """losses [N], of the descent's value."""
    (slope,) = torch.autograd.grad(losses.sum(), descent.value)
    descent.descend(Slope({"total": losses.detach()}, slope, descent.value.detach()), lr)
