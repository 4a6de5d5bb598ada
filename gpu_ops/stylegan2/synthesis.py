"""The synthesis network: w_plus -> picture, with skip connections to RGB."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from gpu_ops.stylegan2.modulated_conv import StyledConvolution, ToRGB
from gpu_ops.stylegan2.precision import block_dtype, low_precision_dtype
from gpu_ops.stylegan2.resample import upsample

NoiseMode = Literal["const", "none", "random"]


@dataclass(frozen=True)
class SynthesisOutput:
    """What one synthesis gives.

    picture   [N, 3, H, W] float32, about [-1, 1], not clamped
    features  the learned constant, expanded to N, then the output of each styled convolution in order,
              each [N, C, r, r]; in low precision under autocast
    """

    picture: torch.Tensor
    features: list[torch.Tensor]


ChannelMax = int | tuple[int, ...]
"""The cap on channels: one for all resolutions, or one for each from 4 x 4 up."""


def channels_at(resolution: int, channel_base: int, channel_max: ChannelMax) -> int:
    """Return the number of feature channels at a resolution."""
    if isinstance(channel_max, tuple):
        channel_max = channel_max[resolution.bit_length() - 3]
    return min(channel_base // resolution, channel_max)


class SynthesisBlock(nn.Module):
    """All layers of one resolution. The first block, 4 x 4, starts from a learned constant."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, resolution: int, clamp: float | None) -> None:
        super().__init__()
        self.resolution = resolution
        if resolution == 4:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = StyledConvolution(inputs, outputs, w_dim, resolution, up=True, clamp=clamp)
        self.conv1 = StyledConvolution(outputs, outputs, w_dim, resolution, up=False, clamp=clamp)
        self.torgb = ToRGB(outputs, w_dim, clamp=clamp)

    @property
    def convolutions(self) -> list[StyledConvolution]:
        """The styled convolutions in order: two, but one in the first block."""
        return [self.conv1] if self.resolution == 4 else [self.conv0, self.conv1]


class Synthesis(nn.Module):
    """Blocks b4, b8 ... b{resolution}."""

    def __init__(
        self,
        resolution: int,
        w_dim: int,
        channel_base: int,
        channel_max: ChannelMax,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        assert resolution >= 4, "the first block is 4 x 4"
        assert resolution & (resolution - 1) == 0, "a power of two"
        self.resolution = resolution
        inputs = 0
        size = 4
        while size <= resolution:
            outputs = channels_at(size, channel_base, channel_max)
            block = SynthesisBlock(inputs, outputs, w_dim, size, conv_clamp)
            self.add_module(f"b{size}", block)
            inputs, size = outputs, size * 2
        self.num_ws = 2 * (resolution.bit_length() - 1) - 2

    def forward(
        self,
        w_plus: torch.Tensor,
        noise: NoiseMode = "const",
        rng: torch.Generator | None = None,
    ) -> SynthesisOutput:
        """Draw the pictures of w_plus [N, L, D]; rng feeds noise="random" and is on w_plus's device."""
        low, full = low_precision_dtype(w_plus), w_plus.dtype
        with torch.autocast(w_plus.device.type, enabled=False):
            # channels_last, or depthwise and low-precision convolutions are several times slower
            x = self.get_parameter("b4.const").expand(len(w_plus), -1, -1, -1)
            x = x.contiguous(memory_format=torch.channels_last)
            features, picture, index = [x], None, 0
            for block in self._blocks():
                dtype = block_dtype(block.resolution, self.resolution, low, full)
                for layer in block.convolutions:
                    plane = layer_noise(layer, w_plus, noise, rng)
                    x = layer(x, w_plus[:, index], plane, dtype)  # [N, C, r, r]
                    features.append(x)
                    index += 1
                # ToRGB takes the w of the convolution that comes next, and so advances nothing
                colour = block.torgb(x, w_plus[:, index])  # [N, 3, r, r]
                if picture is not None:
                    colour = colour + upsample(picture, block.conv0.resample_filter)
                picture = colour
        assert picture is not None
        return SynthesisOutput(picture, features)

    def _blocks(self) -> list[SynthesisBlock]:
        return [block for block in self.children() if isinstance(block, SynthesisBlock)]


def layer_noise(
    layer: StyledConvolution, w_plus: torch.Tensor, mode: NoiseMode, rng: torch.Generator | None
) -> torch.Tensor | None:
    """Return the noise of one layer: [1, 1, R, R], or [N, 1, R, R] when random; None for "none"."""
    if mode == "none":
        return None
    if mode == "const":
        return layer.noise_const[None, None]
    shape = (len(w_plus), 1, layer.resolution, layer.resolution)
    return torch.randn(shape, generator=rng, device=w_plus.device, dtype=w_plus.dtype)
