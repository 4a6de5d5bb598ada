"""Modulated convolutions, in the form that shares one weight between all items of a batch.

Scaling the weights' inputs by a style equals scaling the activations before an ordinary convolution, and
demodulating the weights' outputs equals scaling the activations after it. So one convolution serves the
whole batch, where the grouped form would copy the weights for each item.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.stylegan2.frozen import Frozen
from gpu_ops.stylegan2.mapping import GAIN, LEAK, FullyConnected
from gpu_ops.stylegan2.resample import resample_filter, smooth


def energy_of(weight: torch.Tensor) -> torch.Tensor:
    """The squares of weight [O, I, k, k], summed over the taps: [O, I]."""
    return weight.square().sum(dim=(2, 3))


def demodulation(energy: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """Return the factors [N, O] that give each output channel of each item unit variance.

    energy [O, I], style [N, I]. The sum over (I, k, k) of (weight * style)^2 is a matrix product.
    """
    return torch.rsqrt(F.linear(style.square(), energy) + 1e-8)


class StyledConvolution(nn.Module):
    """3 x 3 modulated convolution, demodulation, noise, bias, leaky ReLU; with up, also resizes by two."""

    noise_const: torch.Tensor
    resample_filter: torch.Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        *,
        up: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.resolution = resolution  # of the output
        self.up = up
        self.clamp = clamp
        self.affine = FullyConnected(w_dim, inputs, initial_bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", resample_filter())
        self._ready = Frozen()

    def forward(
        self, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Convolve x under the style of w.

        x [N, I, r, r] of any float dtype; w [N, D]; noise [N or 1, 1, R, R] or None; dtype is the one to
        convolve in. Returns [N, O, R, R] of dtype, R = 2r with up and r without.
        """
        style: torch.Tensor = self.affine(w)  # [N, I]
        weight, energy = self._ready.of(self.weight, dtype, self._prepared)
        if dtype == torch.float16:
            style = style / style.abs().amax(dim=1, keepdim=True)  # demodulation undoes the factor
        # leaky ReLU commutes with a positive factor: its gain goes into the scale and the shift
        scale = demodulation(energy, style) * GAIN  # [N, O]
        x = x.to(dtype) * style.to(dtype)[:, :, None, None]
        x = self._convolve(x, weight)  # [N, O, R, R]
        bias = (self.bias * GAIN).to(dtype)[None, :, None, None]
        x = torch.addcmul(bias, x, scale.to(dtype)[:, :, None, None])
        if noise is not None:
            x = x + (noise * (self.noise_strength * GAIN)).to(dtype)
        x = F.leaky_relu(x, LEAK)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _prepared(self, weight: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """The weight as it is convolved with, [O, I, 3, 3] or with up [I, O, 3, 3], and its energy."""
        if dtype == torch.float16:
            # demodulation undoes both factors; without them float16 overflows
            weight = weight / weight.abs().amax(dim=(1, 2, 3), keepdim=True)
            weight = weight / math.sqrt(weight[0].numel())
        shaped = weight.transpose(0, 1) if self.up else weight
        return shaped.to(dtype).contiguous(memory_format=torch.channels_last), energy_of(weight)

    def _convolve(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if not self.up:
            return F.conv2d(x, weight, padding=1)
        x = F.conv_transpose2d(x, weight, stride=2)  # [N, O, 2r + 1, 2r + 1]
        return smooth(x, self.resample_filter, padding=1, gain=4.0)


class ToRGB(nn.Module):
    """1 x 1 modulated convolution without demodulation or activation: features -> colour."""

    def __init__(self, inputs: int, w_dim: int, *, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = FullyConnected(w_dim, inputs, initial_bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.style_gain = 1 / math.sqrt(inputs)

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Map x [N, C, R, R] under w [N, D] to colour [N, 3, R, R], in w's dtype."""
        style = self.affine(w) * self.style_gain  # [N, C]
        x = x * style.to(x.dtype)[:, :, None, None]
        y = F.conv2d(x, self.weight.to(x.dtype)).to(w.dtype)
        y = y + self.bias[None, :, None, None]
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)
