"""StyleGAN2 written a second time, from the papers, in NumPy float64: slow, plain, and one item at a time.

It shares no code with gpu_ops. Weights come as a dictionary with the published names. Convolutions are
loops over taps; modulated ones modulate and demodulate the weights themselves, as the paper states them.
Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", and its appendix B.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Weights = Mapping[str, Array]

FILTER = np.outer([1.0, 3.0, 3.0, 1.0], [1.0, 3.0, 3.0, 1.0]) / 64


def leaky_relu(x: Array) -> Array:
    """With its gain of the square root of two."""
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def dense(x: Array, weights: Weights, name: str, lr_multiplier: float = 1.0) -> Array:
    """x [I] -> [O]; the stored weight is scaled when used."""
    weight = weights[f"{name}.weight"] * lr_multiplier / np.sqrt(len(x))
    return weight @ x + weights[f"{name}.bias"] * lr_multiplier


def correlate(x: Array, kernel: Array, padding: int) -> Array:
    """What networks call a convolution: x [I, H, W], kernel [O, I, k, k] -> [O, ...]."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    taps = kernel.shape[2]
    height, width = x.shape[1] - taps + 1, x.shape[2] - taps + 1
    out = np.zeros((kernel.shape[0], height, width))
    for i in range(taps):
        for j in range(taps):
            out += np.tensordot(kernel[:, :, i, j], x[:, i : i + height, j : j + width], axes=1)
    return out


def spread(x: Array) -> Array:
    """Zeros between the samples: [C, H, W] -> [C, 2H - 1, 2W - 1]."""
    out = np.zeros((x.shape[0], 2 * x.shape[1] - 1, 2 * x.shape[2] - 1))
    out[:, ::2, ::2] = x
    return out


def filtered(x: Array, before: int, after: int) -> Array:
    """Each channel of x, padded, convolved with FILTER."""
    x = np.pad(x, ((0, 0), (before, after), (before, after)))
    flipped = FILTER[::-1, ::-1]
    height, width = x.shape[1] - 3, x.shape[2] - 3
    out = np.zeros((x.shape[0], height, width))
    for i in range(4):
        for j in range(4):
            out += flipped[i, j] * x[:, i : i + height, j : j + width]
    return out


def upsample(x: Array) -> Array:
    """[C, H, W] -> [C, 2H, 2W]: zeros between and one at the end, then the filter, with a gain of 4."""
    return 4 * filtered(np.pad(spread(x), ((0, 0), (0, 1), (0, 1))), 2, 1)


def map_z(weights: Weights, z: Array, layers: int) -> Array:
    """z [Z] -> w [D]."""
    x = z / np.sqrt(np.mean(z**2) + 1e-8)
    for index in range(layers):
        x = leaky_relu(dense(x, weights, f"mapping.fc{index}", lr_multiplier=0.01))
    return x


def truncate(weights: Weights, w: Array, psi: float) -> Array:
    mean = weights["mapping.w_avg"]
    return mean + psi * (w - mean)


def styled_convolution(
    weights: Weights, name: str, x: Array, w: Array, noise: Array | None, clamp: float | None
) -> Array:
    """x [I, r, r] under w [D], noise [R, R] -> [O, R, R]; doubles the size in layers named conv0."""
    style = dense(w, weights, f"{name}.affine")
    kernel = weights[f"{name}.weight"] * style[None, :, None, None]
    kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(1, 2, 3), keepdims=True) + 1e-8)
    if name.endswith("conv0"):
        # a transposed convolution: zeros between, then convolution with the kernel turned round
        x = correlate(spread(x), kernel[:, :, ::-1, ::-1], padding=2)
        x = 4 * filtered(x, 1, 1)
    else:
        x = correlate(x, kernel, padding=1)
    if noise is not None:
        x = x + noise * weights[f"{name}.noise_strength"]
    return limited(leaky_relu(x + weights[f"{name}.bias"][:, None, None]), clamp)


