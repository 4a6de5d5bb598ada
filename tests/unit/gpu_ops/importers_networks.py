"""Random StyleGAN2 generators in the three published layouts, and in float64 what each should draw.

Each layout is drawn as its own framework would draw it, from the weights as that framework keeps them:
nothing here converts one layout to another, and nothing is shared with the importers. Source: Karras et al.
2020, and the facts of the formats.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import reference_stylegan2 as reference
from reference_stylegan2 import Array

Weights = dict[str, Array]
LR = 0.01


@dataclass
class Network:
    """weights by the names of the layout; picture(w_plus) and map(z) draw one item."""

    resolution: int
    z_dim: int
    w_dim: int
    layers: int
    weights: Weights = field(repr=False)
    map: Callable[[Array], Array] = field(repr=False)
    draw: Callable[[Array], Array] = field(repr=False)
    w_avg: Array = field(repr=False)

    @property
    def num_ws(self) -> int:
        return 2 * int(np.log2(self.resolution)) - 2

    def z(self, count: int = 2) -> Array:
        return np.random.default_rng(7).standard_normal((count, self.z_dim))

    def expected(self, z: Array, psi: float) -> Array:
        """The picture [3, R, R] of z [Z], with the stored noise."""
        w = self.w_avg + psi * (self.map(z) - self.w_avg)
        return self.draw(np.tile(w, (self.num_ws, 1)))


@dataclass(frozen=True)
class Shape:
    resolution: int = 32
    base: int = 256
    most: int = 12
    w_dim: int = 10
    z_dim: int = 8
    layers: int = 3

    @property
    def sizes(self) -> list[int]:
        return [4 << level for level in range(int(np.log2(self.resolution)) - 1)]

    def channels(self, size: int) -> int:
        return min(self.base // size, self.most)


class Dice:
    """Normal numbers that float32 can hold, as float64."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, spread: float = 1.0, mean: float = 0.0) -> Array:
        drawn = self._rng.standard_normal(shape) * spread + mean
        return np.float64(np.float32(drawn))


# stylegan2-ada-pytorch: the reference's own names


def persistent_network(shape: Shape, seed: int = 1, clamp: float | None = None) -> Network:
    draw = Dice(seed)
    w: Weights = {"mapping.w_avg": draw(shape.w_dim, spread=0.5)}
    for index in range(shape.layers):
        inputs = shape.z_dim if index == 0 else shape.w_dim
        w[f"mapping.fc{index}.weight"] = draw(shape.w_dim, inputs, spread=1 / LR)
        w[f"mapping.fc{index}.bias"] = draw(shape.w_dim, spread=0.1 / LR)

    def layer(name: str, inputs: int, outputs: int, taps: int) -> None:
        w[f"{name}.weight"] = draw(outputs, inputs, taps, taps)
        w[f"{name}.bias"] = draw(outputs, spread=0.3)
        w[f"{name}.affine.weight"] = draw(inputs, shape.w_dim)
        w[f"{name}.affine.bias"] = draw(inputs, mean=1.0, spread=0.2)

    inputs = 0
    for size in shape.sizes:
        block, outputs = f"synthesis.b{size}", shape.channels(size)
        w[f"{block}.resample_filter"] = reference.FILTER.copy()
        if size == 4:
            w[f"{block}.const"] = draw(outputs, 4, 4)
        for name, width in (("conv0", inputs), ("conv1", outputs)):
            if width:
                layer(f"{block}.{name}", width, outputs, 3)
                w[f"{block}.{name}.noise_const"] = draw(size, size)
                w[f"{block}.{name}.noise_strength"] = draw(spread=0.3)
                w[f"{block}.{name}.resample_filter"] = reference.FILTER.copy()
        layer(f"{block}.torgb", outputs, 3, 1)
        inputs = outputs
    noise = {name.removesuffix(".noise_const"): w[name] for name in w if name.endswith(".noise_const")}

    def picture(w_plus: Array) -> Array:
        return reference.synthesise(w, w_plus, shape.resolution, noise, clamp)[0]

    def mapped(z: Array) -> Array:
        return reference.map_z(w, z, shape.layers)

    return Network(
        shape.resolution, shape.z_dim, shape.w_dim, shape.layers, w, mapped, picture, w["mapping.w_avg"]
    )


# rosinality's stylegan2-pytorch


