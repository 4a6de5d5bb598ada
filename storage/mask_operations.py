"""Doing mask operations, and what an edit is about. Pure: the same for API, workers, bulk and previews.

Every operation reads the mask that the one before it left. What a part uncovers when it moves, shrinks or
goes is given to the parts around it; a part, or a piece of it, that is not there is left alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import cos, radians, sin
from types import MappingProxyType
from typing import Any

import numpy as np

from storage.errors import InvalidInput
from storage.library_records import Part
from storage.mask_shapes import (
    Box,
    Piece,
    Region,
    Turn,
    around,
    distance,
    filled,
    joined,
    pieces_of,
    polygon,
    region_of,
    turned,
    without,
    without_specks,
)
from storage.mask_specs import (
    MAX_PIECES,
    Copy,
    Grow,
    MaskOperation,
    Mirror,
    OnPart,
    Polygon,
    Relabel,
    Remove,
    Rotate,
    Scale,
    Shift,
    Shrink,
    Swap,
)
from storage.masks import Groups, Mask, resolve_parts
from storage.specs import EditSpec
from storage.vector_specs import Target

NO_MASKS: Mapping[str, Mask] = MappingProxyType({})
FIELD = "mask_operations"


def apply_operations(
    mask: Mask,
    operations: Sequence[MaskOperation],
    parts: Sequence[Part],
    groups: Groups,
    masks: Mapping[str, Mask] = NO_MASKS,
    *,
    field: str = FIELD,
) -> Mask:
    """A new mask, the operations applied one after the other.

    masks   those that operations copy from, by image id: checked already, and of this mask's shape
    field   the member of the request that errors name
    Raises UnknownPart, InvalidInput before anything is done.
    """
    check_operations(operations, parts, groups, field=field)
    for operation in operations:
        ids = {name: resolve_parts(names, parts, groups) for name, names in _named(operation).items()}
        mask = _OPERATIONS[type(operation)](mask, operation, ids, masks)
    return mask.copy()


def check_operations(
    operations: Iterable[MaskOperation], parts: Sequence[Part], groups: Groups, *, field: str = FIELD
) -> None:
    """Every part named is one of the model's, whatever the mask will be. Raises UnknownPart, InvalidInput."""
    for index, operation in enumerate(operations):
        for member, names in _named(operation).items():
            path = f"{field}.{index}.{member}"
            ids = resolve_parts(names, parts, groups, field=path)
            if member in operation.single and len(ids) != 1:
                detail = f"{names[0]!r} is a group of {len(ids)} parts."
                raise InvalidInput(detail, field=path, expected="a single part")


def copied_masks(operations: Iterable[MaskOperation], *, field: str = FIELD) -> dict[str, str]:
    """The image ids of the masks that operations copy from, each with the member that first names it."""
    found: dict[str, str] = {}
    for index, operation in enumerate(operations):
        if isinstance(operation, Copy):
            found.setdefault(operation.mask, f"{field}.{index}.mask")
    return found


