"""Shapes in a mask: pieces, nearest parts, turned and scaled copies, polygons. They know of no part names.

A mask is uint8 [H, W] of labels, a region bool [H, W]. The first pixel covers [0, 1) x [0, 1): its centre is
at (0.5, 0.5). Nothing here alters an argument.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.uint8]
Region = NDArray[np.bool_]
Box = tuple[slice, slice]

SPECK = 0.05
"""Pieces under this share of the largest one's pixels are specks."""

_DECIMALS = 9  # coordinates on a border fall on it, whatever the last bits of a sine


@dataclass(frozen=True, slots=True)
class Piece:
    """A connected component: a row and column box, and which pixels of that box are its own."""

    box: Box
    pixels: Region
    count: int


def pieces_of(region: Region) -> list[Piece]:
    """All pieces, from left to right by the middles of their boxes; of equals the upper one first."""
    numbers, _ = ndimage.label(region, structure=np.ones((3, 3), bool))
    counts = np.bincount(numbers.ravel())
    found = [
        Piece(box, numbers[box] == number, int(counts[number]))
        for number, box in enumerate(ndimage.find_objects(numbers), start=1)
    ]
    return sorted(found, key=lambda piece: [side.start + side.stop for side in reversed(piece.box)])


def without_specks(pieces: Sequence[Piece]) -> list[Piece]:
    largest = max((piece.count for piece in pieces), default=0)
    return [piece for piece in pieces if piece.count >= SPECK * largest]


def around(pieces: Iterable[Piece]) -> Box:
    """The box around one piece or more."""
    rows, columns = zip(*(piece.box for piece in pieces), strict=True)
    return _hull(rows), _hull(columns)


def _hull(sides: Iterable[slice]) -> slice:
    sides = tuple(sides)
    return slice(min(side.start for side in sides), max(side.stop for side in sides))


def region_of(pieces: Iterable[Piece], shape: tuple[int, ...]) -> Region:
    region = np.zeros(shape, bool)
    for piece in pieces:
        region[piece.box] |= piece.pixels
    return region


def joined(pieces: Sequence[Piece], shape: tuple[int, ...]) -> Piece:
    """One piece or more as one that moves as a whole."""
    box = around(pieces)
    return Piece(box, region_of(pieces, shape)[box], sum(piece.count for piece in pieces))


def distance(region: Region) -> NDArray[np.float64]:
    """Of each pixel inside the region to the nearest one outside, between centres; 0 outside."""
    return np.asarray(ndimage.distance_transform_edt(region))


def filled(mask: Mask, wanted: Region, among: Region, reach_px: int = 1) -> Mask:
    """The wanted pixels given the label of the nearest pixel among these, of equally near ones the lowest.

    wanted    lies outside `among`
    reach_px  how far beyond the box around `wanted` the nearest ones may lie; where `wanted` is all that
              lies outside `among`, they are next to it
    """
    result = mask.copy()
    if not wanted.any() or not among.any():
        return result
    box = _box_around(wanted, reach_px)
    source, left, target = among[box], wanted[box].copy(), result[box]
    to_any = distance(~source)
    # a nearest pixel has a neighbour outside, on the way to where it is the nearest
    border = source & ndimage.binary_dilation(~source)
    for label in np.unique(mask[box][border]):
        here = left & (distance(~(border & (mask[box] == label))) == to_any)
        target[here] = label
        left &= ~here
    return result


def without(mask: Mask, region: Region) -> Mask:
    """The region taken away, its pixels given to the nearest label that remains (if any does)."""
    return filled(mask, region, ~region)


def _box_around(region: Region, more_px: int) -> Box:
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    # beyond the picture's end a slice stops by itself
    return tuple(slice(max(0, int(i[0]) - more_px), int(i[-1]) + 1 + more_px) for i in (rows, columns))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Turn:
    """A linear map about a point: matrix [2, 2] and anchor [2], both in the order y, x."""

    matrix: NDArray[np.float64]
    anchor: tuple[float, float]


def turned(mask: Mask, moves: Iterable[tuple[Piece, Turn]]) -> Iterator[tuple[Box, Region, Mask]]:
    """Where each piece comes to lie, clipped to the picture: a box, which of its pixels are covered, labels.

    The centre of each target pixel is looked up where it was before: no holes, no label but the old ones.
    """
    for piece, turn in moves:
        box = _target_box(piece, turn, mask.shape)
        from_y, from_x = _looked_up(box, turn)
        top, left = (side.start for side in piece.box)
        height, width = piece.pixels.shape
        seen = (from_y >= top) & (from_y < top + height) & (from_x >= left) & (from_x < left + width)
        from_y, from_x = np.where(seen, from_y, top), np.where(seen, from_x, left)
        yield box, seen & piece.pixels[from_y - top, from_x - left], mask[from_y, from_x]


def _target_box(piece: Piece, turn: Turn, shape: tuple[int, ...]) -> Box:
    """The smallest box, within the picture, that holds the turned box."""
    rows, columns = piece.box
    corners = np.array([(y, x) for y in (rows.start, rows.stop) for x in (columns.start, columns.stop)])
    moved = (corners - turn.anchor) @ turn.matrix.T + turn.anchor
    first = np.floor(moved.min(axis=0).round(_DECIMALS)).clip(0, shape).astype(int)
    last = np.ceil(moved.max(axis=0).round(_DECIMALS)).clip(0, shape).astype(int)
    return slice(first[0], last[0]), slice(first[1], last[1])


def _looked_up(box: Box, turn: Turn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pixel of a box, the row and the column where its centre was before."""
    back = np.linalg.inv(turn.matrix)
    y = np.arange(box[0].start, box[0].stop)[:, None] + 0.5 - turn.anchor[0]
    x = np.arange(box[1].start, box[1].stop)[None, :] + 0.5 - turn.anchor[1]
    from_y = turn.anchor[0] + back[0, 0] * y + back[0, 1] * x
    from_x = turn.anchor[1] + back[1, 0] * y + back[1, 1] * x
    rows, columns = (np.floor(place.round(_DECIMALS)).astype(np.int64) for place in (from_y, from_x))
    return rows, columns


def polygon(points: NDArray[np.float64], shape: tuple[int, ...]) -> Region:
    """The pixels whose centres lie inside, by the even-odd rule. points [k, 2] in pixels, in the order x, y.

    Of centres on the outline, those of a left or an upper side are inside: neighbours share none.
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), np.int64)
    centres = np.arange(height) + 0.5
    for ends in zip(points, np.roll(points, -1, axis=0), strict=True):
        (x0, y0), (x1, y1) = sorted(ends, key=lambda end: float(end[1]))
        rows = np.flatnonzero((centres >= y0) & (centres < y1))
        x = x0 + (centres[rows] - y0) * ((x1 - x0) / (y1 - y0)) if rows.size else np.zeros(0)
        first = np.ceil((x - 0.5).round(_DECIMALS)).clip(0, width).astype(np.int64)
        crossings[rows, first] += 1  # each row is there once; from here on is right of this side
    inside: Region = crossings.cumsum(axis=1)[:, :width] % 2 == 1
    return inside