def rosinality_network(shape: Shape, seed: int = 2) -> Network:
    draw = Dice(seed)
    w: Weights = {}
    for index in range(shape.layers):
        inputs = shape.z_dim if index == 0 else shape.w_dim
        w[f"style.{index + 1}.weight"] = draw(shape.w_dim, inputs, spread=1 / LR)
        w[f"style.{index + 1}.bias"] = draw(shape.w_dim, spread=0.1 / LR)
    w["input.input"] = draw(1, shape.channels(4), 4, 4)

    def styled(name: str, inputs: int, outputs: int, *, up: bool) -> None:
        w[f"{name}.conv.weight"] = draw(1, outputs, inputs, 3, 3)
        if up:
            w[f"{name}.conv.blur.kernel"] = reference.FILTER * 4
        w[f"{name}.conv.modulation.weight"] = draw(inputs, shape.w_dim)
        w[f"{name}.conv.modulation.bias"] = draw(inputs, mean=1.0, spread=0.2)
        w[f"{name}.noise.weight"] = draw(1, spread=0.3)
        w[f"{name}.activate.bias"] = draw(outputs, spread=0.3)

    def colour(name: str, inputs: int, *, up: bool) -> None:
        w[f"{name}.bias"] = draw(1, 3, 1, 1, spread=0.3)
        if up:
            w[f"{name}.upsample.kernel"] = reference.FILTER * 4
        w[f"{name}.conv.weight"] = draw(1, 3, inputs, 1, 1)
        w[f"{name}.conv.modulation.weight"] = draw(inputs, shape.w_dim)
        w[f"{name}.conv.modulation.bias"] = draw(inputs, mean=1.0, spread=0.2)

    styled("conv1", shape.channels(4), shape.channels(4), up=False)
    colour("to_rgb1", shape.channels(4), up=False)
    for level, size in enumerate(shape.sizes[1:]):
        inputs, outputs = shape.channels(size // 2), shape.channels(size)
        styled(f"convs.{2 * level}", inputs, outputs, up=True)
        styled(f"convs.{2 * level + 1}", outputs, outputs, up=False)
        colour(f"to_rgbs.{level}", outputs, up=True)
    for index in range(2 * len(shape.sizes) - 1):
        size = shape.sizes[(index + 1) // 2]
        w[f"noises.noise_{index}"] = draw(1, 1, size, size)
    w_avg = draw(shape.w_dim, spread=0.5)

    def mapped(z: Array) -> Array:
        x = z / np.sqrt(np.mean(z**2) + 1e-8)
        for index in range(shape.layers):
            weight, bias = w[f"style.{index + 1}.weight"], w[f"style.{index + 1}.bias"]
            x = reference.leaky_relu(weight @ x * (LR / np.sqrt(len(x))) + bias * LR)
        return x

    def picture(w_plus: Array) -> Array:
        return _draw_rosinality(w, w_plus, len(shape.sizes))

    return Network(shape.resolution, shape.z_dim, shape.w_dim, shape.layers, w, mapped, picture, w_avg)


def _draw_rosinality(w: Weights, w_plus: Array, levels: int) -> Array:
    x = _styled_rosinality(w, "conv1", w["input.input"][0], w_plus[0], w["noises.noise_0"])
    picture = _colour_rosinality(w, "to_rgb1", x, w_plus[1])
    for level in range(levels - 1):
        at = 2 * level + 1
        for index in (at, at + 1):
            x = _styled_rosinality(w, f"convs.{index - 1}", x, w_plus[index], w[f"noises.noise_{index}"])
        skip = np.pad(reference.spread(picture), ((0, 0), (0, 1), (0, 1)))
        skip = _filtered(skip, w[f"to_rgbs.{level}.upsample.kernel"], 2, 1)
        picture = skip + _colour_rosinality(w, f"to_rgbs.{level}", x, w_plus[at + 2])
    return picture


def _modulation(w: Weights, name: str, code: Array) -> Array:
    weight = w[f"{name}.conv.modulation.weight"]
    return weight @ code / np.sqrt(len(code)) + w[f"{name}.conv.modulation.bias"]


def _styled_rosinality(w: Weights, name: str, x: Array, code: Array, noise: Array) -> Array:
    style = _modulation(w, name, code)
    kernel = w[f"{name}.conv.weight"][0] / np.sqrt(len(x) * 9) * style[None, :, None, None]
    kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(1, 2, 3), keepdims=True) + 1e-8)
    if f"{name}.conv.blur.kernel" in w:
        x = reference.correlate(reference.spread(x), kernel[:, :, ::-1, ::-1], padding=2)
        x = _filtered(x, w[f"{name}.conv.blur.kernel"], 1, 1)
    else:
        x = reference.correlate(x, kernel, padding=1)
    x = x + w[f"{name}.noise.weight"] * noise[0]
    return reference.leaky_relu(x + w[f"{name}.activate.bias"][:, None, None])


def _colour_rosinality(w: Weights, name: str, x: Array, code: Array) -> Array:
    kernel = w[f"{name}.conv.weight"][0] / np.sqrt(len(x))
    kernel = kernel * _modulation(w, name, code)[None, :, None, None]
    return reference.correlate(x, kernel, padding=0) + w[f"{name}.bias"][0]