def edited_parts(
    spec: EditSpec | Target, old: Mask, new: Mask, parts: Sequence[Part], groups: Groups
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
    """The parts that operations name, of a relabel or a swap both; not those that give way. Each once."""
    names = [getattr(operation, member) for operation in operations for member in operation.names]
    return resolve_parts(names, parts, groups, field=FIELD)


def changed_parts(old: Mask, new: Mask) -> tuple[int, ...]:
    """Of each changed pixel's old and new part, the smaller one (counted in both masks)."""
    pixels = np.bincount(old.ravel(), minlength=256) + np.bincount(new.ravel(), minlength=256)
    changed = old != new
    before, after = old[changed], new[changed]
    smaller = np.where(pixels[before] <= pixels[after], before, after)
    return tuple(np.unique(smaller).tolist())


Ids = Mapping[str, tuple[int, ...]]


def _named(operation: MaskOperation) -> dict[str, tuple[str, ...]]:
    """The names of parts in an operation, by member."""
    named: dict[str, tuple[str, ...]] = {member: (getattr(operation, member),) for member in operation.names}
    return named | {"only": operation.only} if isinstance(operation, Polygon) else named


def _region(mask: Mask, operation: OnPart, ids: Ids) -> Region:
    """The pixels that an operation is to change: the part's, or those of the piece asked for."""
    whole = np.isin(mask, ids["part"])
    return whole if operation.piece == "all" else region_of(_pieces(whole, operation), mask.shape)


def _pieces(whole: Region, operation: OnPart) -> Sequence[Piece]:
    pieces = pieces_of(whole)
    match operation.piece:
        case "all":
            return pieces
        case "largest":
            return sorted(pieces, key=lambda piece: -piece.count)[:1]
        case "left":
            return without_specks(pieces)[:1]
        case "right":
            return without_specks(pieces)[-1:]
        case number:
            return without_specks(pieces)[number : number + 1]


def _grow(mask: Mask, operation: Grow, ids: Ids, _: Any) -> Mask:
    """By the distance between pixel centres, over other parts: not over other pieces of the same one."""
    region = _region(mask, operation, ids)
    if operation.px < 0:
        return _shrunk(mask, region, -operation.px)
    if not region.any():
        return mask
    others = ~np.isin(mask, ids["part"])
    return filled(mask, others & (distance(~region) <= operation.px), region, operation.px)


def _shrink(mask: Mask, operation: Shrink, ids: Ids, _: Any) -> Mask:
    return _shrunk(mask, _region(mask, operation, ids), operation.px)


def _shrunk(mask: Mask, region: Region, px: int) -> Mask:
    """Beyond the picture's edge nothing presses inwards."""
    return mask if region.all() else filled(mask, region & (distance(region) <= px), ~region, px)


def _shift(mask: Mask, operation: Shift, ids: Ids, _: Any) -> Mask:
    region = _region(mask, operation, ids)
    return _painted(without(mask, region), mask, region, operation.dx_px, operation.dy_px)


def _copy(mask: Mask, operation: Copy, ids: Ids, masks: Mapping[str, Mask]) -> Mask:
    source = masks[operation.mask]
    assert source.shape == mask.shape
    return _painted(mask, source, _region(source, operation, ids), operation.dx_px, operation.dy_px)


def _painted(onto: Mask, source: Mask, region: Region, dx_px: int, dy_px: int) -> Mask:
    """The source's labels inside the region laid over a mask, moved; what leaves the picture is lost."""
    result = onto.copy()
    ys, xs = np.nonzero(region)
    to_y, to_x = ys + dy_px, xs + dx_px
    seen = (to_y >= 0) & (to_y < onto.shape[0]) & (to_x >= 0) & (to_x < onto.shape[1])
    result[to_y[seen], to_x[seen]] = source[ys[seen], xs[seen]]
    return result


def _scale(mask: Mask, operation: Scale, ids: Ids, _: Any) -> Mask:
    factor_x, factor_y = (one or operation.factor or 1.0 for one in (operation.factor_x, operation.factor_y))
    y, x = {"centre": (0.5, 0.5), "top": (0, 0.5), "bottom": (1, 0.5), "left": (0.5, 0), "right": (0.5, 1)}[
        operation.anchor
    ]

    def turn(rows: slice, columns: slice) -> Turn:
        anchor = rows.start + y * (rows.stop - rows.start), columns.start + x * (columns.stop - columns.start)
        return Turn(np.diag([factor_y, factor_x]), anchor)

    return _turned(mask, operation, ids, turn)


def _rotate(mask: Mask, operation: Rotate, ids: Ids, _: Any) -> Mask:
    angle = radians(operation.degrees)
    matrix = np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])  # of y, x; y points down
    return _turned(mask, operation, ids, lambda *box: Turn(matrix, _centre(box)))


def _mirror(mask: Mask, operation: Mirror, ids: Ids, _: Any) -> Mask:
    matrix = np.diag([1.0, -1.0] if operation.direction == "horizontal" else [-1.0, 1.0])
    return _turned(mask, operation, ids, lambda *box: Turn(matrix, _centre(box)))


def _centre(box: Box) -> tuple[float, float]:
    rows, columns = box
    return (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2


def _turned(
    mask: Mask, operation: Scale | Rotate | Mirror, ids: Ids, turn: Callable[[slice, slice], Turn]
) -> Mask:
    """The pieces taken away, then laid down again where they come to lie, from left to right."""
    whole = np.isin(mask, ids["part"])
    pieces = _pieces(whole, operation)
    if not pieces:
        return mask
    if operation.about == "piece":
        pieces = _largest(pieces)
        moves = [(piece, turn(*piece.box)) for piece in pieces]
    else:
        picture = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
        box = around(without_specks(pieces_of(whole))) if operation.about == "part" else picture
        moves = [(joined(pieces, mask.shape), turn(*box))]
    result = without(mask, region_of(pieces, mask.shape))
    for box, covered, labels in turned(mask, moves):
        result[box][covered] = labels[covered]
    return result


def _largest(pieces: Sequence[Piece]) -> list[Piece]:
    """No more than can be moved one by one, in their order."""
    kept = sorted(range(len(pieces)), key=lambda index: -pieces[index].count)[:MAX_PIECES]
    return [pieces[index] for index in sorted(kept)]


def _remove(mask: Mask, operation: Remove, ids: Ids, _: Any) -> Mask:
    return without(mask, _region(mask, operation, ids))


def _relabel(mask: Mask, operation: Relabel, ids: Ids, _: Any) -> Mask:
    return np.where(_region(mask, operation, ids), np.uint8(ids["into"][0]), mask)


def _swap(mask: Mask, _operation: Swap, ids: Ids, _: Any) -> Mask:
    (part,), (other,) = ids["part"], ids["other"]
    labels = np.arange(256, dtype=np.uint8)
    labels[[part, other]] = other, part
    swapped: Mask = labels[mask]
    return swapped


def _polygon(mask: Mask, operation: Polygon, ids: Ids, _: Any) -> Mask:
    points = np.array(operation.points, np.float64)
    if operation.units == "relative":
        points *= mask.shape[::-1]
    inside = polygon(points, mask.shape)
    if operation.only:
        inside &= np.isin(mask, ids["only"])
    return np.where(inside, np.uint8(ids["into"][0]), mask)


_OPERATIONS: dict[type, Callable[..., Mask]] = {
    Grow: _grow,
    Shrink: _shrink,
    Shift: _shift,
    Scale: _scale,
    Rotate: _rotate,
    Mirror: _mirror,
    Remove: _remove,
    Relabel: _relabel,
    Swap: _swap,
    Polygon: _polygon,
    Copy: _copy,
}
