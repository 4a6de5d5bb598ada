"""Eyes and brows of a face scene, as layers in the face's frame."""

from __future__ import annotations

import numpy as np

from gpu_ops.scenes.canvas import Points
from gpu_ops.scenes.faces_head import PIXEL, Layer, Line, band, disc
from gpu_ops.scenes.faces_palette import Palette, scaled
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

_T = np.linspace(-1.0, 1.0, 15)  # along an eye, -1 its inner corner
_ARCH = (1.0 - _T**2) ** 0.8
_CLOSED_BELOW = 0.06
_BROW_T = np.linspace(0.0, 1.0, 9)  # along a brow, from its inner end
_BROW_ARCH = np.sin(np.pi * _BROW_T**1.25)
_BROW_TAPER = np.minimum(1.0, 0.72 + 1.6 * _BROW_T) * (1.0 - 0.72 * _BROW_T**2.2)


class Eye:
    """The lines of an open or half open eye, in a frame of its own: origin in its middle."""

    def __init__(self, scene: Scene) -> None:
        half = 0.5 * scene.eye_width
        height = scene.eye_height * scene.eye_width
        self.x = half * _T
        self.open = min(1.0, max(0.0, scene.eye_open))
        self.lower = 0.36 * height * _ARCH * (1.0 - 0.4 * max(0.0, scene.smile))
        wide = 0.64 * height * _ARCH * (1.0 + 0.12 * max(0.0, scene.brow_lift))
        self.crease = -wide - 1.5 * PIXEL * (1.0 - 0.5 * _T**2)
        self.upper = self.lower + self.open * (-wide - self.lower)
        self.iris_x = scene.gaze_x * (half - 0.75 * scene.iris_size)
        self.iris_y = scene.gaze_y * 1.2 * PIXEL - 0.12 * height

    @property
    def closed(self) -> bool:
        return self.open <= _CLOSED_BELOW

    def within(self, points: Points) -> Points:
        """The part of convex shapes that the lids leave free: clamping cuts it out."""
        free = np.empty_like(points)
        free[:, 0] = x = np.minimum(np.maximum(points[:, 0], self.x[0]), self.x[-1])
        low, high = np.interp(x, self.x, self.upper), np.interp(x, self.x, self.lower)
        free[:, 1] = np.minimum(np.maximum(points[:, 1], low), high)
        return free


def eyes(scene: Scene, colours: Palette) -> list[Layer]:
    eye = Eye(scene)
    lid, white, lashes = _lid(eye, colours), _white(eye, colours), _lashes(scene, eye, colours)
    layers: list[Layer] = []
    for side in (-1.0, 1.0):
        ball = [] if eye.closed else [*white, *_iris(scene, eye, colours, side)]
        layers += _in_face(scene, [lid, *ball, *lashes], side)
    return layers


def _in_face(scene: Scene, layers: list[Layer], side: float) -> list[Layer]:
    """From an eye's own frame (x outwards) to the face's, outer corner lifted by the tilt."""
    cos, sin = np.cos(scene.eye_tilt), np.sin(scene.eye_tilt)
    turn = np.array([(side * cos, -sin), (side * sin, cos)])
    points = np.concatenate([layer.points for layer in layers]) @ turn + (side * scene.eye_spacing, 0.0)
    result, start = [], 0
    for name, part, colour, own, lift in layers:
        end = start + len(own)
        result.append(Layer(name, part, colour, points[start:end], lift))
        start = end
    return result


def _lid(eye: Eye, colours: Palette) -> Layer:
    below = np.maximum(eye.upper, eye.crease) + 0.3 * PIXEL
    return Layer("lid", PART_IDS["lid"], colours.lid, band(eye.x * 1.04, eye.crease, below))


def _white(eye: Eye, colours: Palette) -> list[Layer]:
    """The white, with the shade of the lid on it."""
    shade = np.minimum(eye.upper + 0.9 * PIXEL, eye.lower)
    return [
        Layer("white", PART_IDS["white"], colours.white, band(eye.x, eye.upper, eye.lower)),
        Layer("white_shade", None, scaled(colours.white, 0.8), band(eye.x, eye.upper, shade)),
    ]


def _iris(scene: Scene, eye: Eye, colours: Palette, side: float) -> list[Layer]:
    """Iris, pupil and glint as far as the lids leave them free."""
    size, x, y = scene.iris_size, side * eye.iris_x, eye.iris_y
    discs = [disc(x, y, part * size, part * size) for part in (1.0, 0.8, 0.47)]
    toward = side if scene.light_side > 0 else -side
    discs.append(disc(x + 0.42 * toward * size, y - 0.4 * size, 0.25 * size, 0.25 * size))
    free = eye.within(np.concatenate(discs))
    rim, iris, pupil, glint = free.reshape(4, -1, 2)
    return [
        Layer("iris_rim", PART_IDS["iris"], colours.iris_rim, rim),
        Layer("iris", None, colours.iris, iris),
        Layer("pupil", PART_IDS["pupil"], (14, 12, 16), pupil),
        Layer("glint", None, (255, 255, 255), glint),
    ]


def _lashes(scene: Scene, eye: Eye, colours: Palette) -> list[Layer]:
    """A dark line along the upper lid, thicker outwards, and a faint one below the eye."""
    thick = PIXEL * (0.55 + 0.5 * scene.lashes) * (0.75 + 0.35 * _T) * (1.25 if eye.closed else 1.0)
    upper = band(eye.x * 1.06, eye.upper - thick, eye.upper + 0.35 * thick)
    faint = band(eye.x, eye.lower, eye.lower + 0.45 * PIXEL * _ARCH)
    return [
        Layer("lower_line", None, colours.line, faint),
        Layer("lash", PART_IDS["lid"], colours.lash, upper),
    ]


def brows(scene: Scene, colours: Palette) -> list[Layer]:
    x, middle, thick = _brow(scene)
    right = band(x, middle - 0.5 * thick, middle + 0.5 * thick)
    return [
        Layer("brow", PART_IDS["brow"], colours.brow, points, 0.01) for points in (right * (-1.0, 1.0), right)
    ]


def _brow(scene: Scene) -> tuple[Line, Line, Line]:
    """Along a brow from its inner end: x, the height of its middle, its thickness."""
    inner = scene.eye_spacing - 0.48 * scene.brow_length
    x = inner + scene.brow_length * _BROW_T + 0.008 * (_BROW_T - 0.5) * scene.brow_frown
    arch = (0.014 + 0.022 * scene.brow_arch) * _BROW_ARCH
    frown = 2.4 * PIXEL * scene.brow_frown * (1.0 - _BROW_T) ** 1.5
    rest = scene.brow_height + 2.6 * PIXEL * scene.brow_lift
    middle = frown - rest - arch - 0.1 * scene.eye_tilt * _BROW_T
    return x, middle, scene.brow_thickness * _BROW_TAPER
