"""What is behind a face: a gradient with soft lights, panels or hills."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gpu_ops.scenes.canvas import Canvas, Pixels, box
from gpu_ops.scenes.faces_head import disc
from gpu_ops.scenes.faces_palette import hsv, mixed, scaled
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene


def surroundings(scene: Scene, size_px: int) -> Canvas:
    small = max(16, size_px // 4)  # soft: a quarter of the size is enough
    gradient = Image.fromarray(_gradient(scene, small))
    picture = np.asarray(gradient.resize((size_px, size_px), Image.Resampling.NEAREST))
    labels = np.full((size_px, size_px), PART_IDS["background"], dtype=np.uint8)
    canvas = Canvas(picture, labels)
    _clutter(canvas, scene)
    return canvas


def _gradient(scene: Scene, small: int) -> Pixels:
    one = hsv(scene.backdrop_hue, scene.backdrop_saturation, scene.backdrop_value)
    other = hsv(scene.backdrop_hue + 0.08, scene.backdrop_saturation * 0.8, scene.backdrop_value * 0.6)
    turn = 2.0 * np.pi * scene.backdrop_turn
    along = np.linspace(-0.5, 0.5, small, dtype=np.float32)
    share = (
        0.5
        + np.float32(0.7 * np.cos(turn)) * along[None, :]
        + np.float32(0.7 * np.sin(turn)) * along[:, None]
    )
    share = np.minimum(np.maximum(share, 0.0), 1.0)[:, :, None]
    start = np.array(one, np.float32)
    colours = start + (np.array(other, np.float32) - start) * share
    return colours.astype(np.uint8)


def _clutter(canvas: Canvas, scene: Scene) -> None:
    """A few large things at low contrast; most of them are behind the head."""
    if scene.backdrop == "plain":
        return
    rng = np.random.default_rng([0xBAC, scene.seed])
    one = hsv(scene.backdrop_hue, scene.backdrop_saturation, scene.backdrop_value)
    bright = mixed(one, (255, 250, 235), 0.1 + 0.4 * scene.clutter)
    dark = scaled(one, 0.95 - 0.4 * scene.clutter)
    if scene.backdrop == "lights":
        shapes = [disc(x, y, size, size) for x, y, size in rng.uniform((0, 0, 0.05), (1, 1, 0.13), (7, 3))]
    elif scene.backdrop == "panels":
        left, width, top = rng.uniform(-0.1, 0.15), rng.uniform(0.12, 0.2), rng.uniform(-0.1, 0.3)
        shapes = [
            box(left + 2.1 * width * step, top, left + (2.1 * step + 1.0) * width, 0.9) for step in range(4)
        ]
    else:
        x = np.linspace(-0.1, 1.1, 17)
        ridge = rng.uniform(0.3, 0.6) + 0.08 * np.sin(rng.uniform(4, 9) * x + rng.uniform(0, 6))
        shapes = [np.concatenate([np.stack([x, ridge], axis=1), [(1.1, 1.1), (-0.1, 1.1)]])]
    for index, shape in enumerate(shapes):
        colour = dark if scene.backdrop == "hills" or index % 2 else bright
        canvas.polygon(shape, None, colour)
