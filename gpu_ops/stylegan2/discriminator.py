"""The residual discriminator of StyleGAN2."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.stylegan2.mapping import GAIN, LEAK, FullyConnected
from gpu_ops.stylegan2.precision import block_dtype, low_precision_dtype
from gpu_ops.stylegan2.resample import resample_filter, smooth
from gpu_ops.stylegan2.synthesis import ChannelMax, channels_at


class Convolution(nn.Module):
    """Convolution, bias and leaky ReLU, with the weights scaled when used; with down, resizes by half.

    gain multiplies the output. Without activate there is no bias either: the form of the skip.
    """

    resample_filter: torch.Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_px: int,
        *,
        down: bool = False,
        activate: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_px, kernel_px))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.down = down
        self.kernel_px = kernel_px
        # leaky ReLU commutes with a positive factor, so all gains go into the weight and the bias
        assert down or activate, "a convolution without activation is the resizing skip"
        self.gain = gain * (GAIN if activate else 1.0)
        self.weight_gain = self.gain / math.sqrt(inputs * kernel_px**2)
        if down:
            self.register_buffer("resample_filter", resample_filter())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [N, I, H, W] to [N, O, H, W], or [N, O, H/2, W/2] with down, in x's dtype."""
        weight = (self.weight * self.weight_gain).to(x.dtype)
        if self.bias is None:
            # keeping every second pixel is left to the 1 x 1 convolution: a depthwise convolution of
            # stride 2 has a backward pass that measured five times slower on a CPU
            return F.conv2d(smooth(x, self.resample_filter, padding=1), weight, stride=2)
        bias = (self.bias * self.gain).to(x.dtype)
        if self.down:
            x = smooth(x, self.resample_filter, padding=2)  # [N, I, H + 1, W + 1]
            return F.leaky_relu(F.conv2d(x, weight, bias, stride=2), LEAK)
        return F.leaky_relu(F.conv2d(x, weight, bias, padding=self.kernel_px // 2), LEAK)


class DiscriminatorBlock(nn.Module):
    """One resolution: two convolutions beside a skip, each weighted by the root of a half."""

    def __init__(self, inputs: int, outputs: int, resolution: int, *, first: bool) -> None:
        super().__init__()
        self.resolution = resolution
        if first:
            self.fromrgb = Convolution(3, inputs, 1)
        self.conv0 = Convolution(inputs, inputs, 3)
        self.conv1 = Convolution(inputs, outputs, 3, down=True, gain=math.sqrt(0.5))
        self.skip = Convolution(inputs, outputs, 1, down=True, activate=False, gain=math.sqrt(0.5))
        self.first = first

    def forward(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Map x [N, I, R, R] ([N, 3, R, R] in the first block) to [N, O, R/2, R/2] of dtype."""
        x = x.to(dtype)
        if self.first:
            x = self.fromrgb(x)
        skip: torch.Tensor = self.skip(x)
        residual: torch.Tensor = self.conv1(self.conv0(x))
        return residual + skip


class DiscriminatorHead(nn.Module):
    """4 x 4 features -> one score, with the minibatch's deviation as one more channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Convolution(channels + 1, channels, 3)
        self.fc = FullyConnected(channels * 16, channels, activate=True)
        self.out = FullyConnected(channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [N, C, 4, 4] to scores [N]."""
        x = torch.cat([x, minibatch_deviation(x)], dim=1)
        x = self.conv(x).flatten(1)  # [N, 16 C], channel by channel
        score: torch.Tensor = self.out(self.fc(x))
        return score.squeeze(1)


def minibatch_deviation(x: torch.Tensor, group: int = 4) -> torch.Tensor:
    """Return the mean standard deviation within groups of items, as a channel [N, 1, H, W].

    x [N, C, H, W]. Item n belongs to group n mod (N / group); a batch that does not divide into
    groups of four is one group.
    """
    count, _, height, width = x.shape
    if count % group:
        group = count
    y = x.reshape(group, count // group, *x.shape[1:])  # [G, M, C, H, W]
    variance = (y - y.mean(dim=0)).square().mean(dim=0)
    deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [M]
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)


class Discriminator(nn.Module):
    """Picture -> score; higher means more real."""

    def __init__(self, resolution: int, channel_base: int, channel_max: ChannelMax) -> None:
        super().__init__()
        self.resolution = resolution
        size = resolution
        while size > 4:
            inputs = channels_at(size, channel_base, channel_max)
            outputs = channels_at(size // 2, channel_base, channel_max)
            block = DiscriminatorBlock(inputs, outputs, size, first=size == resolution)
            self.add_module(f"b{size}", block)
            size //= 2
        self.b4 = DiscriminatorHead(channels_at(4, channel_base, channel_max))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Score picture [N, 3, R, R] in [-1, 1] -> [N], in picture's dtype."""
        low, full = low_precision_dtype(picture), picture.dtype
        with torch.autocast(picture.device.type, enabled=False):
            x = picture.contiguous(memory_format=torch.channels_last)
            for block in self.children():
                if isinstance(block, DiscriminatorBlock):
                    x = block(x, block_dtype(block.resolution, self.resolution, low, full))
            score: torch.Tensor = self.b4(x.to(full))
        return score
