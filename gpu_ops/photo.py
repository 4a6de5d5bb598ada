"""Photographs: what the model sees is cut out, and what an edit changed is pasted back in full resolution.

NumPy, SciPy and Pillow alone. Pixels that an edit may not change stay as they are, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from gpu_ops.errors import ShapeError
from gpu_ops.membrane import membrane
from gpu_ops.picture import Picture
from gpu_ops.roi import default_buffer_px

Paste = Literal["auto", "difference", "replace"]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

STRIP_PIXELS = 1 << 20  # so many are worked on at once: 60 MB, however large the picture is
EDGE = 0.875  # in the model's pixels, from the centre of the last one outside: more than any corner of it is


@dataclass(frozen=True)
class Box:
    """A square of a picture: left, upper edge and side, in its pixels."""

    x: int
    y: int
    size: int

    def check(self, width_px: int, height_px: int) -> None:
        """Raises ShapeError where it is not wholly in a picture of this size."""
        if self.size < 1 or min(self.x, self.y) < 0:
            raise ShapeError(f"{self} is no square")
        if self.x + self.size > width_px or self.y + self.size > height_px:
            raise ShapeError(f"{self} reaches out of a picture of {width_px} x {height_px} px")


def central_box(width_px: int, height_px: int) -> Box:
    """The largest square in the middle."""
    size = min(width_px, height_px)
    return Box((width_px - size) // 2, (height_px - size) // 2, size)


def cut(original: Picture, box: Box, size_px: int) -> Picture:
    """What of original [H, W, 3] a model of size_px sees: uint8 [size_px, size_px, 3]."""
    box.check(original.shape[1], original.shape[0])
    square = original[box.y : box.y + box.size, box.x : box.x + box.size]
    if box.size == size_px:
        return square.copy()
    resized = Image.fromarray(np.ascontiguousarray(square)).resize(
        (size_px, size_px), Image.Resampling.LANCZOS
    )
    return np.array(resized, dtype=np.uint8)


@dataclass(frozen=True)
class Edited:
    """An edit as the model saw it, all of one side R.

    before, after  uint8 [R, R, 3]: the inversion, and the inversion edited
    masks          uint8 [R, R]: the parts before and after
    region         bool [R, R]: where the picture may change
    """

    before: Picture
    after: Picture
    mask_before: Picture
    mask_after: Picture
    region: Bools


def replaced_pixels(edited: Edited, paste: Paste) -> Bools:
    """Where in the region [R, R] the edited pixels take the place of the original's.

    auto: where a pixel is of another part than before, so that what was there has vanished and something
    else appeared; widened by the buffer, within the region.
    """
    if paste != "auto":
        return edited.region & (paste == "replace")
    changed = edited.region & (edited.mask_before != edited.mask_after)
    wide = 2 * default_buffer_px(len(changed)) + 1
    grown: Bools = ndimage.binary_dilation(changed, np.ones((wide, wide), bool)) & edited.region
    return grown


def paste_back(original: Picture, box: Box, edited: Edited, paste: Paste = "auto") -> Picture:
    """The edit in the full-resolution original: uint8 [H, W, 3], a copy.

    Where content persists, the upsampled difference (after - before) is added, so that the inversion's blur
    does not show. Where it is replaced, the upsampled edited pixels are taken, moved in colour by a membrane
    that meets the original all around (Perez et al. 2003). Both fade in within the buffer, from the region's
    edge inwards. Outside the region every byte is the original's; an edit that changed nothing, pasted
    as a difference, gives the original.

    original  uint8 [H, W, 3]
    box       the square that the model saw

    Raises ShapeError.
    """
    _check(original, box, edited)
    layers = _layers(cut(original, box, len(edited.region)), edited, replaced_pixels(edited, paste))
    open_sides = _open_sides(original, box)
    layers["far"] = _fade(edited.region, open_sides)
    result = original.copy()
    for top, bottom in _strips(box.size):
        area = result[box.y + top : box.y + bottom, box.x : box.x + box.size]  # a view
        area[:] = _blend(area, layers, edited.region, top, bottom)
    return result


def _check(original: Picture, box: Box, edited: Edited) -> None:
    box.check(original.shape[1], original.shape[0])
    side = len(edited.region)
    for picture in (edited.before, edited.after):
        if picture.shape != (side, side, 3):
            raise ShapeError(f"pictures are {list(picture.shape)}, the region is {side} px")
    for mask in (edited.mask_before, edited.mask_after, edited.region):
        if mask.shape != (side, side):
            raise ShapeError(f"masks are {list(mask.shape)}, the region is {side} px")


def _layers(seen: Picture, edited: Edited, replaced: Bools) -> dict[str, Floats]:
    """What is upsampled, float32 [R, R, 3] or [R, R]: seen is the original as the model saw it."""
    after = edited.after.astype(np.float32)
    layers = {"difference": after - edited.before}
    if replaced.any():
        layers["replacement"] = after + membrane(seen - after, edited.region)
        layers["share"] = ndimage.uniform_filter(replaced.astype(np.float32), 3)
    return layers


def _open_sides(original: Picture, box: Box) -> tuple[bool, bool, bool, bool]:
    """Whether the picture goes on above, below, left and right of the box."""
    height, width = original.shape[:2]
    return box.y > 0, box.y + box.size < height, box.x > 0, box.x + box.size < width


def _fade(region: Bools, open_sides: tuple[bool, bool, bool, bool]) -> Floats:
    """How far in the region [R, R] is the nearest pixel outside it, up to where the edit shows in full.

    The picture's own end is no edge of the region: there is nothing beyond it to meet.
    """
    full = _full(region)
    wide = int(full) + 1
    above, below, left, right = open_sides
    padded = np.pad(region, wide, mode="edge")
    padded[:wide] &= not above
    padded[-wide:] &= not below
    padded[:, :wide] &= not left
    padded[:, -wide:] &= not right
    if padded.all():
        return np.full(region.shape, full, np.float32)
    far = ndimage.distance_transform_edt(padded)[wide:-wide, wide:-wide]
    near: Floats = np.minimum(far, full).astype(np.float32)
    return near


def _full(region: Bools) -> float:
    """From how far in on the edit shows in full: where the buffer ends, and what was asked for begins."""
    return default_buffer_px(len(region)) + 0.5


def _strips(size: int) -> Iterator[tuple[int, int]]:
    rows = max(1, STRIP_PIXELS // size)
    for top in range(0, size, rows):
        yield top, min(size, top + rows)


def _blend(area: Picture, layers: dict[str, Floats], region: Bools, top: int, bottom: int) -> Picture:
    """Rows top to bottom of the box: area [rows, size, 3] with the edit in it."""
    size = area.shape[1]

    def up(name: str, how: Image.Resampling) -> Floats:
        return _upsampled(layers[name], top, bottom, size, how)

    weight = np.clip((up("far", Image.Resampling.BILINEAR) - EDGE) / (_full(region) - EDGE), 0, 1)
    weight *= _nearest(region, top, bottom, size)
    change = up("difference", Image.Resampling.BICUBIC)
    if "replacement" in layers:
        share = up("share", Image.Resampling.BILINEAR)[..., None]
        change += share * (up("replacement", Image.Resampling.BICUBIC) - area - change)
    changed: Picture = np.rint(area + weight[..., None] * change).clip(0, 255).astype(np.uint8)
    return changed


def _upsampled(layer: Floats, top: int, bottom: int, size: int, how: Image.Resampling) -> Floats:
    """Rows top to bottom of layer [R, R] or [R, R, 3] brought to size x size; to rounding as of the whole."""
    scale = len(layer) / size
    window = (0.0, top * scale, float(len(layer)), bottom * scale)
    planes = [layer] if layer.ndim == 2 else [layer[..., channel] for channel in range(layer.shape[2])]
    resized = [
        np.asarray(Image.fromarray(plane).resize((size, bottom - top), how, box=window)) for plane in planes
    ]
    return resized[0] if layer.ndim == 2 else np.stack(resized, axis=-1)


def _nearest(region: Bools, top: int, bottom: int, size: int) -> Bools:
    """Rows top to bottom of region [R, R] brought to size x size: which pixel each one's centre lies in."""
    at = ((np.arange(size) + 0.5) * (len(region) / size)).astype(int)
    rows: Bools = region[np.ix_(at[top:bottom], at)]
    return rows
