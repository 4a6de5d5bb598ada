"""The hair of a face scene by its style, as layers in the face's frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpu_ops.scenes.canvas import Colour, Points
from gpu_ops.scenes.faces_head import FLIP, PIXEL, Layer, Line, band, disc
from gpu_ops.scenes.faces_palette import Palette, mixed, scaled
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

_HAIR = PART_IDS["hair"]
_T = np.linspace(-1.0, 1.0, 19)  # along the hairline
_DOWN = np.linspace(0.0, 1.0, 9)  # along the hair beside the face
_TAIL = np.array(  # x in widths of the face, y, share of the volume
    [(0.5, 0.1, 0), (0.98, 0.08, 0.3), (1.14, 0.2, 1), (1.18, 0.42, 1), (1.04, 0.62, 0.3), (0.8, 0.62, 0)]
)
_OVER_EARS = 0.15
_TOP = 0.46  # of the skull, above the eyes' line


class Cut(NamedTuple):
    """How a style lies on the head."""

    spread: float  # half the width of the hair, over the face's
    fall: str  # of the fringe: "swept" from the parting, "straight", or "none"
    corner: float  # how square the hairline is
    inner: float  # where hair beside the face begins, of the face's half width
    tuck: float  # how far its lower end turns inwards (below 0 outwards)
    wave: float = 0.0


CUTS: dict[str, Cut] = {
    "short": Cut(0.008, "swept", 4.0, 0.92, 0.0),
    "long": Cut(0.035, "swept", 3.0, 0.9, 0.02),
    "wavy": Cut(0.03, "swept", 3.0, 0.9, -0.02, 0.036),
    "bob": Cut(0.035, "straight", 5.0, 0.86, 0.05),
    "curly": Cut(0.03, "none", 3.5, 0.93, 0.0),
    "afro": Cut(0.05, "none", 3.0, 0.94, 0.0),
    "cropped": Cut(0.004, "none", 5.0, 0.95, 0.0),
    "buns": Cut(0.002, "none", 2.6, 0.93, 0.0),
    "ponytail": Cut(0.002, "swept", 2.6, 0.93, 0.0),
}


def behind(scene: Scene, colours: Palette) -> list[Layer]:
    """Hair behind the neck and the ears."""
    width, low, dark = _width(scene), scene.hair_length, scaled(colours.hair, 0.66)
    if scene.hair_style in ("long", "wavy", "bob"):
        fall = np.array([(-0.9 * width, -0.2), (0.9 * width, -0.2), (width, low), (-width, low)])
        return [Layer("hair_back", _HAIR, dark, fall)]
    if scene.hair_style in ("afro", "curly"):
        return _mass(scene, colours, width)
    if scene.hair_style == "buns":
        x, radius, tone = (
            0.72 * scene.face_width + 0.06,
            0.1 + 0.8 * scene.hair_volume,
            scaled(colours.hair, 0.86),
        )
        return [Layer("bun", _HAIR, tone, disc(side * x, -0.36, radius, radius)) for side in (-1.0, 1.0)]
    return [_tail(scene, dark)] if scene.hair_style == "ponytail" else []


def _tail(scene: Scene, colour: Colour) -> Layer:
    """A tail that falls on one shoulder."""
    side = 1.0 if scene.parting < 0.0 else -1.0
    x = scene.face_width * _TAIL[:, 0] + scene.hair_volume * _TAIL[:, 2]
    return Layer("tail", _HAIR, colour, np.stack([side * x, _TAIL[:, 1]], axis=1))


def _mass(scene: Scene, colours: Palette, width: float) -> list[Layer]:
    """A round mass of hair with balls of hair along its edge, larger for curls than for an afro."""
    rng = np.random.default_rng([0xC0B1, scene.identity])
    count, radius = (15, 0.07) if scene.hair_style == "afro" else (12, 0.085)
    low, high = min(1.2, max(0.05, scene.hair_length / 0.4)), _TOP + scene.hair_volume
    turn, sizes = np.linspace(-low, np.pi + low, count), radius * rng.uniform(0.85, 1.15, count)
    x, y = 0.97 * width * np.cos(turn), -0.03 - 0.95 * high * np.sin(turn)
    tones = scaled(colours.hair, 0.74), scaled(colours.hair, 0.84)
    mass = Layer("hair_back", _HAIR, scaled(colours.hair, 0.9), disc(0.0, -0.03, width, high, 40))
    return [mass, *(_curl(*at, tones[index % 2]) for index, at in enumerate(zip(x, y, sizes, strict=True)))]


def _curl(x: float, y: float, radius: float, tone: Colour) -> Layer:
    return Layer("curl", _HAIR, tone, disc(x, y, radius, radius, 14))


def shadow(scene: Scene, colours: Palette) -> list[Layer]:
    """The shadow of the hair on the forehead."""
    x, y = hairline(scene)
    colour = mixed(colours.skin, colours.skin_shadow, 0.5 if scene.hair_style != "cropped" else 0.2)
    return [Layer("hair_shadow", None, colour, band(x, y - 0.01, y + 1.3 * PIXEL))]


def front(scene: Scene, colours: Palette) -> list[Layer]:
    """Hair over the forehead and beside the face."""
    round_hair = scene.hair_style in ("curly", "afro")
    tone = scaled(colours.hair, 0.9) if round_hair else colours.hair
    layers = [Layer("hair", _HAIR, tone, _cap(scene))]
    if round_hair:
        layers += _edge_curls(scene, colours)
    return layers


def hairline(scene: Scene) -> tuple[Line, Line]:
    """Where hair ends on the forehead: x from left to right, and y [k]."""
    cut = CUTS[scene.hair_style]
    top = scene.hairline + (0.02 if scene.hair_style == "cropped" else 0.0)
    y = -top + (top - 0.07) * np.abs(_T) ** cut.corner
    if cut.fall == "straight":
        fringe = 0.85 * scene.fringe * (top - scene.brow_height)
        y = np.maximum(y, -top + fringe * (1.0 - 0.25 * _T**2))
    if cut.fall == "swept":
        away = np.minimum(1.0, np.abs(_T - 0.62 * scene.parting) / 0.9)
        y = np.maximum(y, -top - 0.02 + (0.04 + 0.1 * scene.fringe) * away**0.8)
    return cut.inner * scene.face_width * _T, y


def _width(scene: Scene) -> float:
    """Half the width of the hair at the eyes' line."""
    return scene.face_width + CUTS[scene.hair_style].spread + 0.6 * scene.hair_volume


