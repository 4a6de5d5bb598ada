"""The depthwise resampling equals the definition: zeros between, pad, filter, keep every second."""

import pytest
import torch
import torch.nn.functional as F

from gpu_ops.stylegan2.discriminator import Convolution
from gpu_ops.stylegan2.modulated_conv import StyledConvolution
from gpu_ops.stylegan2.resample import resample_filter, smooth, upsample


def reference(
    x: torch.Tensor, *, up: int = 1, pad: tuple[int, int] = (0, 0), down: int = 1, gain: float = 1
) -> torch.Tensor:
    """Up, pad (before, after), filter, down: one tap of the filter at a time."""
    count, channels, height, width = x.shape
    spread = x.new_zeros(count, channels, height * up, width * up)
    spread[:, :, ::up, ::up] = x
    spread = F.pad(spread, [*pad, *pad])
    rows, columns = spread.shape[2] - 3, spread.shape[3] - 3
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    out = x.new_zeros(count, channels, rows, columns)
    for i in range(4):
        for j in range(4):
            out += gain * taps[i] * taps[j] * spread[:, :, i : i + rows, j : j + columns]
    return out[:, :, ::down, ::down]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_upsample() -> None:
    x = noise(2, 3, 5, 5)
    expected = reference(x, up=2, pad=(2, 1), gain=4)
    torch.testing.assert_close(upsample(x, resample_filter()), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [1, 2])
def test_smooth(padding: int) -> None:
    x = noise(2, 3, 6, 6)
    expected = reference(x, pad=(padding, padding), gain=4)
    got = smooth(x, resample_filter(), padding, gain=4)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_the_skip_of_the_discriminator_resizes_then_convolves() -> None:
    x = noise(2, 3, 8, 8)
    layer = Convolution(3, 5, 1, down=True, activate=False).double()
    expected = F.conv2d(reference(x, pad=(1, 1), down=2), layer.weight * layer.weight_gain)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("up", [False, True])
def test_the_shared_weight_form_equals_modulated_weights(up: bool) -> None:
    layer = StyledConvolution(6, 4, 7, 10, up=up, clamp=None).double()
    x, w = noise(3, 6, 5 if up else 10, 5 if up else 10), noise(3, 7)
    outputs = []
    for item, style in zip(x, layer.affine(w), strict=True):
        weight = layer.weight * style[None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        if up:
            y = F.conv_transpose2d(item[None], weight.transpose(0, 1), stride=2)
            outputs.append(reference(y, pad=(1, 1), gain=4))
        else:
            outputs.append(F.conv2d(item[None], weight, padding=1))
    expected = F.leaky_relu(torch.cat(outputs), 0.2) * 2**0.5
    got = layer(x, w, None, torch.float64)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
