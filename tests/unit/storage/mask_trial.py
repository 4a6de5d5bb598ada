"""A car of parts and groups to try mask operations on."""

from collections.abc import Mapping

import numpy as np

from storage.library_records import Part
from storage.mask_operations import NO_MASKS, apply_operations
from storage.mask_shapes import Region
from storage.masks import Mask
from storage.specs import MaskOperation

NAMES = ("background", "body", "tyre", "rim", "hub")
PARTS = tuple(Part(i, name, (40 * i, 255 - 40 * i, 7)) for i, name in enumerate(NAMES))
GROUPS = {"wheel": ("tyre", "rim", "hub")}
BACKGROUND, BODY, TYRE, RIM, HUB = range(5)
RADII = {TYRE: 14, RIM: 9, HUB: 4}


def done(mask: Mask, *operations: MaskOperation, masks: Mapping[str, Mask] = NO_MASKS) -> Mask:
    return apply_operations(mask, operations, PARTS, GROUPS, masks)


def disc(size: int, centre: tuple[float, float], radius: float) -> Region:
    y, x = np.mgrid[0:size, 0:size] + 0.5
    inside: Region = np.hypot(y - centre[0], x - centre[1]) <= radius
    return inside


def car() -> Mask:
    """A body on two wheels, each of tyre, rim and hub."""
    mask = np.zeros((128, 128), np.uint8)
    mask[52:88, 12:116] = BODY
    for x in (36, 92):
        for part, radius in RADII.items():
            mask[disc(128, (88, x), radius)] = part
    return mask


def drawn(*rows: str) -> Mask:
    """A small mask, a digit for each pixel."""
    return np.array([[int(label) for label in row] for row in rows], np.uint8)


def iou(found: Region, wanted: Region) -> float:
    return float((found & wanted).sum() / (found | wanted).sum())