def _filtered(x: Array, kernel: Array, before: int, after: int) -> Array:
    """Each channel of x, padded, with a symmetric kernel."""
    x = np.pad(x, ((0, 0), (before, after), (before, after)))
    height, width = x.shape[1] - 3, x.shape[2] - 3
    taps = [kernel[i, j] * x[:, i : i + height, j : j + width] for i in range(4) for j in range(4)]
    return np.sum(taps, axis=0)


# the first StyleGAN2, in TensorFlow


def tensorflow_network(shape: Shape, seed: int = 3) -> Network:
    """Variables of mapping and synthesis under "mapping/" and "synthesis/", as float64 arrays."""
    draw = Dice(seed)
    w: Weights = {"dlatent_avg": draw(shape.w_dim, spread=0.5)}
    for index in range(shape.layers):
        inputs = shape.z_dim if index == 0 else shape.w_dim
        w[f"mapping/Dense{index}/weight"] = draw(inputs, shape.w_dim, spread=1 / LR)
        w[f"mapping/Dense{index}/bias"] = draw(shape.w_dim, spread=0.1 / LR)
    w["synthesis/4x4/Const/const"] = draw(1, shape.channels(4), 4, 4)

    def layer(name: str, inputs: int, outputs: int, taps: int) -> None:
        w[f"{name}/weight"] = draw(taps, taps, inputs, outputs)
        w[f"{name}/mod_weight"] = draw(shape.w_dim, inputs)
        w[f"{name}/mod_bias"] = draw(inputs, spread=0.2)
        if taps == 3:
            w[f"{name}/noise_strength"] = draw(spread=0.3)
        w[f"{name}/bias"] = draw(outputs, spread=0.3)

    for size in shape.sizes:
        block, outputs = f"synthesis/{size}x{size}", shape.channels(size)
        if size == 4:
            layer(f"{block}/Conv", outputs, outputs, 3)
        else:
            layer(f"{block}/Conv0_up", shape.channels(size // 2), outputs, 3)
            layer(f"{block}/Conv1", outputs, outputs, 3)
        layer(f"{block}/ToRGB", outputs, 3, 1)
    for index in range(2 * len(shape.sizes) - 1):
        size = shape.sizes[(index + 1) // 2]
        w[f"synthesis/noise{index}"] = draw(1, 1, size, size)

    def mapped(z: Array) -> Array:
        x = z / np.sqrt(np.mean(z**2) + 1e-8)
        for index in range(shape.layers):
            weight, bias = w[f"mapping/Dense{index}/weight"], w[f"mapping/Dense{index}/bias"]
            x = reference.leaky_relu(x @ weight * (LR / np.sqrt(len(x))) + bias * LR)
        return x

    def picture(w_plus: Array) -> Array:
        return _draw_tensorflow(w, w_plus, shape.sizes)

    return Network(
        shape.resolution, shape.z_dim, shape.w_dim, shape.layers, w, mapped, picture, w["dlatent_avg"]
    )


def _draw_tensorflow(w: Weights, w_plus: Array, sizes: list[int]) -> Array:
    x, picture, at = w["synthesis/4x4/Const/const"][0], np.zeros((3, 2, 2)), 0
    for size in sizes:
        block = f"synthesis/{size}x{size}"
        for name in ("Conv",) if size == 4 else ("Conv0_up", "Conv1"):
            x = _styled_tensorflow(w, f"{block}/{name}", x, w_plus[at], w[f"synthesis/noise{at}"])
            at += 1
        picture = _colour_tensorflow(w, f"{block}/ToRGB", x, w_plus[at]) + reference.upsample(picture)
    return picture


def _style_tensorflow(w: Weights, name: str, code: Array) -> Array:
    return code @ w[f"{name}/mod_weight"] / np.sqrt(len(code)) + w[f"{name}/mod_bias"] + 1


def _styled_tensorflow(w: Weights, name: str, x: Array, code: Array, noise: Array) -> Array:
    """Up: zeros between, then the same correlation as everywhere, then the filter: no kernel is turned."""
    kernel = w[f"{name}/weight"].transpose(3, 2, 0, 1) / np.sqrt(len(x) * 9)
    kernel = kernel * _style_tensorflow(w, name, code)[None, :, None, None]
    kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(1, 2, 3), keepdims=True) + 1e-8)
    if name.endswith("_up"):
        x = 4 * reference.filtered(reference.correlate(reference.spread(x), kernel, padding=2), 1, 1)
    else:
        x = reference.correlate(x, kernel, padding=1)
    x = x + noise[0] * w[f"{name}/noise_strength"]
    return reference.leaky_relu(x + w[f"{name}/bias"][:, None, None])


def _colour_tensorflow(w: Weights, name: str, x: Array, code: Array) -> Array:
    kernel = w[f"{name}/weight"].transpose(3, 2, 0, 1) / np.sqrt(len(x))
    kernel = kernel * _style_tensorflow(w, name, code)[None, :, None, None]
    return reference.correlate(x, kernel, padding=0) + w[f"{name}/bias"][:, None, None]
