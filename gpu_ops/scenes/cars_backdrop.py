"""What is around a car: its colours and light, the sky, what stands on the horizon, the road."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image

from gpu_ops.scenes.canvas import Canvas, Colour, Pixels, box
from gpu_ops.scenes.cars_scene import PART_IDS, Scene


def hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(saturation, 1.0), min(value, 1.0))
    return int(red * 255), int(green * 255), int(blue * 255)


def scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, max(0, int(level * factor))) for level in colour)
    return red, green, blue


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Share 0 gives one, 1 the other."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def paint_colour(scene: Scene) -> Colour:
    return hsv(scene.paint_hue, scene.paint_saturation, scene.paint_value)


def sky_colour(scene: Scene) -> Colour:
    return hsv(scene.sky_hue, scene.sky_saturation, scene.sky_value)


def surroundings(scene: Scene, size_px: int) -> Canvas:
    rng = np.random.default_rng([0x60AD, scene.seed])
    horizon_px = round(scene.horizon * size_px)
    sky = np.array(sky_colour(scene), dtype=np.float32)
    rows = np.linspace(0.0, 1.0, horizon_px, dtype=np.float32)[:, None]
    picture = np.empty((size_px, size_px, 3), dtype=np.uint8)
    haze = sky + (245.0 - sky) * 0.55
    picture[:horizon_px] = (sky + (haze - sky) * rows)[:, None, :]
    picture[horizon_px:] = _road(scene, size_px, size_px - horizon_px, rng)
    labels = np.full((size_px, size_px), PART_IDS["sky"], dtype=np.uint8)
    labels[horizon_px:] = PART_IDS["road"]
    canvas = Canvas(picture, labels)
    _clutter(canvas, scene, rng)
    return canvas


def _road(scene: Scene, width_px: int, height_px: int, rng: np.random.Generator) -> Pixels:
    """The road [height_px, width_px, 3], lighter far away, with a soft uneven texture."""
    warmth = 1.0 + 0.06 * scene.road_warmth * np.array([1.0, 0.1, -1.0], dtype=np.float32)
    small_width, small_height = max(16, width_px // 4), max(8, height_px // 4)
    nearness = np.linspace(0.0, 1.0, small_height, dtype=np.float32)[:, None]
    column = 255.0 * scene.road_shade * (1.15 - 0.3 * nearness)
    grid = rng.normal(0.0, 1.0, size=(7, 9)).astype(np.float32) * (1.0 + 4.0 * scene.texture)
    smooth = Image.fromarray(grid).resize((small_width, small_height), Image.Resampling.BILINEAR)
    shade = column + np.asarray(smooth)
    small = Image.fromarray(np.clip(shade[:, :, None] * warmth, 0, 255).astype(np.uint8))
    return np.asarray(small.resize((width_px, height_px), Image.Resampling.NEAREST))


def _clutter(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Hills, or blocks that may be houses or trees, at low contrast on the horizon."""
    haze = mixed(sky_colour(scene), (245, 245, 245), 0.5)
    green = (96, 120, 90) if rng.random() < 0.6 else (125, 120, 118)
    colour = mixed(haze, green, 0.15 + 0.45 * scene.clutter)
    sky = PART_IDS["sky"]
    top = scene.clutter_height
    if rng.random() < 0.5:
        phases = rng.uniform(0.0, 2.0 * np.pi, size=2)
        x = np.linspace(0.0, 1.0, 33)
        waves = 0.6 + 0.3 * np.sin(4.0 * x + phases[0]) + 0.1 * np.sin(11.0 * x + phases[1])
        ridge = np.stack([x, scene.horizon - top * waves], axis=1)
        feet = np.array([(1.0, scene.horizon), (0.0, scene.horizon)])
        canvas.polygon(np.concatenate([ridge, feet]), sky, colour)
        return
    edges = np.linspace(0.0, 1.0, 6) + rng.uniform(-0.05, 0.05, size=6)
    for left, right, height in zip(edges[:-1], edges[1:], rng.uniform(0.2, 1.0, 5), strict=True):
        rise = scene.horizon - top * height
        canvas.polygon(box(left, rise, right, scene.horizon), sky, colour)
