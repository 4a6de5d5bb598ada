"""The loss of an inversion written a second time, in NumPy float64. Shares no code with gpu_ops.

10 LPIPS + MSE. LPIPS here: SqueezeNet 1.1's seven feature maps (Iandola et al. 2016), each pixel's features
of unit length, squared differences summed over channels, averaged over pixels, summed over maps (Zhang et
al. 2018), all channels weighing the same. Weights come with torchvision's names.
"""

import numpy as np
import numpy.typing as npt
from reference_stylegan2 import Array, Weights

SHIFT = np.array([-0.030, -0.088, -0.188])[:, None, None]
SCALE = np.array([0.458, 0.448, 0.450])[:, None, None]
FIRE = (3, 4, 6, 7, 9, 10, 11, 12)
POOLS = (2, 5, 8)
TAPS = (1, 4, 7, 9, 10, 11, 12)  # after these layers


def inversion_loss(picture: Array, target: npt.NDArray[np.uint8], weights: Weights) -> float:
    """picture [3, R, R] about [-1, 1]; target uint8 [R, R, 3]."""
    wanted = target.transpose(2, 0, 1) / 127.5 - 1
    squares = np.mean(((picture - wanted) / 2) ** 2)
    return float(10 * lpips(picture, wanted, weights) + squares)


def lpips(one: Array, two: Array, weights: Weights) -> float:
    maps = zip(features(one, weights), features(two, weights), strict=True)
    return float(sum(((a - b) ** 2).sum(axis=0).mean() for a, b in maps))


def features(picture: Array, weights: Weights) -> list[Array]:
    """Unit-length features [C, h, w] of each map."""
    x, found = (picture - SHIFT) / SCALE, []
    for layer in range(13):
        if layer == 0:
            x = convolved(x, weights, "features.0", stride=2)
        elif layer in POOLS:
            x = pooled(x)
        elif layer in FIRE:
            x = fire(x, weights, f"features.{layer}")
        x = np.maximum(x, 0)
        if layer in TAPS:
            found.append(x / (np.sqrt((x**2).sum(axis=0)) + 1e-10))
    return found


def fire(x: Array, weights: Weights, name: str) -> Array:
    x = np.maximum(convolved(x, weights, f"{name}.squeeze"), 0)
    narrow, wide = (
        convolved(x, weights, f"{name}.expand{side}x{side}", padding=side // 2) for side in (1, 3)
    )
    return np.concatenate([narrow, wide])


def convolved(x: Array, weights: Weights, name: str, stride: int = 1, padding: int = 0) -> Array:
    kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    windows = windows_of(np.pad(x, ((0, 0), (padding, padding), (padding, padding))), kernel.shape[2], stride)
    return np.einsum("ihwkl,oikl->ohw", windows, kernel, optimize=True) + bias[:, None, None]


def pooled(x: Array) -> Array:
    """The largest of 3 x 3, every second one; a window may reach over the far edge."""
    height, width = (2 * -(-(side - 3) // 2) + 3 for side in x.shape[1:])
    x = np.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2])), constant_values=-np.inf)
    return windows_of(x, 3, 2).max(axis=(3, 4))


def windows_of(x: Array, side: int, stride: int) -> Array:
    """[C, H, W] -> [C, h, w, side, side]"""
    return np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))[:, ::stride, ::stride]
