"""The skull, ears, neck and clothes of a face scene, as layers."""

from __future__ import annotations

import numpy as np

from gpu_ops.scenes.canvas import Points
from gpu_ops.scenes.faces_head import FLIP, PIXEL, Head, Layer, Line, band, disc, mirrored, smooth
from gpu_ops.scenes.faces_mouth import Mouth
from gpu_ops.scenes.faces_palette import Palette, mixed, scaled
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

SKULL_TOP = -0.44
_SHOULDER = 0.885  # where clothes begin beside the neck
_TRIM = np.array((0.0, 0.022))
_FOLD_T = np.linspace(0.0, 1.0, 7)  # along the folds of a smile
_FOLD_X, _FOLD_Y, _FOLD_WIDTH = _FOLD_T**0.8, _FOLD_T**1.3, np.sin(np.pi * (0.1 + 0.85 * _FOLD_T))


def face_outline(scene: Scene, mouth: Mouth) -> Points:
    """The face with forehead, in its own frame; the chin follows an open mouth."""
    width, chin = scene.face_width, scene.face_length + 0.35 * max(0.0, mouth.gap - 0.03)
    jaw, full = width * scene.jaw_width, 0.02 * scene.cheek_fullness
    right = np.array(
        [
            (0.0, SKULL_TOP),
            (0.5 * width, SKULL_TOP + 0.05),
            (0.84 * width, -0.25),
            (0.97 * width, -0.1),
            (0.995 * width, 0.04),
            (0.97 * width + 0.4 * full, 0.16),
            (jaw + full, 0.255),
            (0.5 * (jaw + width * scene.chin_width) + 0.7 * full, 0.68 * chin + 0.075),
            (width * scene.chin_width, chin - 0.022),
            (0.4 * width * scene.chin_width, chin),
        ]
    )
    return smooth(mirrored(right))


def rim(head: Head, outline: Points) -> Line:
    """What lifts the face's outline to its rim, which runs smoothly forward to the chin."""
    down = np.clip((outline[:, 1] - 0.1) / 0.32, 0.0, 1.0)
    lift: Line = 0.07 + 0.055 * down * down * (3.0 - 2.0 * down) - head.depth(outline)
    return lift


def face(scene: Scene, outline: Points, rim: Line, mouth: Mouth, colours: Palette) -> list[Layer]:
    layers = [Layer("face", PART_IDS["skin"], colours.skin, outline, rim)]
    return layers + _smile_lines(scene, mouth, colours) + _freckles(scene, colours)


def _smile_lines(scene: Scene, mouth: Mouth, colours: Palette) -> list[Layer]:
    """The folds from the nose around the corners of a smiling mouth."""
    strength = max(0.0, scene.smile) * (0.45 + 0.2 * scene.cheek_fullness)
    if strength < 0.05:
        return []
    top, bottom = scene.nose_length - 0.004, mouth.upper_inner[0] + 0.012
    start, end = scene.nose_width + 0.02, mouth.x[-1] + 0.03
    x, y = start + (end - start) * _FOLD_X, top + (bottom - top) * _FOLD_Y
    thick = 0.55 * PIXEL * _FOLD_WIDTH
    colour = mixed(colours.skin, colours.skin_shadow, min(1.0, strength))
    fold = band(y, x - thick, x + thick)[:, ::-1]
    return [Layer("smile_line", None, colour, fold * (side, 1.0)) for side in (-1.0, 1.0)]


def _freckles(scene: Scene, colours: Palette) -> list[Layer]:
    """A few spots below the eyes, always in the same places of an identity."""
    if scene.freckles <= 0.0:
        return []
    rng = np.random.default_rng([0xF8EC, scene.identity])
    colour = mixed(colours.skin, scaled(colours.skin_shadow, 0.85), 0.25 + 0.5 * scene.freckles)
    spots = rng.uniform((0.06, 0.07, 0.5 * PIXEL), (0.25, 0.17, 0.8 * PIXEL), (14, 3))
    spots[::2, 0] *= -1.0
    return [Layer("freckle", None, colour, disc(x, y, size, 0.8 * size, 6)) for x, y, size in spots]


def ears(scene: Scene, colours: Palette) -> list[Layer]:
    """Ears behind the face's edge; the farther one goes out of sight when the head turns."""
    tall, wide = 0.086 * scene.ear_size, 0.05 * scene.ear_size
    red = mixed(colours.skin, (235, 110, 90), 0.12)
    dark = mixed(colours.skin, colours.skin_shadow, 0.75)
    layers = []
    for side in (-1.0, 1.0):
        x = side * (scene.face_width + 0.2 * wide)
        inner = disc(x + side * 0.1 * wide, 0.045, 0.55 * wide, 0.62 * tall, 16)
        layers.append(Layer("ear", PART_IDS["ear"], red, disc(x, 0.045, wide, tall), -0.07))
        layers.append(Layer("ear_inside", None, dark, inner, -0.07))
    return layers


def body(scene: Scene, head: Head, jaw: Points, colours: Palette) -> list[Layer]:
    """Neck and clothes, in the picture's frame: they follow the head's place, not its tilt.

    jaw [k, 2]: the face's outline in the picture, whose shadow falls on the neck.
    """
    chin = head.place(np.array([(0.0, scene.face_length)]))[0]
    x = 0.5 * (scene.centre_x + chin[0])
    half = scene.zoom * scene.face_width * (0.36 + 0.22 * scene.jaw_width)
    neck = np.array([(1.0, 0.6), (1.0, 0.88), (1.9, 1.1)]) * (half, 1.0)
    shade = jaw + np.array((0.0, 0.05))
    shade[:, 0] = np.clip(shade[:, 0], x - half, x + half)
    dark = mixed(colours.skin, colours.skin_shadow, 0.8)
    return [
        Layer("neck", PART_IDS["neck"], scaled(colours.skin, 0.94), mirrored(neck) + np.array((x, 0.0))),
        Layer("neck_shade", None, dark, shade),
        *_clothes(scene, x, half, colours),
    ]


def _clothes(scene: Scene, x: float, half: float, colours: Palette) -> list[Layer]:
    """Shoulders and a neckline around the neck's middle x."""
    depth = 0.03 + 0.05 * scene.neckline_depth + (0.05 if scene.neckline == "pointed" else 0.0)
    deep = _SHOULDER + depth
    turn = (0.6, deep - 0.008) if scene.neckline == "round" else (0.5, _SHOULDER + 0.5 * depth)
    edge = np.array([(0.0, deep), turn, (1.12, _SHOULDER)])
    right = np.concatenate([edge, [(2.0, 0.945), (4.0, 1.0), (4.0, 1.1)]])
    at = np.array((half, 1.0)), np.array((x, 0.0))
    layers = [Layer("clothes", PART_IDS["clothes"], colours.clothes, mirrored(right) * at[0] + at[1])]
    if scene.neckline == "collar":
        flap = np.array(
            [(1.16, _SHOULDER - 0.03), (0.2, deep + 0.01), (0.75, deep + 0.055), (1.5, _SHOULDER + 0.035)]
        )
        shapes, colour = [flap * FLIP, flap], mixed(colours.clothes, (250, 250, 250), 0.6)
    else:
        line = np.concatenate([edge[::-1] * FLIP, edge[1:]])
        shapes, colour = [np.concatenate([line, line[::-1] + _TRIM])], scaled(colours.clothes, 0.72)
    name = "collar" if scene.neckline == "collar" else "trim"
    return layers + [Layer(name, PART_IDS["clothes"], colour, shape * at[0] + at[1]) for shape in shapes]
