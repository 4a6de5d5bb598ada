"""Stylised portraits of face scenes: pictures outside the domain, with exact part masks.

Each style changes geometry and strokes, not only colours: `drawing` (a caricature in ink, with
hatching), `cubist` (a head broken into displaced planes) and `sculpture` (a marble bust in
raking light). Nothing is trained on them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gpu_ops.scenes.canvas import Pixels
from gpu_ops.scenes.faces_draw import layers
from gpu_ops.scenes.faces_head import Head, Layer
from gpu_ops.scenes.faces_palette import palette
from gpu_ops.scenes.faces_scene import Scene
from gpu_ops.scenes.portraits_cubist import cubist
from gpu_ops.scenes.portraits_drawing import drawing
from gpu_ops.scenes.portraits_sculpture import sculpture

Drawer = Callable[[Scene, list[Layer], int, int], tuple[Pixels, Pixels]]

STYLES: dict[str, Drawer] = {"drawing": drawing, "cubist": cubist, "sculpture": sculpture}


def render(
    scene: Scene, style: str, size_px: int = 64, supersample: int = 4
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw a scene in one of STYLES at supersample times the size, and reduce.

    Returns picture [size_px, size_px, 3] uint8 and mask [size_px, size_px] uint8, class ids of
    faces.PARTS, both from the same changed shapes. Deterministic by scene.
    """
    shapes = layers(scene, Head(scene), palette(scene))
    return STYLES[style](scene, shapes, size_px, supersample)
