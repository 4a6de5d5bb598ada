"""The glasses of a face scene, as layers in the face's frame."""

from __future__ import annotations

import numpy as np

from gpu_ops.scenes.canvas import Points, box, ellipse, rounded
from gpu_ops.scenes.faces_head import Layer, smooth
from gpu_ops.scenes.faces_palette import Palette
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

_LIFT = 0.045


def lens(scene: Scene, side: float, margin: float = 0.0) -> Points:
    """The outline of one lens, widened by a margin."""
    x, size = side * scene.eye_spacing * 1.02, scene.glasses_size
    if scene.glasses == "round":
        radius = 0.1 + 0.022 * size + margin
        return ellipse(x, 0.012, radius, radius, 36)
    wide, tall = 0.108 + 0.02 * size + margin, 0.076 + 0.024 * size + margin
    return smooth(rounded(box(x - wide, 0.012 - tall, x + wide, 0.012 + tall), 0.05))


def temples(scene: Scene, colours: Palette) -> list[Layer]:
    """The bars towards the ears; the farther one goes out of sight when the head turns."""
    if scene.glasses == "none":
        return []
    half = 0.4 * scene.glasses_frame
    start = np.abs(lens(scene, 1.0)[:, 0]).max()
    layers = []
    for side in (-1.0, 1.0):
        end = max(start, scene.face_width * (1.01 - 0.3 * max(0.0, side * scene.yaw)))
        bar = box(start, -0.02 - half, end, -0.02 + half) * (side, 1.0)
        layers.append(Layer("temple", PART_IDS["glasses"], colours.glasses, bar, 0.0))
    return layers


def glasses(scene: Scene, colours: Palette) -> list[Layer]:
    """Two rims and what joins them."""
    if scene.glasses == "none":
        return []
    layers = []
    frame, half = scene.glasses_frame, 0.4 * scene.glasses_frame
    for side in (-1.0, 1.0):
        inner, outer = lens(scene, side), lens(scene, side, frame)
        ring = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
        layers.append(Layer("frame", PART_IDS["glasses"], colours.glasses, ring, _LIFT))
    inside = np.abs(lens(scene, 1.0)[:, 0]).min() + 0.3 * frame
    bridge = box(-inside, -0.012 - half, inside, -0.012 + half)
    layers.append(Layer("bridge", PART_IDS["glasses"], colours.glasses, bridge, _LIFT))
    return layers


def glare(scene: Scene) -> list[Layer]:
    """A slanted gleam on each lens; it is laid over what is there, and has no part."""
    if scene.glasses == "none":
        return []
    layers = []
    for side in (-1.0, 1.0):
        rim = lens(scene, side, -0.004)
        x = rim[:, 0] - side * scene.eye_spacing * 1.02
        slant = x + 0.8 * (rim[:, 1] - 0.012)
        shift = np.clip(slant, -0.065, -0.03) - slant
        points = rim + np.stack([0.61 * shift, 0.49 * shift], axis=1)
        layers.append(Layer("glare", None, (255, 255, 255), points, _LIFT))
    return layers
