"""The mapping network: z -> w."""

import math

import torch
import torch.nn.functional as F
from torch import nn

LEAK = 0.2
GAIN = math.sqrt(2)
"""Gain of the leaky ReLU, so that activations keep their variance."""


class FullyConnected(nn.Module):
    """A dense layer whose weights are scaled when used, so that Adam gives all layers the same pace.

    The stored weight is normal with deviation 1 / lr_multiplier.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        activate: bool = False,
        lr_multiplier: float = 1.0,
        initial_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), initial_bias / lr_multiplier))
        self.activate = activate
        self.weight_gain = lr_multiplier / math.sqrt(inputs)
        self.bias_gain = lr_multiplier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [N, inputs] to [N, outputs]."""
        gain = GAIN if self.activate else 1.0  # leaky ReLU commutes with a positive factor
        y = F.linear(x, self.weight * (self.weight_gain * gain), self.bias * (self.bias_gain * gain))
        return F.leaky_relu(y, LEAK) if self.activate else y


class Mapping(nn.Module):
    """z [N, Z] -> w [N, D]; w_avg [D] is the running mean of w, for truncation."""

    w_avg: torch.Tensor

    def __init__(self, z_dim: int, w_dim: int, num_layers: int, lr_multiplier: float = 0.01) -> None:
        super().__init__()
        self.num_layers = num_layers
        for index in range(num_layers):
            inputs = z_dim if index == 0 else w_dim
            layer = FullyConnected(inputs, w_dim, activate=True, lr_multiplier=lr_multiplier)
            self.add_module(f"fc{index}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [N, Z], normal, to w [N, D], in full precision even under autocast."""
        with torch.autocast(z.device.type, enabled=False):
            x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
            for index in range(self.num_layers):
                x = self.get_submodule(f"fc{index}")(x)
        return x
