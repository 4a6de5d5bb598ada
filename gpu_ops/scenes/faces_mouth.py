"""Nose and mouth of a face scene, as layers in the face's frame."""

from __future__ import annotations

import numpy as np

from gpu_ops.scenes.canvas import Points
from gpu_ops.scenes.faces_head import FLIP, PIXEL, Layer, Line, band, disc, mirrored, smooth
from gpu_ops.scenes.faces_palette import Palette, mixed, scaled
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

_T = np.linspace(-1.0, 1.0, 21)  # along the mouth
_ARCH = np.sqrt(1.0 - _T**2)
_BOW = (1.0 - np.abs(_T) ** 2.4) * (1.0 - 0.3 * np.exp(-((_T / 0.16) ** 2)))
_FULL = (1.0 - _T**2) ** 0.75
_SHUT_BELOW = 0.7 * PIXEL


class Mouth:
    """The lines of a mouth over x [k], from the top down."""

    def __init__(self, scene: Scene) -> None:
        smile, frown = max(0.0, scene.smile), max(0.0, -scene.smile)
        self.gap = 0.1 * max(0.0, scene.mouth_open)
        self.gap = max(self.gap, 0.07 * max(0.0, (smile - 0.4) / 0.6))
        rest = 0.25 + 0.55 * (scene.face_length - 0.395)
        self.y = rest - 0.015 * scene.mouth_height
        width = scene.mouth_width * (1.0 + 0.2 * smile - 0.08 * frown - 1.2 * self.gap * (1.0 - smile))
        self.x = width * _T
        bend = 0.088 * smile - 0.085 * frown
        middle = self.y - bend * (_T**2 - 0.4)
        self.upper_inner = middle - 0.3 * self.gap * _ARCH
        self.lower_inner = middle + 0.7 * self.gap * _ARCH
        thin = 1.0 - 0.25 * smile
        self.upper_outer = self.upper_inner - scene.upper_lip * thin * _BOW
        self.lower_outer = self.lower_inner + scene.lower_lip * thin * _FULL

    @property
    def shut(self) -> bool:
        return self.gap <= _SHUT_BELOW


def mouth(scene: Scene, shape: Mouth, colours: Palette) -> list[Layer]:
    below = shape.lower_outer + 0.9 * PIXEL
    shade = band(0.7 * shape.x, shape.lower_outer, below + 0.4 * PIXEL * _ARCH)
    light = mixed(colours.lips, (255, 235, 235), 0.16)
    layers = [
        Layer("lip_shade", None, mixed(colours.skin, colours.skin_shadow, 0.55), shade),
        Layer("lower_lip", PART_IDS["lower_lip"], light, band(shape.x, shape.lower_inner, shape.lower_outer)),
        Layer("upper_lip", PART_IDS["upper_lip"], scaled(colours.lips, 0.86), _upper(shape)),
    ]
    return layers + (_line(shape, colours) if shape.shut else _inside(scene, shape, colours))


def _upper(shape: Mouth) -> Points:
    return band(shape.x, shape.upper_outer, shape.upper_inner + (0.2 * PIXEL if shape.shut else 0.0))


def _line(shape: Mouth, colours: Palette) -> list[Layer]:
    """Closed lips meet in a dark line that goes a little beyond them."""
    middle = 0.5 * (shape.upper_inner + shape.lower_inner)
    thick = PIXEL * (0.34 + 0.14 * _ARCH)
    return [
        Layer("mouth_line", None, colours.lips_dark, band(shape.x * 1.05, middle - thick, middle + thick))
    ]


def _inside(scene: Scene, shape: Mouth, colours: Palette) -> list[Layer]:
    """The open mouth, its tongue, and more of its teeth the more it smiles."""
    whole = band(shape.x, shape.upper_inner, shape.lower_inner)
    inner = slice(2, -2)
    x, top, bottom, arch = (line[inner] for line in (shape.x, shape.upper_inner, shape.lower_inner, _ARCH))
    tongue = np.maximum(bottom - 0.4 * shape.gap * arch**3, top)
    height = min(0.042, (0.4 + 0.4 * max(0.0, scene.smile)) * shape.gap + 0.4 * PIXEL)
    teeth = np.minimum(top + height * arch**0.5, bottom)
    return [
        Layer("mouth_inside", PART_IDS["mouth_inside"], colours.mouth, whole),
        Layer("tongue", None, (190, 80, 88), band(x, tongue, bottom)),
        Layer("teeth", PART_IDS["teeth"], (250, 248, 240), band(x, top, teeth)),
    ]


def nose(scene: Scene, colours: Palette) -> list[Layer]:
    """A wedge from the brows to the wings, shaded below and on the side that the light leaves."""
    half, length = scene.nose_width, scene.nose_length
    outline = _nose_outline(scene)
    away = -1.0 if scene.light_side > 0 else 1.0
    edge = 0.55 * scene.nose_bridge
    side, under = outline * (away, 1.0), outline.copy()
    side[:, 0] = np.maximum(side[:, 0], edge)
    under[:, 1] = np.maximum(under[:, 1], length - 0.004)
    hole = disc(half * 0.45, length + 0.002, half * 0.26, 0.011, 12)
    skin, dark = colours.skin, colours.skin_shadow
    layers = [
        ("nose", mixed(skin, (255, 245, 235), 0.1), outline),
        (
            "nose_shade",
            mixed(skin, dark, 0.2 + 0.6 * scene.light_strength * abs(scene.light_side)),
            side * (away, 1.0),
        ),
        ("nose_under", mixed(skin, dark, 0.8), under),
        ("nostril", scaled(colours.line, 0.62), hole * FLIP),
        ("nostril", scaled(colours.line, 0.62), hole),
    ]
    return [
        Layer(name, PART_IDS["nose"] if name == "nose" else None, colour, points, _relief(points, length))
        for name, colour, points in layers
    ]


def _nose_outline(scene: Scene) -> Points:
    half, length, bridge = scene.nose_width, scene.nose_length, scene.nose_bridge
    wide = half * (1.0 + 0.05 * max(0.0, scene.smile))
    right = np.array(
        [
            (bridge * 0.8, -0.02),
            (bridge, 0.35 * length),
            (bridge + 0.35 * (half - bridge), 0.68 * length),
            (wide, 0.85 * length),
            (wide * 0.92, length),
            (half * 0.42, length + 0.012),
            (0.0, length + 0.02),
        ]
    )
    outline = smooth(mirrored(right))
    outline[:, 1] = np.maximum(outline[:, 1], -0.02)
    return outline


def _relief(points: Points, length: float) -> Line:
    """How far the nose stands out: most at its tip, least at the bridge and the wings' feet."""
    along = np.minimum(np.maximum(points[:, 1] / length, 0.0), 1.0)
    out: Line = 0.075 * along**1.5 * np.exp(-((points[:, 0] / 0.09) ** 2))
    return out
