"""The domain of cars: side views with exact part masks, drawn by seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gpu_ops.scenes.camera import degrade
from gpu_ops.scenes.cars_draw import draw
from gpu_ops.scenes.cars_scene import BODY_TYPES, COLOURS, GROUPS, PART_IDS, PARTS, Scene, sample_scene

__all__ = [
    "BODY_TYPES",
    "COLOURS",
    "GROUPS",
    "PARTS",
    "PART_IDS",
    "Scene",
    "degrade",
    "render",
    "sample_scene",
]


def render(
    scene: Scene, size_px: int = 64, supersample: int = 4
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw a scene at supersample times the size, and reduce.

    Returns picture [size_px, size_px, 3] uint8, the mean of each block of drawn pixels, and
    mask [size_px, size_px] uint8, class ids in [0, len(PARTS)), the block's majority (of
    equals, the lower id). Both come from the same shapes.
    """
    return draw(scene, size_px * supersample).reduced(supersample)
