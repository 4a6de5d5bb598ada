"""The colours of a face scene, before light falls on it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from gpu_ops.scenes.canvas import Colour
from gpu_ops.scenes.faces_scene import Scene

_SKIN = np.array(
    [(246, 212, 188), (240, 196, 164), (222, 168, 128), (186, 128, 90), (138, 90, 62), (100, 64, 46)],
    dtype=np.float64,
)
_STEPS = np.linspace(0.0, 1.0, len(_SKIN))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(saturation, 1.0), min(value, 1.0))
    return int(red * 255), int(green * 255), int(blue * 255)


def scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = colour
    return min(255, int(red * factor)), min(255, int(green * factor)), min(255, int(blue * factor))


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Share 0 gives one, 1 the other."""
    (a, b, c), (red, green, blue) = one, other
    return int(a + (red - a) * share), int(b + (green - b) * share), int(c + (blue - c) * share)


@dataclass(frozen=True)
class Palette:
    """One flat colour for each material."""

    skin: Colour
    skin_shadow: Colour
    line: Colour  # thin lines on skin
    hair: Colour
    brow: Colour
    lid: Colour
    lash: Colour
    white: Colour
    iris: Colour
    iris_rim: Colour
    lips: Colour
    lips_dark: Colour
    mouth: Colour
    clothes: Colour
    glasses: Colour


def palette(scene: Scene) -> Palette:
    skin = _skin(scene)
    lips = mixed(scaled(skin, 0.92), (196, 44, 62), 0.34 + 0.42 * scene.lip_redness)
    hair = hsv(scene.hair_hue, scene.hair_saturation * (1.15 - 0.55 * scene.hair_value), scene.hair_value)
    if scene.hair_style == "cropped":
        hair = mixed(hair, skin, 0.3)
    iris = hsv(scene.iris_hue, scene.iris_saturation, scene.iris_value)
    shadow = (scaled(skin, 0.72)[0], scaled(skin, 0.64)[1], scaled(skin, 0.62)[2])
    return Palette(
        skin=skin,
        skin_shadow=shadow,
        line=scaled(shadow, 0.8),
        hair=hair,
        brow=mixed(scaled(hair, 0.75 - 0.3 * scene.brow_shade), skin, 0.08),
        lid=mixed(scaled(skin, 0.86), shadow, 0.12 + 0.5 * scene.lid_shade),
        lash=mixed((24, 18, 18), shadow, 0.12),
        white=(246, 246, 244),
        iris=iris,
        iris_rim=scaled(iris, 0.5),
        lips=lips,
        lips_dark=scaled(lips, 0.5),
        mouth=(92, 20, 30),
        clothes=hsv(scene.clothes_hue, scene.clothes_saturation, scene.clothes_value),
        glasses=hsv(scene.glasses_hue, 0.55, scene.glasses_value),
    )


def _skin(scene: Scene) -> Colour:
    red, green, blue = (float(np.interp(scene.skin_tone, _STEPS, _SKIN[:, axis])) for axis in range(3))
    warm = 0.035 * scene.skin_warmth
    return int(red), int(green), int(blue * (1.0 - 2.0 * warm))
