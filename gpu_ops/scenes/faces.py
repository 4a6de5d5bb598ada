"""The domain of faces: cartoon faces with exact part masks, drawn by seed and identity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gpu_ops.scenes.camera import degrade
from gpu_ops.scenes.faces_draw import draw
from gpu_ops.scenes.faces_parts import COLOURS, EXPRESSIONS, GROUPS, HAIR_STYLES, PART_IDS, PARTS
from gpu_ops.scenes.faces_scene import Scene, identity_of, sample_scene

__all__ = [
    "COLOURS",
    "EXPRESSIONS",
    "GROUPS",
    "HAIR_STYLES",
    "PARTS",
    "PART_IDS",
    "Scene",
    "degrade",
    "identity_of",
    "render",
    "sample_scene",
]


def render(
    scene: Scene, size_px: int = 64, supersample: int = 4
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw a scene at supersample times the size, reduce, and light it.

    Returns picture [size_px, size_px, 3] uint8, the mean of each block of drawn pixels, lit, and
    mask [size_px, size_px] uint8, class ids in [0, len(PARTS)), the block's majority (of
    equals, the lower id). Both come from the same shapes.
    """
    return draw(scene, size_px, supersample)