def to_rgb(weights: Weights, name: str, x: Array, w: Array, clamp: float | None) -> Array:
    """x [C, R, R] under w [D] -> [3, R, R]: modulated, not demodulated, no activation."""
    style = dense(w, weights, f"{name}.affine") / np.sqrt(len(x))
    kernel = weights[f"{name}.weight"] * style[None, :, None, None]
    return limited(correlate(x, kernel, padding=0) + weights[f"{name}.bias"][:, None, None], clamp)


def limited(x: Array, clamp: float | None) -> Array:
    return x if clamp is None else np.clip(x, -clamp, clamp)


def synthesise(
    weights: Weights,
    w_plus: Array,
    resolution: int,
    noise: dict[str, Array] | None,
    clamp: float | None = None,
) -> tuple[Array, list[Array]]:
    """One item: w_plus [L, D] -> picture [3, R, R] and features; noise by layer, None for none at all."""
    x = weights["synthesis.b4.const"]
    features, picture, at, size = [x], np.zeros((3, 0, 0)), 0, 4
    while size <= resolution:
        block = f"synthesis.b{size}"
        for layer in ("conv1",) if size == 4 else ("conv0", "conv1"):
            name = f"{block}.{layer}"
            plane = None if noise is None else noise[name]
            x = styled_convolution(weights, name, x, w_plus[at], plane, clamp)
            features.append(x)
            at += 1
        colour = to_rgb(weights, f"{block}.torgb", x, w_plus[at], clamp)
        picture = colour if size == 4 else colour + upsample(picture)
        size *= 2
    return picture, features


def convolution(x: Array, weights: Weights, name: str, *, down: bool = False) -> Array:
    """x [I, H, W], scaled weights, no bias; with down, filtered and every second pixel kept."""
    kernel = weights[f"{name}.weight"]
    kernel = kernel / np.sqrt(np.prod(kernel.shape[1:]))
    padding = kernel.shape[2] // 2
    if not down:
        return correlate(x, kernel, padding)
    around = padding + 1
    return correlate(filtered(x, around, around), kernel, 0)[:, ::2, ::2]


def with_bias(x: Array, weights: Weights, name: str) -> Array:
    return leaky_relu(x + weights[f"{name}.bias"][:, None, None])


def discriminate(weights: Weights, pictures: Array, group: int = 4) -> Array:
    """pictures [N, 3, R, R] -> scores [N]; N is below or a multiple of group."""
    deep = np.stack([residual_blocks(weights, picture) for picture in pictures])  # [N, C, 4, 4]
    count = len(deep)
    group = min(group, count)
    scores = np.zeros(count)
    for first in range(count // group):
        members = list(range(first, count, count // group))
        deviation = np.sqrt(np.var(deep[members], axis=0) + 1e-8).mean()
        for item in members:
            x = np.concatenate([deep[item], np.full((1, 4, 4), deviation)])
            x = with_bias(convolution(x, weights, "b4.conv"), weights, "b4.conv")
            hidden = leaky_relu(dense(x.reshape(-1), weights, "b4.fc"))
            scores[item] = dense(hidden, weights, "b4.out")[0]
    return scores


def residual_blocks(weights: Weights, picture: Array) -> Array:
    """[3, R, R] -> [C, 4, 4]."""
    size = picture.shape[1]
    x = with_bias(convolution(picture, weights, f"b{size}.fromrgb"), weights, f"b{size}.fromrgb")
    while size > 4:
        skip = convolution(x, weights, f"b{size}.skip", down=True)
        x = with_bias(convolution(x, weights, f"b{size}.conv0"), weights, f"b{size}.conv0")
        x = with_bias(convolution(x, weights, f"b{size}.conv1", down=True), weights, f"b{size}.conv1")
        x = (x + skip) * np.sqrt(0.5)
        size //= 2
    return x