def _cap(scene: Scene) -> Points:
    """From the right end over the top to the left end, and back along the hairline."""
    low = _OVER_EARS if scene.hair_style in ("curly", "afro") else scene.hair_length
    width = _width(scene)
    start = -np.arcsin(min(0.0, low) / _TOP)
    turn = np.linspace(start, np.pi - start, 21)
    broad = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.8  # less pointed than an ellipse
    over = np.stack([width * broad, -(_TOP + scene.hair_volume) * np.sin(turn)], axis=1)
    outer, inner = _sides(scene, width, low)
    line = np.stack(hairline(scene), axis=1)
    return np.concatenate([outer, over, outer[::-1] * FLIP, inner * FLIP, line, inner[::-1]])


def _sides(scene: Scene, width: float, low: float) -> tuple[Points, Points]:
    """The outer and the inner edge of the hair beside the right of the face, from its end upwards."""
    cut = CUTS[scene.hair_style]
    inner = cut.inner * scene.face_width
    if low <= 0.0:
        return np.zeros((0, 2)), np.array([(inner, low), (inner, -0.07)])
    wave = cut.wave * np.sin(2.0 * np.pi * (1.6 * _DOWN + 0.5 * scene.parting)) * _DOWN
    tuck = cut.tuck * _DOWN**3
    outer = np.stack([width + wave - tuck, low * _DOWN], axis=1)
    edge = inner - 0.03 * np.sin(np.pi * _DOWN) + 0.5 * wave - tuck
    return outer[::-1], np.stack([edge, (low + 0.07) * _DOWN - 0.07], axis=1)[::-1]


def _edge_curls(scene: Scene, colours: Palette) -> list[Layer]:
    """Curls along the hairline and, for long curls, beside the face."""
    x, y = hairline(scene)
    radius = 0.045 if scene.hair_style == "afro" else 0.06
    y = y - radius * (0.6 - 0.5 * scene.fringe)
    tones = scaled(colours.hair, 1.08), scaled(colours.hair, 0.91)
    layers = [_curl(x[at], y[at], radius, tones[at // 2 % 2]) for at in range(1, 18, 2)]
    if scene.hair_style == "curly":
        for index, down in enumerate(np.arange(-0.05, scene.hair_length, 0.09)):
            edge = scene.face_width + 0.02
            layers += [_curl(side * edge, down, 0.058, tones[index % 2]) for side in (-1.0, 1.0)]
    return layers
