"""A head in space: shapes are given on its front, and placed where they are seen.

The face's frame has its origin between the eyes, x to the picture's right and y down, in
fractions of the picture's side at zoom 1. Shapes lie on an ellipsoid, so that turning the
head moves and foreshortens them; what is beside the ellipsoid only narrows.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpu_ops.scenes.canvas import Colour, Points, ellipse
from gpu_ops.scenes.faces_scene import Scene

PIXEL = 1.0 / 64.0  # widths of lines are given in pixels of the smallest model
DEPTH = 0.24  # of the ellipsoid, from its axis to the tip
HEIGHT = 0.47

Line = npt.NDArray[np.float64]  # [k]


class Layer(NamedTuple):
    """One filled polygon; layers are painted in their order."""

    name: str  # what it shows; portraits draw by it
    part: int | None  # None: changes the picture alone
    colour: Colour
    points: Points
    lift: float | Line = 0.0  # how far in front of the ellipsoid


class Head:
    """Where the points of a face are seen."""

    def __init__(self, scene: Scene) -> None:
        self.width = scene.face_width * 1.07
        self.zoom = scene.zoom
        self.yaw, self.pitch = (
            (np.cos(scene.yaw), np.sin(scene.yaw)),
            (np.cos(scene.pitch), np.sin(scene.pitch)),
        )
        self.roll = np.cos(scene.roll), np.sin(scene.roll)
        self.shift = scene.centre_x, scene.centre_y

    def depth(self, points: Points) -> Line:
        """How far in front of the head's axis points [k, 2] of the face's frame lie; [k]."""
        inside = 1.0 - (points[:, 0] / self.width) ** 2 - (points[:, 1] / HEIGHT) ** 2
        surface: Line = DEPTH * np.sqrt(np.maximum(inside, 0.0))
        return surface

    def place(self, points: Points, lift: float | Line = 0.0) -> Points:
        """Points [k, 2] of the face's frame, in the picture [k, 2]."""
        x, y = points[:, 0], points[:, 1]
        depth = self.depth(points) + lift - 0.5 * DEPTH
        x = x * self.yaw[0] + depth * self.yaw[1]
        y = y * self.pitch[0] - depth * self.pitch[1] - _PIVOT
        x, y = x * self.roll[0] - y * self.roll[1], x * self.roll[1] + y * self.roll[0]
        centre_x, centre_y = self.shift
        seen = np.empty_like(points)
        seen[:, 0] = centre_x + self.zoom * x
        seen[:, 1] = centre_y + self.zoom * (y + _PIVOT)
        return seen

    def placed(self, layers: Sequence[Layer]) -> list[Layer]:
        """Layers of the face's frame as layers of the picture, all at once."""
        if not layers:
            return []
        points = np.concatenate([layer.points for layer in layers])
        lift = np.empty(len(points))
        cuts, end = [], 0
        for layer in layers:
            start, end = end, end + len(layer.points)
            lift[start:end] = layer.lift
            cuts.append(slice(start, end))
        seen = self.place(points, lift)
        return [
            Layer(layer.name, layer.part, layer.colour, seen[cut])
            for layer, cut in zip(layers, cuts, strict=True)
        ]

    def found(self, x: Line, y: Line) -> tuple[Line, Line]:
        """The face's frame of picture coordinates, the turn to the sides left out."""
        x, y = (x - self.shift[0]) / self.zoom, (y - self.shift[1]) / self.zoom - _PIVOT
        cos, sin = (x.dtype.type(value) for value in self.roll)
        return x * cos + y * sin, y * cos - x * sin + x.dtype.type(_PIVOT)


_PIVOT = 0.1  # the head tilts about a point this far below the eyes' line


def _spline(steps: int) -> npt.NDArray[np.float64]:
    t = np.arange(steps)[:, None] / steps
    weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
    return 0.5 * np.concatenate(weights, axis=1)


_SPLINE = _spline(4)  # [4, 4] samples of a segment by its four nearest points (Catmull-Rom)


@functools.cache
def _smoothing(count: int) -> npt.NDArray[np.float64]:
    """[4 * count, count]: samples of a closed curve by its points."""
    matrix = np.zeros((count, 4, count))
    for point in range(count):
        for near in range(4):
            matrix[point, :, (point + near - 1) % count] += _SPLINE[:, near]
    return matrix.reshape(4 * count, count)


def smooth(points: Points) -> Points:
    """A closed curve through points; [k, 2] becomes [4 * k, 2]."""
    curve: Points = _smoothing(len(points)) @ points
    return curve


@functools.cache
def _circle(corners: int) -> Points:
    return ellipse(0.0, 0.0, 1.0, 1.0, corners)


def disc(x: float, y: float, wide: float, tall: float, corners: int = 24) -> Points:
    """An ellipse as a polygon [corners, 2], by its two radii."""
    points: Points = _circle(corners) * (wide, tall) + (x, y)
    return points


FLIP = np.array((-1.0, 1.0))  # left for right


def mirrored(right: Points) -> Points:
    """A closed outline from its right half, top to bottom [k, 2] -> [2 * k, 2]."""
    return np.concatenate([right, right[::-1] * FLIP])


def band(x: Line, upper: Line, lower: Line) -> Points:
    """What lies between two lines over the same x [k]; [2 * k, 2]."""
    count = len(x)
    points = np.empty((2 * count, 2))
    points[:count, 0], points[count:, 0] = x, x[::-1]
    points[:count, 1], points[count:, 1] = upper, lower[::-1]
    return points
