"""Part masks as indexed PNG, part names, and operations on masks. NumPy, SciPy and Pillow only.

A mask is uint8 [H, W]; the value of a pixel is the id of its part. Row 0 is the top.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from storage.errors import InvalidInput, MaskMismatch, UnknownPart
from storage.pictures import MAX_PIXELS, open_judged, save_png
from storage.records import Part
from storage.specs import EditSpec, Grow, MaskOperation, Relabel, Scale, Shift

Mask = NDArray[np.uint8]
Region = NDArray[np.bool_]
Groups = Mapping[str, Sequence[str]]

_EXPECTED = "a PNG, indexed or grey with at most 8 bits, whose values are part ids"
_GREY_STEPS = {2: 85, 4: 17}  # Pillow spreads greys of 2 and 4 bits over 0 to 255


def decode_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> Mask:
    """Raises UnreadablePicture, PictureTooLarge; MaskMismatch for a PNG of colours."""
    with open_judged(data, max_pixels, ("PNG",)) as image:
        if image.mode not in ("P", "L", "1"):
            raise MaskMismatch("A picture of colours is no mask.", expected=_EXPECTED)
        bits = data[24]  # of IHDR, which Pillow has checked to come first
        values = np.array(image, dtype=np.uint8)
        return values // _GREY_STEPS[bits] if image.mode == "L" and bits in _GREY_STEPS else values


def encode_mask(mask: Mask, parts: Sequence[Part], text: Mapping[str, str] | None = None) -> bytes:
    """An indexed PNG in the parts' colours: what it shows and what it stores are both right."""
    assert mask.dtype == np.uint8
    assert mask.ndim == 2
    palette = np.zeros((256, 3), np.uint8)
    for part in parts:
        palette[part.id] = part.colour
    image = Image.fromarray(np.ascontiguousarray(mask))
    image.putpalette(palette.tobytes())
    return save_png(image, text)


def check_size(width_px: int, height_px: int, resolution_px: int, *, field: str = "mask") -> None:
    """Raises MaskMismatch."""
    if (width_px, height_px) != (resolution_px, resolution_px):
        raise MaskMismatch(
            f"The mask is {width_px}x{height_px} pixels.",
            field=field,
            expected=f"{resolution_px}x{resolution_px} pixels, as the model draws",
        )


def check_mask(mask: Mask, resolution_px: int, parts: Sequence[Part], *, field: str = "mask") -> None:
    """Raises MaskMismatch, naming the size or the ids that are wrong."""
    check_size(mask.shape[1], mask.shape[0], resolution_px, field=field)
    known = {part.id for part in parts}
    unknown = sorted(set(np.unique(mask).tolist()) - known)
    if unknown:
        listed = ", ".join(map(str, unknown[:8])) + (" ..." if len(unknown) > 8 else "")
        raise MaskMismatch(
            f"The mask holds ids that are no parts of the model: {listed}.",
            field=field,
            expected=f"ids among {', '.join(map(str, sorted(known)))}",
        )


def resolve_parts(
    names: Sequence[str], parts: Sequence[Part], groups: Groups, *, field: str = "q_edit"
) -> tuple[int, ...]:
    """The ids that names of parts and part groups stand for, each once, in order. Raises UnknownPart."""
    ids = {part.name: part.id for part in parts}
    found: dict[int, None] = {}
    for name in names:
        if name not in ids and name not in groups:
            known = ", ".join(sorted([*ids, *groups]))
            raise UnknownPart(f"The model has no part named {name!r}.", field=field, expected=known)
        for member in groups.get(name, (name,)):
            found[ids[member]] = None
    return tuple(found)


def edited_parts(
    spec: EditSpec, old: Mask, new: Mask, parts: Sequence[Part], groups: Groups
) -> tuple[int, ...]:
    """What an edit is about: its q_edit, else the parts that its operations name, else those that change."""
    if spec.q_edit:
        return resolve_parts(spec.q_edit, parts, groups)
    if spec.mask_operations:
        return named_parts(spec.mask_operations, parts, groups)
    return changed_parts(old, new)


def named_parts(
    operations: Sequence[MaskOperation], parts: Sequence[Part], groups: Groups
) -> tuple[int, ...]:
    """The parts that operations name, of a relabel both; not those that give way. Each once, in order."""
    names = [
        name for op in operations for name in ((op.part, op.into) if isinstance(op, Relabel) else (op.part,))
    ]
    return resolve_parts(names, parts, groups, field="mask_operations")


def changed_parts(old: Mask, new: Mask) -> tuple[int, ...]:
    """Of each changed pixel's old and new part, the smaller one (counted in both masks)."""
    pixels = np.bincount(old.ravel(), minlength=256) + np.bincount(new.ravel(), minlength=256)
    changed = old != new
    before, after = old[changed], new[changed]
    smaller = np.where(pixels[before] <= pixels[after], before, after)
    return tuple(np.unique(smaller).tolist())


def apply_operations(
    mask: Mask, operations: Sequence[MaskOperation], parts: Sequence[Part], groups: Groups
) -> Mask:
    """A new mask, the operations applied one after the other. Raises UnknownPart, InvalidInput."""
    for index, operation in enumerate(operations):
        field = f"mask_operations.{index}"
        region = np.isin(mask, resolve_parts([operation.part], parts, groups, field=f"{field}.part"))
        if isinstance(operation, Relabel):
            mask = np.where(region, _single(operation.into, parts, groups, f"{field}.into"), mask)
        elif region.any():
            mask = _OPERATIONS[type(operation)](mask, region, operation)
    return mask.copy()


def _single(name: str, parts: Sequence[Part], groups: Groups, field: str) -> np.uint8:
    ids = resolve_parts([name], parts, groups, field=field)
    if len(ids) != 1:
        raise InvalidInput(f"{name!r} is a group of {len(ids)} parts.", field=field, expected="a single part")
    return np.uint8(ids[0])


def _scale(mask: Mask, region: Region, operation: Scale) -> Mask:
    """Each connected piece about its own anchor; a target pixel's centre is looked up in the old mask."""
    scaled = _without(mask, region)
    pieces, _ = ndimage.label(region, structure=np.ones((3, 3), bool))
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        rows, columns = box
        middle_y, middle_x = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
        anchor_y = rows.stop if operation.anchor == "bottom" else middle_y
        from_y, to_y = _span(rows, anchor_y, operation.factor, mask.shape[0])
        from_x, to_x = _span(columns, middle_x, operation.factor, mask.shape[1])
        ys, xs = np.meshgrid(from_y, from_x, indexing="ij")
        inside = pieces[ys, xs] == number
        target = scaled[to_y, to_x]
        target[inside] = mask[ys, xs][inside]
    return scaled


def _span(side: slice, anchor: float, factor: float, size: int) -> tuple[NDArray[np.int64], slice]:
    """Along one axis: the target pixels that the scaled piece may cover, and each one's source pixel."""
    start = max(0, int(np.floor(anchor + (side.start - anchor) * factor)))
    stop = min(size, int(np.ceil(anchor + (side.stop - anchor) * factor)))
    source = np.floor(anchor + (np.arange(start, stop) + 0.5 - anchor) / factor).astype(np.int64)
    return source.clip(0, size - 1), slice(start, stop)


def _shift(mask: Mask, region: Region, operation: Shift) -> Mask:
    shifted = _without(mask, region)
    ys, xs = np.nonzero(region)
    to_y, to_x = ys + operation.dy_px, xs + operation.dx_px
    height, width = mask.shape
    seen = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
    shifted[to_y[seen], to_x[seen]] = mask[ys[seen], xs[seen]]
    return shifted


def _grow(mask: Mask, region: Region, operation: Grow) -> Mask:
    """By Euclidean distance between pixel centres. Beyond the picture's edge nothing presses inwards."""
    if operation.px >= 0:
        return np.where(_distance(~region) <= operation.px, _nearest(mask, region), mask)
    if region.all():
        return mask
    return np.where(region & (_distance(region) <= -operation.px), _nearest(mask, ~region), mask)


def _without(mask: Mask, region: Region) -> Mask:
    """The region taken away, its pixels given to the nearest part that remains."""
    return mask.copy() if region.all() else _nearest(mask, ~region)


def _distance(region: Region) -> NDArray[np.float64]:
    """Of each pixel inside the region to the nearest one outside; 0 outside."""
    return np.asarray(ndimage.distance_transform_edt(region))


def _nearest(mask: Mask, among: Region) -> Mask:
    """For every pixel the label of the nearest pixel among these (its own, where it is one of them)."""
    ys, xs = ndimage.distance_transform_edt(~among, return_distances=False, return_indices=True)
    nearest: Mask = mask[ys, xs]
    return nearest


_OPERATIONS: dict[type, Callable[..., Mask]] = {Scale: _scale, Shift: _shift, Grow: _grow}
